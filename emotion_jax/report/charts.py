"""The charts of a data set: dark ink on white, which the page inverts in dark mode."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from emotion_jax.report import mosaic
from emotion_jax.report.page import count

PALETTE = ("#2f6fde", "#e8833a", "#2ea27a", "#8e5bd0", "#c8473f")
WIDTH = 9.0  # of a figure, in inches
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8a92",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e8",
    "text.parse_math": False,  # a class may be called $a$
    "legend.frameon": False,
    "savefig.dpi": 110,
}
DARK = {  # faces must not be inverted in dark mode, so their chart is always dark
    "figure.facecolor": mosaic.GROUND,
    "axes.facecolor": mosaic.GROUND,
    "axes.titlecolor": mosaic.INK,
    "axes.edgecolor": mosaic.INK,
    "axes.grid": False,
    "xtick.color": mosaic.INK,
    "ytick.color": mosaic.INK,
}


def figure_of(height: float, columns: int, **options) -> tuple:
    """A figure of this height in inches, and its axes in a row, without titles yet."""
    from matplotlib.figure import Figure  # import it only when drawing

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(1, columns, **options)


@contextlib.contextmanager
def drawing(style: Mapping = STYLE) -> Iterator[None]:
    """Applies the charts' style while a chart is drawn."""
    import matplotlib

    with matplotlib.rc_context(style), mosaic.any_script():
        yield


def draw_classes(
    path: Path,
    counts: Mapping[str, Mapping],
    shown: Sequence[str],
    parts: Sequence[str],
) -> None:
    """Draws the number of faces in each shown class, and its share of every split."""
    with drawing():
        figure, (left, right) = figure_of(0.9 + 0.3 * len(shown), 2, sharey=True)
        at, before = np.arange(len(shown)), np.zeros(len(shown))
        for k, part in enumerate(parts):
            mine = np.array([counts[name][part] for name in shown])
            everyone = sum(row[part] for row in counts.values())
            color = PALETTE[k % len(PALETTE)]
            left.barh(at, mine, left=before, color=color, height=0.62, label=part)
            share = 100 * mine / max(everyone, 1)
            right.plot(share, at, "o", color=color, markersize=6, alpha=0.85)
            before = before + mine
        left.set_yticks(at, [mosaic.short(name) for name in shown])
        left.invert_yaxis()
        left.set_title("faces")
        right.set_title("percent of the split")
        right.set_xlim(0, 1.06 * right.get_xlim()[1])
        for axis in (left, right):
            axis.grid(False, axis="y")
            axis.tick_params(axis="y", length=0)
        if len(parts) > 1:
            figure.legend(loc="outside lower center", ncols=len(parts))
        figure.savefig(path)


def draw_light(
    path: Path, values: Mapping[str, Float[np.ndarray, " n"]], found: Mapping
) -> None:
    """Draws a histogram of all faces, and below it each group's middle nine tenths."""
    with drawing():
        groups = list(found["brightness"])
        figure, axes = figure_of(2.4 + 0.22 * len(groups), 2)
        for axis, (what, value) in zip(axes, values.items(), strict=True):
            count, edges = np.histogram(value, bins=64)
            axis.stairs(count / count.max(), edges, fill=True, color=PALETTE[0])
            for k, name in enumerate(groups):
                span, y = found[what][name], -0.16 * (k + 1)
                axis.plot([span["p5"], span["p95"]], [y, y], color="#8a8a92", lw=2)
                axis.plot(span["median"], y, "o", color=PALETTE[1], markersize=5)
            ticks = [-0.16 * (k + 1) for k in range(len(groups))]
            axis.set_yticks(ticks, [mosaic.short(name) for name in groups])
            axis.set_title(f"{what}, in gray levels")
            axis.grid(False, axis="y")
            axis.tick_params(axis="y", length=0)
            axis.spines["left"].set_visible(False)
        figure.savefig(path)


def draw_points(
    path: Path,
    mean_face: UInt8[np.ndarray, "h w"],
    points: Float[np.ndarray, "n p 2"],
    known: Bool[np.ndarray, "n p"],
    names: Sequence[str],
) -> None:
    """Draws all points of up to 1,000 faces on the mean face, and each point's mean."""
    with drawing(STYLE | DARK):
        figure, axes = figure_of(WIDTH / 2 + 0.3, 2)
        some = np.linspace(0, len(points) - 1, min(len(points), 1000)).astype(int)
        kinds = np.array(mosaic.sides(names))
        side = len(mean_face)
        low = min(0.0, float(points[known].min(initial=0))) - 1
        high = max(side - 1.0, float(points[known].max(initial=0))) + 1
        for axis in axes:
            axis.imshow(mean_face, cmap="gray", vmin=0, vmax=255)
            axis.set(xlim=(low, high), ylim=(high, low))
        for kind, color in mosaic.SIDES.items():
            mine = known[some] & (kinds == kind)
            shown = points[some][mine].T
            axes[0].plot(*shown, ".", color=color, markersize=1.8, alpha=0.4)
        for p, kind in enumerate(kinds):
            mine = points[known[:, p], p]
            if len(mine):
                spread = 2 * mine.std(0)[:, None]
                axes[1].errorbar(
                    *mine.mean(0),
                    *spread[::-1],
                    color=mosaic.SIDES[kind],
                    fmt="o",
                    ms=4,
                )
        faces = count(len(some), "face", "faces")
        axes[0].set_title(f"the points of {faces}, on the mean face")
        axes[1].set_title("each point's mean, and twice its spread")
        figure.savefig(path)


def draw_bars(path: Path, values: Mapping[str, float], title: str) -> None:
    """Draws a bar for each name, the first at the top; the axis goes to at least 1."""
    with drawing():
        figure, axis = figure_of(0.7 + 0.22 * len(values), 1)
        at = np.arange(len(values))
        axis.barh(at, list(values.values()), color=PALETTE[0], height=0.62)
        axis.set_yticks(at, [name.replace("_", " ") for name in values])
        axis.invert_yaxis()
        axis.set_xlim(0, max(1, axis.get_xlim()[1]))
        axis.set_title(title)
        axis.grid(False, axis="y")
        axis.tick_params(axis="y", length=0)
        figure.savefig(path)
