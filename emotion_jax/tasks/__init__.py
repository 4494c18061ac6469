"""Tasks: what a label is, its loss, its step metrics and its report.

The table, the pipeline, the augmentation and the network's heads read only what a task
declares, so a third task takes one subclass of Classes or Points and a line in TASKS.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

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


def alone(by_task: Mapping[str, Any], none: Any = ()) -> Any:
    """What files tell of tasks: the only task's; of several, by name; else `none`."""
    return by_task if len(by_task) > 1 else next(iter(by_task.values()), none)


def listed(names: Collection[str]) -> str:
    """Names in a sentence: `a`, `a and b`, `a, b and c`."""
    *first, last = names or ("",)
    return f"{', '.join(first)} and {last}" if first else last


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


def with_counts(
    tasks: Mapping[str, Task], splits: Iterable, per_step: Float[np.ndarray, " n"]
) -> dict[str, Task]:
    """The tasks, told how many faces of each class they are trained on.

    A face counts as often as batches have it, which is once on average over those with
    a label: what the batches hold follows the feed's shares, not the files' sizes.

    Args:
      per_step: how many times a step takes each of the n faces of all splits.
    """

    def count(name: str) -> list[float]:
        faces = [split.faces for split in splits]
        known = np.concatenate([f["known"][name] for f in faces])
        label = np.concatenate([f["labels"][name] for f in faces])[known]
        times = per_step[known]
        return ((times * len(times) / times.sum()) @ label).tolist()

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
