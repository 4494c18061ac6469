"""A trunk trained on FER2013's faces without their labels, to start other runs from.

  python -m emotion_jax.train --config configs/simclr.py --workdir runs/simclr \\
      --data fer2013=fer2013.csv
  python -m emotion_jax.train --config configs/fer5.py --workdir runs/fer5 \\
      --data fer2013=fer2013.csv --config.init_from=runs/simclr

Each step sees every face twice (emotion_jax/simclr.py), so it costs two of fer5's.
Labels reach only the head: its accuracy is that of a linear probe.

Result, for a small network (width 16, stem_stride 4, blocks (1, 1, 1); seed 0, jax
0.10.2, 2 CPU cores): fer5 from it has 0.668 on val after four epochs, 0.603 without
(three seeds); after 28 epochs there is no difference (0.744 and 0.742, two seeds). Its
probe has 0.411 on seven classes (launch/results/runs.md).
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
        "side": 48,
        "dedupe": True,  # no face of a test split is trained on under another row
        "sources": {"fer2013": {"path": ""}},
    }
    config.feed = {"name": "resident", "shares": {}}
    config.tasks = {"emotion": {"classes": 7}}
    config.model = {
        "name": "resnet",
        "blocks": (1, 1, 1, 1),
        "width": 32,
        "stem_stride": 2,
        "simclr": {"width": 128, "temperature": 0.2},
    }
    config.augment = {
        "flip": {},
        "rotate": {"degrees": 15.0},
        "zoom": {"low": 0.8, "high": 1.4},
        "translate": {"fraction": 0.12},
        "brightness": {"delta": 0.2},
        "contrast": {"low": 0.5, "high": 1.6},
        "gamma": {},
        "blur": {"probability": 0.3},
        "erase": {"probability": 0.5},
    }
    config.train = {"steps": 0, "epochs": 20.0, "batch_size": 128}
    config.optim = {
        "name": "muon",
        "learning_rate": 0.02,
        "weight_decay": 0.05,
        "clip_norm": 5.0,
        "ema_decay": 0.99,
        "schedule": {"name": "cosine", "warmup": "10%"},
        "options": {},
    }
    config.eval = {"every": "2 epochs"}
    config.checkpoint = {"every": "2 epochs", "keep": 2, "best": "emotion/accuracy"}
    config.log = {"every": "20"}
    return config
