"""From tables to batches: one order, two feeds.

The order of the faces is a pure function of the seed and the step: restarts and the
number of devices or processes do not change it. The resident feed keeps the tables on
the devices, where the step gathers its rows; the streamed feed gathers on the host.
Both give the same bits.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int

from emotion_jax import registry, sharding
from emotion_jax.data.table import Faces, Split, concatenate
from emotion_jax.errors import Mistake
from emotion_jax.plan import Plan


def epoch_order(seed: int, source: int, epoch: int, size: int) -> np.ndarray:
    """The permutation of one group's faces in one of its epochs."""
    bits = np.random.Philox(np.random.SeedSequence((seed, source, epoch)))
    return np.random.Generator(bits).permutation(size)


def batch_indices(
    step: int,
    seed: int,
    groups: Sequence[np.ndarray],
    counts: Sequence[int],
    draw: Callable = epoch_order,
) -> tuple[Int[np.ndarray, " b"], Float[np.ndarray, " b"]]:
    """The rows of one batch in the concatenated table, and the epoch each is in.

    Every face comes once per epoch of its group, and every batch holds `counts[i]`
    faces of group i; an epoch may end inside a batch.

    Args:
      groups: the rows of each source, or of each class in it if classes are balanced.
      counts: the number of faces that each group contributes to a batch.
      draw: `epoch_order`, which may remember what it drew.
    """
    rows, epochs = [], []
    for number, (group, count) in enumerate(zip(groups, counts, strict=True)):
        size = len(group)
        positions = np.arange(step * count, (step + 1) * count)
        for epoch in range(positions[0] // size, positions[-1] // size + 1):
            inside = positions[positions // size == epoch] % size
            rows.append(group[draw(seed, number, epoch, size)[inside]])
        epochs.append(positions / size)
    exact = np.concatenate(epochs)
    within = np.nextafter(np.float32(np.floor(exact) + 1), np.float32(0))
    return np.concatenate(rows).astype(np.int32), np.minimum(np.float32(exact), within)


def batch_counts(batch_size: int, weights: tuple[float, ...]) -> tuple[int, ...]:
    """How many faces each group contributes to a batch, by largest remainders."""
    if min(weights) <= 0:
        raise Mistake(f"config.feed.shares must be above 0, got {weights}")
    exact = batch_size * np.array(weights) / sum(weights)
    counts = np.floor(exact).astype(int)
    for i in np.argsort(counts - exact, kind="stable")[: batch_size - counts.sum()]:
        counts[i] += 1
    if not counts.all():
        raise Mistake(
            f"a batch of {batch_size} leaves no place for a source or a class of one; "
            "raise config.train.batch_size, or config.feed.shares or balance"
        )
    return tuple(int(count) for count in counts)


@dataclasses.dataclass(frozen=True)
class Order:
    """Which rows of the concatenated table each step takes.

    Attributes:
      shuffled: whether the groups are shuffled together within a batch, as groups of
        one class must be if neighbours are mixed.
    """

    seed: int
    groups: Sequence[np.ndarray]
    counts: Sequence[int]
    shuffled: bool = False

    @cached_property
    def draw(self) -> Callable:
        """`epoch_order`, which remembers each group's epochs that meet in a batch."""
        return lru_cache(2 * len(self.groups))(epoch_order)

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        """Each face's `row`, int32[b], and the `epoch` it is in, float32[b]."""
        given = self.seed, self.groups, self.counts
        rows, epochs = batch_indices(step, *given, self.draw)
        if self.shuffled:  # as if it were an epoch of one more group
            order = epoch_order(self.seed, len(self.groups), step, len(rows))
            rows, epochs = rows[order], epochs[order]
        return {"row": rows, "epoch": epochs}

    @property
    def per_step(self) -> Float[np.ndarray, " n"]:
        """How many times a step takes each row of the table, on average."""
        times = np.zeros(sum(map(len, self.groups)))
        for group, count in zip(self.groups, self.counts, strict=True):
            times[group] = count / len(group)
        return times


class Resident:
    """The tables live on every device; a step only gets its row numbers.

    There each image's pixels form one row. As a square, a TPU would store them in tiles
    from which no face can be cut, and copy the whole table at every step. (Compiled for
    v5e, 32,768 faces of 48x48: 3.7 of the 3.8 million cycles of a gather.)
    """

    def __init__(self, faces: Faces, order: Order, mesh: Mesh):
        self.tables = sharding.place(flat(faces), sharding.whole(mesh))
        self.order, self.split = order, sharding.split(mesh)

    def batches(self, start: int) -> Iterator[tuple]:
        """The inputs of each step from `start` on."""
        for step in itertools.count(start):
            yield self.tables, sharding.place(self.order(step), self.split)

    @staticmethod
    def gather(inputs: tuple) -> Faces:
        """The batch, inside the step."""
        tables, order = inputs
        row = order["row"]
        batch = jax.tree.map(lambda t: t.at[row].get(mode="promise_in_bounds"), tables)
        side = math.isqrt(batch["image"].shape[1])
        image = batch["image"].reshape(-1, side, side, 1)
        return batch | order | {"image": image}


def flat(faces: Faces) -> Faces:
    """The same faces, with each image's pixels in one row: uint8[n h*w]."""
    image = faces["image"]
    return faces | {"image": image.reshape(len(image), -1)}


class Streamed:
    """The tables stay on the host, which gathers one batch ahead of the step."""

    def __init__(self, faces: Faces, order: Order, mesh: Mesh):
        self.faces, self.order, self.split = faces, order, sharding.split(mesh)

    def batches(self, start: int) -> Iterator[Faces]:
        """The inputs of each step from `start` on."""
        ahead = self._load(start)
        for step in itertools.count(start + 1):
            # Transfers are asynchronous: the next one overlaps the current step.
            batch, ahead = ahead, self._load(step)
            yield batch

    def _load(self, step: int) -> Faces:
        order = self.order(step)
        batch = jax.tree.map(lambda table: table[order["row"]], self.faces)
        return sharding.place(batch | order, self.split)

    @staticmethod
    def gather(inputs: Faces) -> Faces:
        """The batch, inside the step."""
        return inputs


FEEDS = {"resident": Resident, "streamed": Streamed}
Feed = Resident | Streamed


def make_feed(
    train: Mapping[str, Split],
    plan: Plan,
    seed: int,
    mesh: Mesh,
    *,
    name: str,
    shares: Mapping[str, float],
    balance: Mapping[str, float] | None = None,
) -> Feed:
    """The feed of a config's `feed` section, over all sources.

    Args:
      shares: each source's share of a batch; if empty, by its number of faces.
      balance: a task of classes and how far to balance them, {"emotion": 1.0}: 0 keeps
        each class's share, 1 makes all shares in a source equal, 0.5 is in between.
    """
    sharding.check_divides(plan.batch_size, mesh, "train.batch_size")
    for source in shares.keys() - train.keys():
        raise registry.unknown("source in config.feed.shares", source, train)
    for source in train.keys() - shares.keys() if shares else ():
        raise Mistake(
            f"config.feed.shares lacks {source}: it names all sources or none"
        )
    groups, weights, offset = [], [], 0
    for source, split in train.items():
        share = shares.get(source, len(split))
        for rows, weight in balanced(split.faces, balance or {}):
            groups.append(offset + rows)
            weights.append(share * weight)
        offset += len(split)
    counts = batch_counts(plan.batch_size, tuple(weights))
    order = Order(seed, groups, counts, shuffled=bool(balance))
    faces = concatenate(list(train.values())).faces
    return registry.pick("feed", name, FEEDS)(faces, order, mesh)


def balanced(
    faces: Faces, balance: Mapping[str, float]
) -> list[tuple[np.ndarray, float]]:
    """Groups of a source's rows, each with its share of the source."""
    size = len(faces["image"])
    if not balance:
        return [(np.arange(size), 1.0)]
    (task, power), *more = balance.items()
    classes = {name for name, label in faces["labels"].items() if label.ndim == 2}
    if more or task not in classes:
        found = ", ".join(sorted(classes)) or "none"
        raise Mistake(
            f"config.feed.balance names one task of classes (there is {found}), "
            f"got {', '.join(balance)}"
        )
    if not 0 <= power <= 1:
        raise Mistake(f"config.feed.balance.{task} is {power}, must be in [0, 1]")
    label = faces["labels"][task].argmax(-1)
    label[~faces["known"][task]] = -1  # faces without a class are a group of their own
    rows = [np.flatnonzero(label == value) for value in np.unique(label)]
    weights = np.array([len(group) ** (1.0 - power) for group in rows])
    return list(zip(rows, weights / weights.sum()))
