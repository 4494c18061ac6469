"""Augmentation on the device, inside the step, as a config's `augment` section says.

The section names augmentations and their fields. Each also takes `probability`, how
often it applies to a face; `policy` says how they are combined.
"""

import dataclasses
import inspect
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from emotion_jax import registry
from emotion_jax.data import geometry
from emotion_jax.data.geometry import GEOMETRY
from emotion_jax.data.mixing import MIXING
from emotion_jax.data.photometry import PHOTOMETRY, SHAPES
from emotion_jax.errors import Mistake
from emotion_jax.tasks import Task, mirrored, offset

AUGMENTATIONS = GEOMETRY | PHOTOMETRY | MIXING
PROBABILITY = {"flip": 0.5, "flip_vertical": 0.5, "erase": 0.5, "cutout": 0.5}
PROBABILITY |= {"mixup": 0.5, "cutmix": 0.5}
ABOVE_ZERO = ("zoom", "zoom_in", "zoom_out", "gamma", "crop", "mixup", "cutmix")
WITHIN = {"zoom_in.high": (1, math.inf), "zoom_out.low": (0, 1)}
WITHIN |= {"crop.aspect": (1, math.inf), "crop.high": (0, 1)}
WITHIN |= {"shear.degrees": (0, 80)}  # at 90 the tangent is infinite
FLIPS = ("flip", "alternating_flip", "flip_vertical")  # no policy weakens these


@dataclasses.dataclass(frozen=True)
class Policy:
    """How the augmentations are combined.

    Attributes:
      count: how many of them to apply to each face, drawn anew each time (RandAugment,
        Cubuk et al. 2020); 0 means all of them. Flips and mixing are not counted.
      strength: pairs of an epoch and a factor on every probability except the flips',
        linearly interpolated: ((0, 0.0), (5, 1.0)) grows over five epochs.
    """

    count: int = 0
    strength: Sequence[tuple[float, float]] = ()

    def __post_init__(self):
        if self.count < 0:
            raise Mistake(f"config.augment.policy.count is {self.count}, not 0 or more")
        epochs = [epoch for epoch, _ in self.strength]
        if sorted(set(epochs)) != epochs:
            raise Mistake(
                f"the epochs of config.augment.policy.strength, {epochs}, do not rise"
            )
        for _, factor in self.strength:
            if factor < 0:
                raise Mistake(
                    f"a factor of config.augment.policy.strength is {factor}, "
                    "must be at least 0"
                )

    def factor(self, epoch: Float[Array, ""]) -> Float[Array, ""] | float:
        """The strength at this (fractional) epoch of a face."""
        if not self.strength:
            return 1.0
        at, value = zip(*self.strength)
        return jnp.interp(epoch, jnp.array(at, float), jnp.array(value, float))


@dataclasses.dataclass(frozen=True, eq=False)  # jit tells two apart by identity
class Augment:
    """The augmentation that a config's `augment` section describes."""

    functions: Mapping[str, Callable]
    probability: Mapping[str, float]
    policy: Policy
    tasks: Mapping[str, Task]

    def __call__(self, key: PRNGKeyArray, batch: dict) -> dict:
        """Augments a batch.

        Each face's key depends on its place in the global batch, so the number of
        devices changes nothing.

        Args:
          batch: image float32[b h w 1] in [0, 1], labels, known, row and epoch.
            `turn` is added: float32[b 2 2], the linear part of each face's motion.
        """
        keys = jax.random.split(key, len(batch["image"]))
        batch = jax.vmap(self.alter)(keys, batch)
        mixing = self.named(MIXING)
        return self.mix(keys, batch, mixing) if mixing else batch

    def named(self, table: Mapping[str, Callable]) -> dict[str, Callable]:
        """Those of the table's augmentations that are in use, in the table's order."""
        return {name: self.functions[name] for name in table if name in self.functions}

    def alter(self, key: PRNGKeyArray, face: dict) -> dict:
        """Applies to one face everything that needs no other face."""
        applies = self.draw(key, face["epoch"])
        face = self.move(key, face, applies)
        image = face["image"]
        for name, function in self.named(PHOTOMETRY).items():
            altered = jnp.clip(function(key_of(key, name), image), 0.0, 1.0)
            image = choose(applies[name], altered, image)
        return face | {"image": image}

    def draw(self, key: PRNGKeyArray, epoch: Float[Array, ""]) -> dict:
        """Which augmentations this face gets; a Python True where it always does."""
        names = [n for n in (*GEOMETRY, *PHOTOMETRY) if n in self.functions]
        counted = [name for name in names if name not in FLIPS]
        dice = key_of(key, "applies")
        rank = jax.random.permutation(key_of(key, "policy"), max(len(counted), 1))
        applies = {}
        for name in names:
            likely = self.probability[name]
            if name not in FLIPS:
                likely = likely * self.policy.factor(epoch)
            sure = isinstance(likely, float) and likely >= 1
            chance = jax.random.uniform(key_of(dice, name))
            applies[name] = True if sure else chance < likely
            if self.policy.count and name in counted:
                applies[name] &= rank[counted.index(name)] < self.policy.count
        return applies

    def move(self, key: PRNGKeyArray, face: dict, applies: Mapping) -> dict:
        """Applies the geometry to one face: one warp of its pixels, and its points."""
        functions, still = self.named(GEOMETRY), geometry.affine()
        if not functions:
            return face | {"turn": still[:2, :2]}
        matrix, side = still, face["image"].shape[0]
        for name, function in functions.items():
            drawn = function(key_of(key, name), face)
            matrix = geometry.compose(choose(applies[name], drawn, still), matrix)
        matrix = geometry.centred(matrix, side)
        labels, known = dict(face["labels"]), dict(face["known"])
        for name, task in self.tasks.items():
            if task.kind == "points":
                mirror = mirrored(task.names)
                swapped = known[name][jnp.array(mirror)]
                mirrors = geometry.determinant(matrix) < 0
                labels[name] = geometry.move_points(labels[name], matrix, mirror)
                known[name] = jnp.where(mirrors, swapped, known[name])
        image = geometry.warp(face["image"], matrix)
        moved = {"image": image, "labels": labels, "known": known}
        return face | moved | {"turn": matrix[:2, :2]}

    def mix(self, keys: Key[Array, " b"], batch: dict, mixing: Mapping) -> dict:
        """Mixes each face with the previous one in the batch, if both have classes.

        A face gets at most one kind of mixing; its points then no longer count.
        """
        classes = [n for n, task in self.tasks.items() if task.kind == "classes"]
        other = jax.tree.map(lambda x: jnp.roll(x, 1, 0), batch)
        able = jnp.all(
            jnp.stack([batch["known"][n] & other["known"][n] for n in classes]), 0
        )
        chance = jax.vmap(lambda k: jax.random.uniform(key_of(k, "mix")))(keys)
        chance = chance / jax.vmap(self.policy.factor)(batch["epoch"])
        image, share, start = batch["image"], jnp.ones(len(able)), 0.0
        for name, function in mixing.items():
            inside = (
                able & (chance >= start) & (chance < start + self.probability[name])
            )
            start += self.probability[name]
            own = jax.vmap(lambda k, n=name: key_of(k, n))(keys)
            mixed, left = jax.vmap(function)(own, batch["image"], other["image"])
            image = jnp.where(inside[:, None, None, None], mixed, image)
            share = jnp.where(inside, left, share)
        labels, known = dict(batch["labels"]), dict(batch["known"])
        for name, task in self.tasks.items():
            if task.kind == "classes":
                part = share[:, None] * labels[name]
                labels[name] = part + (1 - share)[:, None] * other["labels"][name]
            else:
                known[name] = known[name] & (share == 1)[:, None]
        return batch | {"image": image, "labels": labels, "known": known}


def key_of(key: PRNGKeyArray, name: str) -> PRNGKeyArray:
    """A face's key for one augmentation: adding one changes nothing for the others."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def choose(applies, altered: Array, plain: Array) -> Array:
    """`jnp.where`, skipped where the augmentation always applies."""
    return altered if applies is True else jnp.where(applies, altered, plain)


def check_values(name: str, function: Callable, options: Mapping) -> None:
    """Raises unless an augmentation's fields, already type-checked, make sense.

    A number may be negative only where its default is.
    """
    section = f"config.augment.{name}"
    parameters = inspect.signature(function).parameters
    defaults = {key: p.default for key, p in parameters.items()}
    for field, value in options.items():
        if not isinstance(value, int | float):
            continue
        signed = is_negative(defaults.get(field))
        if value < 0 and not signed or value == 0 and name in ABOVE_ZERO:
            least = "above" if name in ABOVE_ZERO else "at least"
            raise Mistake(f"{section}.{field} is {value}, must be {least} 0")
        low, high = WITHIN.get(f"{name}.{field}", (-math.inf, math.inf))
        if not low <= value <= high:
            bound = f"at least {low:g}" if value < low else f"at most {high:g}"
            raise Mistake(f"{section}.{field} is {value}, must be {bound}")
    every = defaults | options
    if {"low", "high"} <= every.keys() and every["low"] > every["high"]:
        raise Mistake(
            f"{section}.low is {every['low']}, above high, which is {every['high']}"
        )
    if name == "cutout":
        registry.pick(f"{section}.shape", every["shape"], SHAPES)


def is_negative(value: object) -> bool:
    """Whether it is a number below 0."""
    return isinstance(value, int | float) and value < 0


def make_augment(tasks: Mapping[str, Task], sections: Mapping[str, Mapping]) -> Augment:
    """The config's augmentations, each bound to its section's fields."""
    functions, probability = {}, {}
    sections = {name: dict(section) for name, section in sections.items()}
    policy = registry.call(
        "config.augment.policy", Policy, **sections.pop("policy", {})
    )
    for name, options in sections.items():
        function = registry.pick("augmentation", name, AUGMENTATIONS)
        given = 3 if name in MIXING else 2
        likely = options.pop("probability", PROBABILITY.get(name, 1.0))
        registry.check_type(f"config.augment.{name}.probability", likely, float)
        if not 0 <= likely <= 1:
            raise Mistake(f"config.augment.{name}.probability is {likely}, not in 0..1")
        registry.check_fields(
            f"config.augment.{name}", function, given, options, ["probability"]
        )
        check_values(name, function, options)
        functions[name] = partial(function, **options)
        probability[name] = float(likely)
    off = offset.learners(tasks)
    if off and not {"flip", "alternating_flip"} & functions.keys():
        raise Mistake(
            f"config.tasks.{off[0]}.learn_offset learns from mirrored faces: it wants "
            "flip or alternating_flip in config.augment"
        )
    mixing = [name for name in MIXING if name in functions]
    if mixing and not any(task.kind == "classes" for task in tasks.values()):
        raise Mistake(f"config.augment.{mixing[0]} mixes classes, and no task has any")
    if sum(probability[name] for name in mixing) > 1:
        raise Mistake("the probabilities of mixup and cutmix add up to more than 1")
    return Augment(functions, probability, policy, tasks)
