"""Emotion and keypoints from one network, in one forward pass, on both CSVs.

  python -m emotion_jax.train --config configs/combined.py --workdir runs/combined \\
      --data fer2013=fer2013.csv keypoints=training.csv --config.init_from=runs/fer7 \\
      "--config.tasks.emotion.teachers=('runs/fer5', 'runs/fer7')" \\
      --config.tasks.keypoints.teachers=runs/keypoints
  python -m emotion_jax.evaluate --checkpoint runs/combined --split PublicTest \\
      --data fer2013=fer2013.csv

No face needs both labels: each batch mixes the two sets, and unknown labels are masked.
init_from brings the trunk; teachers also label the other set's faces. Any may be left
out.

Result (seed 4, 86 minutes on 2 CPU cores beside other work, plus its teachers', jax
0.10.2; begun from the combined before it; emotions taught by that one, by the one
before that, and by fer7, points by keypoints): on PublicTest's 2,486 faces accuracy
0.828, macro-F1 0.772 (0.833 and 0.775 with --tta), calibration error 0.028 (0.014); on
425 keypoint faces of other people 1.454 px RMSE (1.428); val 0.829, macro-F1 0.790 and
1.33 px. It ships as `pretrained`. The specialists have 0.831 (fer7, the other two
classes ruled out; no difference shown), 0.807 (fer5, two seeds) and 1.45 px (keypoints,
three). The one that it began from (seed 3, 40 epochs, from fer7) has 0.829, 0.778,
0.019 and 1.458 px. All runs, with their commands, are in launch/results/runs.md.
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
        "sources": {"fer2013": {"path": ""}, "keypoints": {"path": ""}},
    }
    config.feed = {"name": "resident", "shares": {"fer2013": 0.62, "keypoints": 0.38}}
    config.tasks = {
        "emotion": {
            "classes": 5,
            "label_smoothing": 0.0,
            "teachers": "",  # a checkpoint to learn from, beside the labels
            "teacher_share": 0.6,
        },
        "keypoints": {
            "delta_px": 2.0,
            "weight": 1.0,
            "learn_offset": True,
            "teachers": "",
        },
    }
    config.model = {
        "name": "resnet",
        "blocks": (1, 2, 2, 2, 1),
        "width": 16,
        "stem_stride": 1,
        "dropout": 0.1,
    }
    config.augment = {
        "alternating_flip": {},
        "rotate": {"degrees": 12.0},
        "zoom": {"low": 0.87, "high": 1.15},
        "translate": {"fraction": 0.08},
        "brightness": {"delta": 0.1},
        "contrast": {"low": 0.8, "high": 1.25},
        "erase": {"probability": 0.4},
    }
    config.train = {"steps": 0, "epochs": 36.0, "batch_size": 128}
    config.optim = {
        "name": "muon",
        "learning_rate": 0.015,
        "weight_decay": 0.05,
        "clip_norm": 5.0,
        "ema_decay": 0.99,
        "schedule": {"name": "cosine", "warmup": "10%"},
        "options": {},
    }
    config.eval = {"every": "4 epochs"}
    config.checkpoint = {"every": "4 epochs", "keep": 2, "best": "emotion/accuracy"}
    config.log = {"every": "20"}
    return config
