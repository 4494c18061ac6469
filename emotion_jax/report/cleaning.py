"""What may have to be cleaned from a data set: twins, blanks, doubtful labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emotion_jax.data.suspects import OTHERS
from emotion_jax.report import mosaic
from emotion_jax.report.mosaic import MOST, short
from emotion_jax.report.page import (
    Html,
    code,
    count,
    folded,
    number,
    picture,
    sentences,
    table,
    tag,
)
from emotion_jax.report.survey import SUSPICIOUS, Chosen

PAIRS = 20  # the most on a sheet


def headlines(found: dict) -> list[str]:
    """What a person should know first, one line each."""
    size, near = found["splits"], found["near_twins"]
    lines = {
        f"{one['of']} faces that stand in {one['in']} too": one["faces"]
        for one in found["exact_twins"]["across"]
        if size[one["of"]] <= size[one["in"]]  # of the smaller (test) split
    }
    lines |= {
        "faces with an exact twin": found["exact_twins"]["faces"],
        "pairs of near twins": near["pairs"],
        "pairs of near twins in two splits": near["across"],
        "blank images": len(found["blank"]),
    }
    if any("classes" in one for one in found["labels"].values()):
        lines["sets of twins with different labels"] = len(found["conflicts"])
    if found.get("suspicious") is not None:
        lines["faces with a suspicious point"] = len(found["suspicious"])
    return [f"{text}: {number(count)}" for text, count in lines.items()]


def twins(folder: Path, chosen: Chosen, found: dict) -> list[Html]:
    """Photos that occur in the data more than once."""
    return exact(found["exact_twins"]) + near(folder, chosen, found["near_twins"])


def labels(folder: Path, chosen: Chosen, found: dict) -> list[Html]:
    """Labels that may be wrong or useless."""
    parts = blank(folder, chosen, found["blank"])
    if chosen.classes:
        parts += conflicts(folder, chosen, found["conflicts"])
    if chosen.points:
        parts += suspicious(folder, chosen, found["suspicious"])
    return parts


def exact(found: dict) -> list[Html]:
    """The same pixels in several rows."""
    if not found["faces"]:
        return [sentences("No face has an exact twin, the same pixels in another row.")]
    told = (
        f"{number(found['faces'])} faces have an exact twin, the same pixels in "
        f"another row, in {count(found['groups'], 'set', 'sets')}."
    )
    if not found["across"]:
        return [sentences(told, " No twins stand in two splits.")]
    said = [
        count(one["faces"], f"{one['of']} face stands", f"{one['of']} faces stand")
        + f" in {one['in']} too"
        for one in found["across"]
    ]
    advice = (
        ". A network is tested on faces that it has learnt by heart: train with ",
        code("--config.data.dedupe=True"),
        ", which leaves the tests as they are.",
    )
    return [sentences(told), sentences("; ".join(said), *advice)]


def near(folder: Path, chosen: Chosen, found: dict) -> list[Html]:
    """Twins except for mirroring, a shift or the light."""
    kinds = "one photo mirrored, shifted, brightened or compressed again"
    if not found["pairs"]:
        return [sentences(f"No two faces are near twins: {kinds}.")]
    path = folder / "near-twins.png"
    some = mosaic.evenly(np.arange(found["pairs"]), PAIRS)
    draw(path, chosen, [row for k in some for row in found["rows"][k]], group=2)
    pairs = [" and ".join(map(chosen.name, pair)) for pair in found["rows"]]
    return [
        sentences(
            count(found["pairs"], "pair", "pairs"),
            f" of near twins: {kinds}. In two splits: {number(found['across'])}. Look "
            "whether they are one photo: where one of the two is tested on, the test "
            "is easier than it looks. ",
            code("--config.data.dedupe=near"),
            " leaves such faces out of training.",
        ),
        picture(path, "pairs of near twins, side by side"),
        folded(
            f"The {chosen.unit}s of all pairs",
            tag("p", ", ".join(pairs), class_="soft"),
        ),
    ]


def blank(folder: Path, chosen: Chosen, rows: list[int]) -> list[Html]:
    """Images of a single gray level."""
    if not rows:
        return [sentences("No image is blank.")]
    path = folder / "blank.png"
    draw(path, chosen, rows[:MOST])
    units = chosen.unit + "s" * (len(rows) > 1)
    return [
        sentences(
            count(len(rows), "image is blank", "images are blank"),
            ", of one gray, with labels from which nothing can be learnt; no network "
            "reads a blank image right but by luck: "
            f"{units} {', '.join(map(chosen.name, rows))}.",
        ),
        picture(path, "blank images"),
    ]


def conflicts(folder: Path, chosen: Chosen, sets: list[dict]) -> list[Html]:
    """Exact twins whose labels differ."""
    judged = (
        "Labels of classes are judged by their twins only: what a face shows is for a "
        "trained network to doubt, not for this page."
    )
    if not sets:
        return [sentences(f"No twins disagree on their class. {judged}")]
    path = folder / "conflicts.png"
    disagree = "set of exact twins disagrees", "sets of exact twins disagree"
    names = [short(" / ".join(dict.fromkeys(one["labels"]))) for one in sets]
    draw(path, chosen, [one["rows"][0] for one in sets[:MOST]], names[:MOST])
    rows = [
        [", ".join(map(chosen.name, one["rows"])), ", ".join(one["labels"])]
        for one in sets
    ]
    return [
        sentences(
            f"{count(len(sets), *disagree)} on the class. No network can read all of "
            "them right; which label would you give? Correct "
            f"the {chosen.unit}s, or delete them. {judged}"
        ),
        picture(path, "twins with different labels"),
        folded(f"All their {chosen.unit}s", table((f"{chosen.unit}s", "labels"), rows)),
    ]


def suspicious(folder: Path, chosen: Chosen, faces: list[dict] | None) -> list[Html]:
    """Points far from where the face's other points predict them."""
    if faces is None:
        few = "Too few faces know every point"
        if all(len(label.names) <= OTHERS for label in chosen.points):
            few = "A face has too few points"
        return [sentences(f"{few} to say which points are suspicious.")]
    rule = (
        f"lies more than {SUSPICIOUS:g} times as far as usual from where the face's "
        "other points put it"
    )
    if not faces:
        return [sentences(f"No point {rule}.")]
    path = folder / "suspicious.png"
    draw(path, chosen, [one["row"] for one in faces[:MOST]])
    rows = [[str(one["row"]), *list(one.values())[1:]] for one in faces]
    header = ("row", "point", "pixels of 96 off", "times usual")
    return [
        sentences(
            f"Faces with a point that {rule}: {number(len(faces))}, the worst first. "
            "Where the dots do not sit on the face, correct the row or empty the "
            "coordinates; where they do, the face is merely unusual: keep it."
        ),
        picture(path, "faces with a suspicious point"),
        folded("Their points", table(header, rows)),
    ]


def draw(
    path: Path,
    chosen: Chosen,
    rows: Sequence[int],
    captions: Sequence[str] = (),
    **options,
) -> None:
    """Draws a sheet of these rows of the source, captioned with name and class."""
    some = np.searchsorted(chosen.rows, rows)
    names = mosaic.named(chosen.rows, chosen.raw.extra, some)
    told = [
        "\n".join([name, *map(short, chosen.classes_of(i))])
        for name, i in zip(names, some.tolist(), strict=True)
    ]
    mosaic.draw_rows(path, chosen.raw, some, captions or told, **options)
