"""Tasks: what a label is, its loss, its step metrics and its report.

The table, the pipeline, the augmentation and the network's heads read only what a task
declares, so a third task takes one subclass of Classes or Points and a line in TASKS.
"""

from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from emotion_jax import losses, registry
from emotion_jax.errors import Mistake
from emotion_jax.tasks.emotion import Emotion
from emotion_jax.tasks.keypoints import Keypoints
from emotion_jax.tasks.task import Task

TASKS = {"emotion": Emotion, "keypoints": Keypoints}


def make_tasks(sections: Mapping[str, Mapping]) -> dict[str, Task]:
    """A config's `tasks` section as tasks, in the order of TASKS."""
    if not sections:
        raise Mistake(f"config.tasks names none of {', '.join(TASKS)}")
    for name in sections:
        registry.pick("task", name, TASKS)
    return {
        name: registry.call(f"config.tasks.{name}", make, **sections[name])
        for name, make in TASKS.items()
        if name in sections
    }


def mirrored(names: tuple[str, ...]) -> tuple[int, ...]:
    """For each point, the one that takes its place when the face is mirrored."""
    swap = {"left": "right", "right": "left"}
    other = ["_".join(swap.get(word, word) for word in n.split("_")) for n in names]
    return tuple(names.index(name) for name in other)


def total_and_count(
    values: Float[Array, "..."], mask: Bool[Array, "..."]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """A masked sum and what to divide it by; pairs add up over batches and devices."""
    return jnp.where(mask, values, 0.0).sum(), mask.sum().astype(jnp.float32)


def with_counts(tasks: Mapping[str, Task], splits: Iterable) -> dict[str, Task]:
    """The tasks, told how many faces of each class they are trained on."""

    def count(name: str) -> tuple[int, ...]:
        faces = [split.faces for split in splits]
        known = [f["labels"][name][f["known"][name]] for f in faces]
        return tuple(np.concatenate(known).sum(0).round().astype(int).tolist())

    made = dict(tasks)
    for name, task in tasks.items():
        if task.kind == "classes":
            made[name] = task.counted(count(name))
    return made


def losses_and_metrics(
    tasks: Mapping[str, Task],
    outputs: dict,
    labels: dict,
    known: dict,
    side: int,
    taught: Mapping[str, Array] = {},
) -> tuple[Float[Array, ""], dict[str, tuple[jax.Array, jax.Array]]]:
    """The weighted sum of the tasks' mean losses; all metrics as (total, count).

    Args:
      taught: the teachers' answers, for the tasks that have teachers.
    """
    loss, metrics = jnp.zeros(()), {}
    for name, task in tasks.items():
        args = outputs[name], labels[name], known[name], side
        total, count = total_and_count(*task.loss_of(*args))
        metrics[f"{name}/loss"] = total, count
        mean = total / jnp.maximum(count, 1.0)
        if name in taught:
            lesson = task.lesson(outputs[name], taught[name], side).mean()
            metrics[f"{name}/lesson"] = lesson, jnp.ones(())
            mean += task.teacher_share * (lesson - mean)
        if task.weight == "learned":  # without labels, learn no noise
            some = (count > 0) | (name in taught)
            log_variance = jnp.where(some, outputs["log_variance"][name], 0.0)
            loss += losses.uncertain(mean, log_variance)
        else:
            loss += task.weight * mean
        for key, (values, mask) in task.metrics(*args).items():
            metrics[f"{name}/{key}"] = total_and_count(values, mask)
    return loss, {"loss": (loss, jnp.ones(()))} | metrics
