"""A report's part on a task of points: how far off, at which points, on which faces."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float

from emotion_jax.data.table import Split
from emotion_jax.report import charts, curves, mosaic
from emotion_jax.report.page import Html, folded, picture, sentences, table, tag
from emotion_jax.report.quantities import Told
from emotion_jax.scores import of_faces, relative
from emotion_jax.tasks import Task
from emotion_jax.tasks.points import FRAME
from emotion_jax.tasks.task import Seen


@dataclasses.dataclass(frozen=True)
class Points:
    """Where the network places the points of a split's faces."""

    name: str
    task: Task
    split: Split
    output: Float[np.ndarray, "n p 2"]


def parts(folder: Path, points: Points, told: Told) -> dict:
    """Each part's title and content by name; draws its pictures into the folder."""
    name, known = points.name, points.split.faces["known"][points.name]
    seen = Seen.of(name, points.output, points.split)
    error, ruler_px = points.task.errors(seen)
    distance = of_faces(relative(error, known, ruler_px))
    return {
        name: (
            name.capitalize(),
            overall(folder / f"{name}-errors.png", points.task, distance, told),
        ),
        f"{name}-each": ("Point by point", each(folder, points, told)),
        f"{name}-faces": ("Best and worst", extremes(folder, points, error, known)),
    }


def overall(
    path: Path, task: Task, distance: Float[np.ndarray, " n"], told: Told
) -> list[Html]:
    """How far off the points are, by five measures."""
    found = [
        sentences(
            f"All pixels are those of a face {FRAME} pixels wide, whatever the network "
            "sees. RMSE, ", told("rmse_px"), " on ", told("n"), " faces, is the root "
            "of the mean squared error of a coordinate, and Kaggle's score: for other "
            "such faces most likely ", told.interval("rmse_px"), ". A few large errors "
            "weigh more in it than many small ones. The mean difference from the "
            "labels is ", told("bias_x_px"), " to the right and ", told("bias_y_px"),
            " down. A large one to the side is typical of labels that lie off the "
            "picture and a network that was trained on mirrored faces without the "
            "field learn_offset.",
        )
    ]  # fmt: skip
    if not len(distance):
        return found
    curves.draw_errors(path, distance, task.unit)
    start, end = (name.replace("_", " ") for name in task.ruler)
    return [
        *found,
        picture(path, "share of faces by their mean error", "chart"),
        sentences(
            f"Divided by the true distance from {start} to {end}, errors mean the same "
            "on near and far faces. The mean is ", told("nme"), " of it (NME), and ",
            told("pck_10"), " of the points lie within a tenth of it (PCK). A face "
            "fails if the mean over its points is above a tenth (Burgos-Artizzu et "
            "al.): ", told("failure_10"), " do. The curve has every other threshold: "
            "the further to the left it rises, the better.",
        ),
    ]  # fmt: skip


def each(folder: Path, points: Points, told: Told) -> list[Html]:
    """Each point's own error."""
    px = {name: told.value(f"rmse_px/{name}") for name in points.task.names}
    there = {name: value for name, value in px.items() if value is not None}
    path = folder / f"{points.name}-each.png"
    charts.draw_bars(path, there, "RMSE in pixels of the frame")
    worst, best = max(there, key=there.get), min(there, key=there.get)
    rows = [[n.replace("_", " "), told(f"rmse_px/{n}")] for n in px]
    return [
        picture(path, "RMSE of each point", "chart"),
        sentences(
            f"The {worst.replace('_', ' ')} is the hardest to place, ",
            told(f"rmse_px/{worst}"), ", the ", best.replace("_", " "),
            " the easiest, ", told(f"rmse_px/{best}"), ". Points on an edge, such as a "
            "brow's end, are hard for those who label them too: their labels scatter "
            "along it, and no network gets below that.",
        ),
        folded("As a table", table(("point", "RMSE"), rows)),
    ]  # fmt: skip


def extremes(
    folder: Path,
    points: Points,
    error: Float[np.ndarray, "n p 2"],
    known: np.ndarray,
) -> list[Html]:
    """The best, middle and worst faces, with labels and predictions drawn."""
    rows = np.flatnonzero(known.any(-1))
    square = np.where(known, np.square(error).mean(-1), 0).sum(-1) / known.sum(-1).clip(
        1
    )
    px = np.sqrt(square)
    order = rows[np.argsort(px[rows], kind="stable")]
    middle = max(0, len(order) // 2 - mosaic.COLUMNS // 2)
    found = [
        sentences(
            "Dots are labels, red crosses what the network says: blue on the subject's "
            "left, green on the right, orange in the middle. Ask of the worst whether "
            "the face is turned or hidden, or the label wrong."
        )
    ]
    for title, some in {
        "best": order[: mosaic.COLUMNS],
        "middle": order[middle : middle + mosaic.COLUMNS],
        "worst": order[::-1][: mosaic.COLUMNS],
    }.items():
        path = folder / f"{points.name}-{title}.png"
        faces = points.split.faces
        mosaic.draw(
            path,
            faces["image"][some],
            [f"{px[i]:.2f} px" for i in some],
            tile=132,
            names=points.task.names,
            points=faces["labels"][points.name][some],
            known=known[some],
            crosses=points.output[some],
        )
        found += [tag("h3", title.capitalize()), picture(path, f"the {title} faces")]
    return found
