"""From tables to batches: one order, two feeds.

The order of the faces is a pure function of the step: it depends on the seed and on
nothing that a kill, a device or a process could change. The resident feed keeps the
tables on the devices, where the step gathers its rows; the streamed feed gathers on
the host. Both give the same bits.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import lru_cache

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int

from emotion_jax import registry, sharding
from emotion_jax.data.table import Faces, Split
from emotion_jax.errors import Mistake
from emotion_jax.optim import Plan


def concatenate(splits: list[Split]) -> Split:
    """Several splits as one; an extra column stays where all of them have it."""
    if len(splits) == 1:
        return splits[0]
    extra = set.intersection(*(set(s.extra) for s in splits))
    return Split(
        source="+".join(s.source for s in splits),
        path="",
        name="+".join(dict.fromkeys(s.name for s in splits)),
        faces=jax.tree.map(lambda *x: np.concatenate(x), *(s.faces for s in splits)),
        rows=np.concatenate([s.rows for s in splits]),
        classes=tuple(dict.fromkeys(c for s in splits for c in s.classes)),
        extra={k: np.concatenate([s.extra[k] for s in splits]) for k in sorted(extra)},
    )


@lru_cache(maxsize=16)
def epoch_order(seed: int, source: int, epoch: int, size: int) -> np.ndarray:
    """The permutation of one source's faces in one of its epochs."""
    bits = np.random.Philox(np.random.SeedSequence((seed, source, epoch)))
    return np.random.Generator(bits).permutation(size)


def batch_indices(
    step: int, seed: int, sizes: tuple[int, ...], counts: tuple[int, ...]
) -> Int[np.ndarray, " b"]:
    """The rows of one batch in the concatenated table of all sources.

    Every face comes once per epoch of its source, and every batch holds `counts[i]`
    faces of source i; an epoch may end inside a batch.

    Args:
      sizes: number of faces of each source.
      counts: faces that each source gives to a batch.
    """
    rows, offset = [], 0
    for source, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        positions = np.arange(step * count, (step + 1) * count)
        for epoch in range(positions[0] // size, positions[-1] // size + 1):
            inside = positions[positions // size == epoch] % size
            rows.append(offset + epoch_order(seed, source, epoch, size)[inside])
        offset += size
    return np.concatenate(rows).astype(np.int32)


def batch_counts(batch_size: int, weights: tuple[float, ...]) -> tuple[int, ...]:
    """How many faces each source gives to a batch: largest remainders."""
    if min(weights) <= 0:
        raise Mistake(f"config.feed.shares must be above 0, got {weights}")
    exact = batch_size * np.array(weights) / sum(weights)
    counts = np.floor(exact).astype(int)
    for i in np.argsort(counts - exact, kind="stable")[: batch_size - counts.sum()]:
        counts[i] += 1
    if not counts.all():
        raise Mistake(
            f"a batch of {batch_size} leaves no place for a source; raise "
            "config.train.batch_size, or set config.feed.shares"
        )
    return tuple(int(count) for count in counts)


@dataclasses.dataclass(frozen=True)
class Order:
    """Which rows of the concatenated table each step takes."""

    seed: int
    sizes: tuple[int, ...]
    counts: tuple[int, ...]

    def __call__(self, step: int) -> Int[np.ndarray, " b"]:
        return batch_indices(step, self.seed, self.sizes, self.counts)


class Resident:
    """The tables live on every device; a step is handed its row numbers."""

    def __init__(self, faces: Faces, order: Order, mesh: Mesh):
        self.tables = sharding.place(faces, sharding.whole(mesh))
        self.order, self.split = order, sharding.split(mesh)

    def batches(self, start: int) -> Iterator[tuple]:
        """The inputs of each step from `start` on."""
        step = start
        while True:
            yield self.tables, sharding.place(self.order(step), self.split)
            step += 1

    @staticmethod
    def gather(inputs: tuple) -> Faces:
        """The batch, inside the step."""
        tables, rows = inputs
        return jax.tree.map(lambda t: t.at[rows].get(mode="promise_in_bounds"), tables)


class Streamed:
    """The tables stay on the host, which gathers one batch ahead of the step."""

    def __init__(self, faces: Faces, order: Order, mesh: Mesh):
        self.faces, self.order, self.split = faces, order, sharding.split(mesh)

    def batches(self, start: int) -> Iterator[Faces]:
        """The inputs of each step from `start` on."""
        step, ahead = start + 1, self._load(start)
        while True:
            # Transfers are asynchronous: the next one overlaps the step just begun.
            batch, ahead = ahead, self._load(step)
            yield batch
            step += 1

    def _load(self, step: int) -> Faces:
        rows = self.order(step)
        return sharding.place(
            jax.tree.map(lambda table: table[rows], self.faces), self.split
        )

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
) -> Feed:
    """The feed of a config's `feed` section, over all sources.

    Args:
      shares: each source's share of a batch; empty means by its number of faces.
    """
    sharding.check_divides(plan.batch_size, mesh, "train.batch_size")
    for source in (shares.keys() ^ train.keys()) if shares else ():
        raise registry.unknown("or missing source in config.feed.shares", source, train)
    sizes = tuple(len(split) for split in train.values())
    weights = tuple(shares.get(n, len(s)) for n, s in train.items())
    order = Order(seed, sizes, batch_counts(plan.batch_size, weights))
    faces = concatenate(list(train.values())).faces
    return registry.pick("feed", name, FEEDS)(faces, order, mesh)
