"""The binaries, each as far as it is not slow: a config is traced, not compiled."""

import functools
import os
import types
from pathlib import Path

import jax
import tiny
from case import Reached
from ml_collections import ConfigDict

from emotion_jax import checkpoint as checkpoints
from emotion_jax import evaluate as evaluating
from emotion_jax import step
from emotion_jax import train as training
from emotion_jax.data import synthetic
from emotion_jax.data import write_csv as writing
from emotion_jax.report import augmentations as drawing


def trace(make, *, network, optimizer, feed, seed, **rest):
    """Instead of making the step, traces it: all that the config says is in it."""
    inputs = next(feed.batches(0))
    side = jax.eval_shape(feed.gather, inputs)["image"].shape[1]
    init = step.make_init(network, optimizer, seed, side)
    made = make(network=network, optimizer=optimizer, feed=feed, seed=seed, **rest)
    jax.eval_shape(made, jax.eval_shape(init), inputs)
    raise Reached


def draw_few(draw_many, faces: int, seed: int) -> dict:
    """As `draw_many`, unless they take long."""
    if faces > 100:
        raise Reached
    return draw_many(faces, seed)


def reach(*_, **__):
    raise Reached


class AtStart(types.SimpleNamespace):
    """No state that was restored, so `init_from` is read; but none is made."""

    step = 0

    def __bool__(self):
        return False


INSTEAD = (
    (step, "make_train_step", functools.partial(trace, step.make_train_step)),
    (synthetic, "draw_many", functools.partial(draw_few, synthetic.draw_many)),
    (checkpoints.Checkpoints, "restore", lambda self, like: AtStart()),
    (evaluating, "numbers_of", reach),
    (drawing, "draw", reach),
    (writing, "resize", reach),
)


def quick(binary):
    """The binary with what is slow left out."""

    def run(args: list[str]) -> None:
        before = [(module, name, getattr(module, name)) for module, name, _ in INSTEAD]
        for module, name, function in INSTEAD:
            setattr(module, name, function)
        try:
            binary(args)
        finally:
            for module, name, function in before:
                setattr(module, name, function)

    run.__name__ = binary.__module__
    return run


train, evaluate = quick(training.main), quick(evaluating.main)
augmentations, write_csv = quick(drawing.main), quick(writing.main)


def checkpoint() -> str:
    """A workdir of two steps, made by whoever drives."""
    return os.environ["FUZZ_CHECKPOINT"]


def write_config(folder: Path, fields: dict, name: str = "config.py") -> str:
    """A config file: the tiny run with some fields set, whatever their values."""
    return write_dict(folder, set_fields(tiny.config().to_dict(), fields), name)


def write_dict(folder: Path, config: object, name: str = "config.py") -> str:
    """A config file of this dict; a ConfigDict takes what it can."""
    lines = ["from ml_collections import ConfigDict", "nan = inf = 1e999", "nan -= inf"]
    lines += ["def get_config():", f"    return ConfigDict({config!r})", ""]
    (folder / name).write_text("\n".join(lines))
    return name


def set_fields(config: dict, fields: dict) -> dict:
    """The dict with fields set by their full names; sections are made for them."""
    for name, value in fields.items():
        *sections, field = name.split(".")
        at = config
        for section in sections:
            if not isinstance(at.get(section), dict | ConfigDict):
                at[section] = {}
            at = at[section]
        at[field] = value
    return config
