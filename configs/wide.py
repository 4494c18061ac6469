"""As combined, of a network made for TPUs and GPUs: wide where faces are large.

  python -m emotion_jax.train --config configs/wide.py --workdir runs/wide \\
      --data fer2013=fer2013.csv keypoints=training.csv --config.train.epochs=85

At 24x24 its 256 channels fill a TPU's lanes twice, and each byte of a feature map
serves as many more products; later stages have half the width of the one before, so
there are 1.85 million parameters. Against combined: 512 faces a batch and, as the root
of that, twice the learning rate.

Result (seed 0, 85 epochs on one H100, jax 0.11.2; emotions taught by three networks
of seven classes, points by pretrained:keypoints): on val accuracy 0.820, macro-F1 0.645
and 1.36 px; not measured on what is held out (launch/results/runs.md). On TPU v5e, 512
faces a chip: 13.7 MB a face, whose time is 0.76 of that of the FLOPs. On a CPU take
combined: a step of this costs twenty times the FLOPs.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The whole run; any field can be set on the command line."""
    config = ConfigDict()
    config.seed = 0
    config.stop_at = 0  # end this run early at this step; 0: at its end
    config.init_from = ""  # a checkpoint to start from: what fits of it is taken
    config.fsdp = False  # a part of the state on each device, instead of a copy
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
            "weight": 0.7,
            "learn_offset": True,
            "teachers": "",
        },
    }
    config.model = {
        "name": "resnet",
        "blocks": (1, 1, 1),
        "width": 256,
        "growth": 0.5,
        "stem_stride": 2,
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
    config.train = {"steps": 0, "epochs": 26.0, "batch_size": 512}
    config.optim = {
        "name": "muon",
        "learning_rate": 0.03,
        "weight_decay": 0.05,
        "clip_norm": 5.0,
        "ema_decay": 0.99,
        "schedule": {"name": "cosine", "warmup": "10%"},
        "options": {},
    }
    config.eval = {"every": "3 epochs"}
    config.checkpoint = {"every": "3 epochs", "keep": 2, "best": "emotion/accuracy"}
    config.log = {"every": "20"}
    return config
