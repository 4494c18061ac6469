"""Like combined, with a network for TPUs and GPUs: wide where maps are large.

  python -m emotion_jax.train --config configs/wide.py --workdir runs/wide \\
      --data fer2013=fer2013.csv keypoints=training.csv --config.train.epochs=85

At 24x24 its 256 channels fill a TPU's lanes twice, and each byte of a feature map
serves as many more products; each later stage has half the width of the one before, so
there are 1.85 million parameters. Against combined: 512 faces a batch and, by its
square root, twice the learning rate.

Result (seed 0, 85 epochs on one H100, jax 0.11.2; emotions taught by three networks of
seven classes, points by pretrained:keypoints): on val accuracy 0.820, macro-F1 0.645
and 1.36 px; not measured on held-out faces (launch/results/runs.md). On TPU v5e, 512
faces a chip: 13.7 MB a face, taking 0.76 of the FLOPs' time. On a CPU use combined: a
step of this costs ten times the FLOPs.
"""

from emotion_jax.configs import combined
from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Like combined, except what is set here."""
    config = combined.get_config()
    config.tasks.emotion.label_smoothing = 0.1
    config.tasks.keypoints.weight = 0.7
    config.model.update(blocks=(1, 1, 1), width=256, growth=0.5, stem_stride=2)
    config.train.update(epochs=26.0, batch_size=512)
    config.optim.learning_rate = 0.03
    config.eval.every = config.checkpoint.every = "3 epochs"
    return config
