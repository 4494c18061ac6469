"""The page that explores a data set: its pictures, and what each asks you to do."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from emotion_jax.report import charts, cleaning, mosaic
from emotion_jax.report.labels import Label
from emotion_jax.report.page import (
    Html,
    code,
    count,
    document,
    folded,
    number,
    picture,
    sentences,
    table,
    tag,
)
from emotion_jax.report.survey import Chosen

MOST_CLASSES = 20  # the most that are drawn; the tables have all
COLORS = "Blue is the subject's left, green the right, orange the middle."
UNEVEN = 3.0  # from this ratio of the largest class to the smallest


def page(folder: Path, chosen: Chosen, found: dict) -> str:
    """Draws every picture into the folder; returns the page that shows them."""
    parts = {
        "overview": ("What it is", overview(chosen, found)),
        **sections(classes, chosen.classes, folder, chosen, found),
        "faces": ("Faces", faces(folder, chosen, found)),
        **sections(points, chosen.points, folder, chosen, found),
        "light": ("Light", light(folder, chosen, found)),
        "twins": ("Twins", cleaning.twins(folder, chosen, found)),
        "labels": ("Labels worth a look", cleaning.labels(folder, chosen, found)),
        "augmentation": ("Augmentation", augmentation(folder, chosen)),
    }
    where = f"split {found['split']}, {count(found['faces'], 'face', 'faces')}"
    return document(found["data"], where, parts)


def sections(
    draw: Callable, labels: list[Label], folder: Path, chosen: Chosen, found: dict
) -> dict[str, tuple[str, list[Html]]]:
    """Each label's section by its anchor."""
    return {
        f"label-{each.name}": (
            each.name.capitalize(),
            draw(folder, chosen, each, found | found["labels"][each.name]),
        )
        for each in labels
    }


def overview(chosen: Chosen, found: dict) -> list[Html]:
    """Source, size, splits, and what stands out."""
    side = found["side"]
    size = (
        f"Each face is {side} × {side} gray pixels, from {found['lowest_pixel']} to "
        f"{found['highest_pixel']}. Rows are counted from 0, in the source's order"
    )
    size += (
        ", which is that of the paths."
        if chosen.unit == "file"
        else (": row 0 is the second line of a CSV file.")
    )
    if "people" in found:
        size += f" {count(found['people'], 'person is', 'people are')} named."
    return [
        tag("p", size),
        sentences(trained(found)),
        tag("ul", *(tag("li", line) for line in cleaning.headlines(found))),
        table(("split", "faces"), found["splits"].items()),
        sentences(
            "Train on ", code("train"), ", choose on ", code("val"), ", and keep ",
            code("test"), " for the end; ", code("all"), " is everything.",
        ),
    ]  # fmt: skip


def trained(found: dict) -> str:
    """What a config trains on instead of what is shown; "" if on the same."""
    if "trained_as" not in found:
        return ""
    return (
        "Shown are the faces with their original labels; this config trains on "
        f"{found['trained_as']} labels, without the faces that the votes leave out."
    )


def shown_classes(found: dict) -> list[str]:
    """The classes to draw: all of them, or only the largest, in their own order."""
    size = {name: row["all"] for name, row in found["classes"].items()}
    largest = sorted(size, key=size.get, reverse=True)[:MOST_CLASSES]
    return [name for name in size if name in largest and size[name]]


def classes(folder: Path, chosen: Chosen, label: Label, found: dict) -> list[Html]:
    """How many faces each class has."""
    shown, counts = shown_classes(found), found["classes"]
    path = folder / f"{label.name}-classes.png"
    charts.draw_classes(path, counts, shown, chosen.parts)
    sizes = {name: row["all"] for name, row in counts.items()}
    large, small = max(sizes, key=sizes.get), min(sizes, key=sizes.get)
    splits = list(found["splits"])
    rows = [
        [name, *(row[split] for split in splits), row["percent"]]
        for name, row in counts.items()
    ]
    few = count(len(shown), "class is", "classes are")
    few += f" drawn, the largest of {number(len(counts))}."
    return [
        picture(path, "faces of each class, and its share of each split", "chart"),
        sentences(*balance(label.name, large, sizes[large], small, sizes[small])),
        sentences(few * (len(shown) < len(counts))),
        table(("class", *splits, "percent"), rows),
    ]


def balance(label: str, large: str, most: int, small: str, fewest: int) -> list[object]:
    """What the class sizes call for."""
    if most == fewest:
        return [f"The classes are of one size, {number(most)}. Accuracy is fair."]
    sizes = f"{large} has {count(most, 'face', 'faces')}, {small} {number(fewest)}"
    if most < UNEVEN * fewest:
        return [f"The classes are of like size: {sizes}. Accuracy is a fair measure."]
    return [
        f"The classes are uneven: {sizes}. Read macro-F1 and each recall beside the "
        "accuracy, and try ",
        code(f"--config.feed.balance.{label}=0.5"),
        " or ",
        code(f"--config.tasks.{label}.class_weights=effective"),
        ". A split whose dots lie elsewhere is drawn from other faces.",
    ]


def faces(folder: Path, chosen: Chosen, found: dict) -> list[Html]:
    """A sheet of faces for each class, and the mean faces."""
    everyone = ("all", np.ones(len(chosen.rows), bool))
    groups = [
        (name, label.classes[name])
        for label in chosen.classes
        for name in shown_classes(found["labels"][label.name])
    ]
    path = folder / "mean-faces.png"
    means = [mean_face(chosen, mask) for _, mask in (everyone, *groups)]
    names = [mosaic.short(name) for name, _ in (everyone, *groups)]
    mosaic.draw(path, np.stack(means), names)
    also = ", and of each class" if groups else ""
    parts = [
        sentences(
            f"The mean of all faces{also}. Eyes and "
            "mouth should show and sit in one place: a mean without features tells of "
            "faces that are not aligned, two pairs of eyes of two ways to crop."
        ),
        picture(path, "mean faces"),
        sentences(
            "Faces drawn evenly from the rows. Look for what is no face, what is "
            "turned or cut off, and for labels that you would not give. "
            + (COLORS if chosen.points else "")
        ),
    ]
    for k, (name, mask) in enumerate(groups or [everyone]):
        path = folder / f"faces-{k}.png"
        some = mosaic.evenly(np.flatnonzero(mask), mosaic.MOST)
        names = mosaic.named(chosen.rows, chosen.raw.extra, some)
        mosaic.draw_rows(path, chosen.raw, some, names)
        title = f"{name}: {number(len(some))} of {number(int(mask.sum()))}"
        parts += [tag("h3", title), picture(path, f"faces of {name}")]
    return parts


def mean_face(chosen: Chosen, mask) -> np.ndarray:
    """The mean of some faces."""
    image = chosen.raw.image if mask.all() else chosen.raw.image[mask]
    return image.mean(0).round().astype(np.uint8)


def points(folder: Path, chosen: Chosen, label: Label, found: dict) -> list[Html]:
    """Where the points lie, and which are missing."""
    each, path = found["points"], folder / f"{label.name}-points.png"
    mean = mean_face(chosen, np.ones(len(chosen.rows), bool))[..., 0]
    charts.draw_points(path, mean, label.value, label.known, label.names)
    outside = number(found["faces_with_a_point_outside"])
    keys = ("known", "missing", "missing_percent", "outside", "mean_x", "mean_y")
    keys += ("spread_x", "spread_y", "min_x", "max_x", "min_y", "max_y")
    rows = [[name, *(row.get(key) for key in keys)] for name, row in each.items()]
    return [
        picture(path, "all points on the mean face, and each one's mean"),
        sentences(
            f"{COLORS} Each point should be one cloud around its place on the mean "
            "face; the subject's left is the picture's right. A second cloud tells of "
            "left and right exchanged, or of another frame. Faces with a point outside "
            f"their image: {outside}; such a point counts like any other."
        ),
        *missing(folder / f"{label.name}-missing.png", found),
        table(("point", *(key.replace("_", " ") for key in keys)), rows),
    ]


def missing(path: Path, found: dict) -> list[Html]:
    """How often each point is missing."""
    whole, none = found["faces_with_all_points"], found["faces_with_no_point"]
    if whole == found["faces"]:
        return [sentences("Every face knows every point.")]
    percent = {name: row["missing_percent"] for name, row in found["points"].items()}
    charts.draw_bars(path, percent, "percent of faces without this point")
    return [
        picture(path, "percent of faces without each point", "chart"),
        sentences(
            f"{count(whole, 'face knows', 'faces know')} every point, "
            f"{number(none)} none. Missing "
            "points are masked in the loss, so keep those faces: leaving them out "
            "would lose the points that they do know."
        ),
    ]


def light(folder: Path, chosen: Chosen, found: dict) -> list[Html]:
    """How bright the faces are, and how much they vary."""
    path = folder / "light.png"
    charts.draw_light(path, chosen.light, found["light"])
    spans = found["light"]
    rows = [
        [name, *span.values(), *spans["contrast"][name].values()]
        for name, span in spans["brightness"].items()
    ]
    header = [f"{what} {part}" for what in spans for part in spans[what]["all"]]
    span = spans["brightness"]["all"]
    return [
        picture(path, "brightness and contrast of all faces and of groups", "chart"),
        sentences(
            "A face's brightness is its mean gray, its contrast the standard deviation "
            "of its grays. The bars below hold the middle nine tenths of each group, "
            "the dots are medians. Nine tenths of the faces have a brightness from "
            f"{number(span['p5'])} to {number(span['p95'])}: a new camera outside of "
            "that asks for stronger ",
            code("brightness"), " and ", code("contrast"), " in ",
            code("config.augment"),
            ". Dots of splits far apart tell of two sources, dots of classes far apart "
            "of a label that the light gives away.",
        ),
        folded("The numbers", table(("faces", *header), rows)),
    ]  # fmt: skip


def augmentation(folder: Path, chosen: Chosen) -> list[Html]:
    """Faces as training will see them, if a config was given."""
    path = folder / "augmentation.png"
    if not path.exists():
        return []
    points = (
        f"{COLORS} Points should stay on their features, and colors on their sides. "
    )
    return [
        sentences(
            "The first line has faces as they are; below each stands what training "
            f"will see of it. {points if chosen.points else ''}"
            "You should still read every face as its label: what you cannot read, "
            "soften in the config."
        ),
        picture(path, "faces and their augmentations"),
    ]
