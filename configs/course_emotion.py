"""Emotion by the course's own network, trained as in its notebook, for comparison.

  python -m emotion_jax.train --config configs/course_emotion.py \\
      --workdir runs/course --data fer2013=fer2013.csv

1,174,021 parameters on 48x48 faces enlarged to 96x96; Adam at its default rate, batches
of 64, Keras's ImageDataGenerator: turned by 15 degrees, shifted and zoomed by a tenth,
mirrored. (Its shear of 0.1 is in degrees, so does nothing.)

Result (seed 0, 11 minutes on 2 CPU cores, jax 0.10.2: two epochs): accuracy 0.255 on
PublicTest, as the running statistics have not settled; 0.65 on val with each batch's
own. By then fer5 is at 0.770 on val.
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
        "dedupe": True,
        "sources": {"fer2013": {"path": ""}},
    }
    config.feed = {"name": "resident", "shares": {}}
    config.tasks = {"emotion": {"classes": 5, "head": "course"}}
    config.model = {"name": "course"}
    config.augment = {
        "flip": {},
        "rotate": {"degrees": 15.0},
        "zoom": {"low": 0.9, "high": 1.1},
        "translate": {"fraction": 0.1},
    }
    config.train = {"steps": 0, "epochs": 20.0, "batch_size": 64}
    config.optim = {
        "name": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "schedule": {"name": "constant"},
        "options": {},
    }
    config.eval = {"every": "1 epoch"}
    config.checkpoint = {"every": "1 epoch", "keep": 1, "best": "emotion/accuracy"}
    config.log = {"every": "20"}
    return config
