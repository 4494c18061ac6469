"""The fifteen keypoints, on Kaggle's Facial Keypoints CSV.

  python -m emotion_jax.train --config configs/keypoints.py --workdir runs/keypoints \\
      --data keypoints=training.csv
  python -m emotion_jax.evaluate --checkpoint runs/keypoints

Missing coordinates are masked: every face with a known point is trained on. Labels may
all be shifted to one side of the picture: learn_offset finds how far.

Result (seeds 0 to 2, 15 minutes each on 2 CPU cores, jax 0.10.2, trained on 2,576
YouTube Faces): 1.449 ± 0.007 px RMSE on 425 faces of other people, 1.41 px with --tta;
val 1.35 px. After 40 epochs val has 1.43 px, and 1.69 px without learn_offset: these
labels lie 1.34 px to the right.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The whole run; any field can be set on the command line."""
    config = ConfigDict()
    config.seed = 0
    config.stop_at = 0  # stop early at this step; 0 runs to the end
    config.init_from = ""  # a checkpoint to start from: what fits of it is taken
    config.fsdp = False  # split the state over the devices instead of copying it
    config.debug = False  # stop at the operation that makes a NaN, list all parameters
    config.profile = {"steps": ""}  # "100:110" writes a trace of these steps

    config.data = {
        "side": 96,
        "dedupe": False,
        "sources": {"keypoints": {"path": ""}},
    }
    config.feed = {"name": "resident", "shares": {}}
    config.tasks = {"keypoints": {"delta_px": 2.0, "learn_offset": True}}
    config.model = {
        "name": "resnet",
        "blocks": (1, 1, 1, 1),
        "width": 32,
        "stem_stride": 4,
    }
    config.augment = {
        "alternating_flip": {},
        "rotate": {"degrees": 12.0},
        "zoom": {"low": 0.85, "high": 1.15},
        "translate": {"fraction": 0.08},
        "brightness": {"delta": 0.1},
        "contrast": {"low": 0.8, "high": 1.25},
        "erase": {"probability": 0.25, "low": 0.02, "high": 0.1},
    }
    config.train = {"steps": 0, "epochs": 120.0, "batch_size": 64}
    config.optim = {
        "name": "muon",
        "learning_rate": 0.02,
        "weight_decay": 0.05,
        "clip_norm": 5.0,
        "ema_decay": 0.99,
        "schedule": {"name": "cosine", "warmup": "10%"},
        "options": {},
    }
    config.eval = {"every": "10 epochs"}
    config.checkpoint = {"every": "10 epochs", "keep": 2, "best": "keypoints/rmse_px"}
    config.log = {"every": "20"}
    return config
