"""Your own classes of faces, from folders of images.

  python -m emotion_jax.train --config configs/folder.py --workdir runs/mine \\
      --data folder=faces "--config.tasks.emotion.classes=('calm', 'tense')"
  python -m emotion_jax.evaluate --checkpoint runs/mine

Takes faces/CLASS/*.png, or faces/train/CLASS/*.png with validation/ and test/ beside
it; PNG, JPEG and WebP of any size. Far fewer of them are needed by a network that knows
faces already, as the one that ships does; only its head is new then:

  python -m emotion_jax.train --config configs/folder.py --workdir runs/tuned \\
      --data folder=faces "--config.tasks.emotion.classes=('calm', 'tense')" \\
      --config.init_from=pretrained "--config.model.blocks=(1, 2, 2, 2, 1)" \\
      --config.model.width=16 --config.model.stem_stride=1 --config.train.epochs=10

Result, with --config.train.batch_size=32, on two classes that it had never seen, fear
and neutral, a hundred faces of each: accuracy 0.743 (three seeds, spread 0.013) on
1,103 others; from scratch, in four times as many epochs, 0.590 (0.011). See
launch/results/runs.md.
"""

from emotion_jax.configs import fer5
from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Like fer5, with other data."""
    config = fer5.get_config()
    config.data.dedupe = False
    config.data.sources = {"folder": {"path": "", "skip_bad": False}}
    names = ("anger", "disgust", "sad", "happy", "surprise")  # the folders'
    config.tasks = {"emotion": {"classes": names, "label_smoothing": 0.1}}
    return config
