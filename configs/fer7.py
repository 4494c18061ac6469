"""Emotion, all seven classes of FER2013, at full resolution.

  python -m emotion_jax.train --config configs/fer7.py --workdir runs/fer7 \\
      --data fer2013=fer2013.csv
  python -m emotion_jax.evaluate --checkpoint runs/fer7 --split PublicTest

Like fer5, but seventeen layers instead of nine, the first of them thin and at all 48 x
48 pixels, which takes twice as long. It can teach fer5 and combined: on five classes it
rules the other two out.

Result (seed 2, 94 minutes on 2 CPU cores beside other work, plus its teacher's, jax
0.10.2; taught by an earlier fer7, begun from combined): accuracy 0.686, macro-F1 0.656,
calibration error 0.027 on PublicTest's 3,589 faces (0.692, 0.660 and 0.016 with --tta);
0.676 on those without a twin in Training. The step was chosen on val (0.695). It ships
as `pretrained:emotion7` and is the third of these; the first, of fer5's network, has
0.665 on PublicTest, the second 0.673 (launch/results/runs.md):

  --workdir runs/first --config.model.width=32 "--config.model.blocks=(1, 1, 1, 1)" \\
      --config.model.stem_stride=2 --config.train.epochs=28
  --workdir runs/second --config.tasks.emotion.teachers=runs/first \\
      --config.train.epochs=24
  --workdir runs/fer7 --config.tasks.emotion.teachers=runs/second --config.seed=2 \\
      --config.tasks.emotion.label_smoothing=0.0 --config.init_from=runs/combined
"""

from emotion_jax.configs import fer5
from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Like fer5, with other classes and another network."""
    config = fer5.get_config()
    config.tasks.emotion.classes = 7
    config.model.update(blocks=(1, 2, 2, 2, 1), width=16, stem_stride=1)
    config.train.epochs = 36.0
    return config
