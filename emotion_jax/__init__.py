"""Train residual networks to read a face: its emotion and its fifteen keypoints."""

__version__ = "0.1.0"
