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

At the end, five epochs without label smoothing make its probabilities honest:

  --config.init_from=runs/combined --workdir runs/combined2 --config.train.epochs=5 \\
      --config.optim.learning_rate=0.003 --config.tasks.emotion.label_smoothing=0.0 \\
      "--config.eval.every=1 epochs" "--config.checkpoint.every=1 epochs"

Result (seed 1, 106 minutes on 2 CPU cores beside other work, plus its teachers', jax
0.10.2; emotions taught by fer7 and by an earlier combined, points by keypoints): on
PublicTest's 2,486 faces accuracy 0.819, macro-F1 0.761 (0.824 and 0.764 with --tta),
calibration error 0.024; on 425 keypoint faces of other people 1.46 px RMSE (1.43 with
--tta); val 0.826, macro-F1 0.766 and 1.34 px. The specialists have 0.807 (fer5, two
seeds) and 1.45 px (keypoints, three). It ships as `pretrained`. Before those five
epochs it had 0.818, 0.762, 0.034 and 1.45 px; the combined that taught it, of 24 epochs
and points weighing 1.5, 0.814, 0.742, 0.027 and 1.47 px. All runs, with their commands,
are in launch/results/runs.md.
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
            "label_smoothing": 0.1,
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
    config.train = {"steps": 0, "epochs": 40.0, "batch_size": 128}
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
