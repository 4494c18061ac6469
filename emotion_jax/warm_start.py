"""Warm start: uses whatever fits from another run's checkpoint, of any network.

A parameter fits if its path and its shape agree, so a specialist's trunk and head fit
into the combined network, and the other way round; a head fits only if it names the
same classes or points in the same order. The course's weights, as Keras saves them, fit
the course's networks.
"""

import inspect
import shlex
from collections.abc import Mapping

import jax
from jax.sharding import Mesh

from emotion_jax import bucket, checkpoint, logs, pretrained, sharding
from emotion_jax.errors import Mistake
from emotion_jax.models import MODELS, keras_weights, make_network
from emotion_jax.step import TrainState
from emotion_jax.tasks import Task
from emotion_jax.trees import by_path


def load(
    name: str, like: TrainState, mesh: Mesh, model: Mapping, tasks: Mapping[str, Task]
) -> dict[str, jax.Array]:
    """The arrays of a checkpoint that fit, by path; the rest are reported.

    Args:
      name: a workdir or one step's folder, or a Keras file of the course's weights;
        "" means no warm start.
      like: the shapes of the state to start.
      model: the config's section, to tell what differs if the trunk does not fit.

    Raises:
      Mistake: nothing fits; names the flags with which it would.
    """
    if not name:
        return {}
    if name.endswith(keras_weights.SUFFIXES):
        source, flags, others = name, "", {}
        there = sharding.place(keras_weights.read(name), sharding.whole(mesh))
    else:
        folder, meta, variables = checkpoint.read(name, mesh, "config.init_from")
        source = pretrained.name_of(folder) or bucket.origin(folder)
        flags, there = flags_for(meta.config["model"], model), by_path(variables)
        others = heads_of_others(meta.names, tasks)
    here = by_path({"params": like.params, "batch_stats": like.batch_stats})
    fits = {
        path: array
        for path, array in there.items()
        if path in here
        and here[path].shape == array.shape
        and path.split("/")[1] not in others
    }
    if not fits:
        raise Mistake(
            f"nothing in {name} fits this network; give it "
            f"{flags or 'the same config.model'}"
        )
    logs.say(f"started from {source}: {len(fits)} of {len(here)} arrays")
    for why in others.values():
        logs.say(f"  {why}")
    for what, arrays in (("new here", here), ("left there", there)):
        for path in sorted(arrays.keys() - fits.keys()):
            logs.say(f"  {what}: {path} {arrays[path].shape}")
    rest = (here.keys() | there.keys()) - fits.keys()
    if flags and any(path.split("/")[1] == "trunk" for path in rest):
        logs.say(f"only part of the trunk is taken; for all of it give {flags}")
    return fits


def heads_of_others(
    theirs: Mapping[str, tuple[str, ...]], tasks: Mapping[str, Task]
) -> dict[str, str]:
    """The heads that read something else there, by module: why they do not fit."""
    return {
        f"heads_{name}": f"{name} is {', '.join(task.names)} here, and was "
        f"{', '.join(theirs[name])} there"
        for name, task in tasks.items()
        if theirs.get(name, task.names) != task.names
    }


def flags_for(theirs: Mapping, ours: Mapping) -> str:
    """What makes our trunk like theirs, ready for a shell; "" if nothing has to."""
    not_its = inspect.signature(make_network).parameters.keys() - {"name"}
    fields = sorted({*theirs, *ours} - not_its)
    wanted, given = in_full(theirs), in_full(ours)
    if set(fields) - wanted.keys():  # a flag can add a field, but not remove one
        section = str({name: wanted[name] for name in theirs})
        return shlex.quote("--config.model=" + section.replace("'", '"'))
    return " ".join(
        shlex.quote(f"--config.model.{field}={wanted[field]}")
        for field in fields
        if wanted[field] != given.get(field)
    )


def in_full(model: Mapping) -> dict:
    """A `model` section with the fields that it leaves at their defaults."""
    trunk = MODELS.get(model["name"], MODELS["resnet"])
    defaults = {n: p.default for n, p in inspect.signature(trunk).parameters.items()}
    given = {n: tuple(v) if isinstance(v, list) else v for n, v in model.items()}
    return defaults | given
