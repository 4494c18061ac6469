"""Emotion, all seven classes of FER2013, at full resolution.

  python -m emotion_jax.train --config configs/fer7.py --workdir runs/fer7 \\
      --data fer2013=fer2013.csv
  python -m emotion_jax.evaluate --checkpoint runs/fer7 --split PublicTest

Like fer5, but seventeen layers instead of nine, the first of them thin and at all 48 x
48 pixels, which takes twice as long. It can teach fer5 and combined: on five classes it
rules the other two out.

Result (seed 0, 58 minutes on 2 CPU cores beside other work, jax 0.10.2, taught by an
earlier fer7): accuracy 0.673, macro-F1 0.635 on PublicTest's 3,589 faces (0.681 and
0.649 with --tta); 0.664 on those without a twin in Training. The step was chosen on
val (0.688). Its teacher was a fer7 of fer5's network (28 epochs: 0.669 on val, 0.665 on
PublicTest), made by the first of these, and given to the second:

  --workdir runs/first --config.model.width=32 "--config.model.blocks=(1, 1, 1, 1)" \\
      --config.model.stem_stride=2 --config.train.epochs=28
  --workdir runs/fer7 --config.tasks.emotion.teachers=runs/first
"""

from emotion_jax.configs import fer5
from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Like fer5, with other classes and another network."""
    config = fer5.get_config()
    config.tasks.emotion.classes = 7
    config.model.update(blocks=(1, 2, 2, 2, 1), width=16, stem_stride=1)
    config.train.epochs = 24.0
    return config
