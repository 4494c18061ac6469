"""Laws of what is to be cleaned: it is told of the right faces, first things first."""

import dataclasses

import numpy as np
import pytest

from emotion_jax.data.table import Raw
from emotion_jax.report import cleaning, mosaic
from emotion_jax.report.page import Html, join
from emotion_jax.report.survey import choose, survey

FOUND = {
    "splits": {"train": 9, "test": 3},
    "exact_twins": {
        "faces": 4,
        "across": [
            {"faces": 1, "of": "train", "in": "test"},
            {"faces": 2, "of": "test", "in": "train"},
        ],
    },
    "near_twins": {"pairs": 5, "across": 1},
    "blank": [7],
    "labels": {},
}


def test_faces_that_stand_in_two_splits_are_those_of_the_smaller():
    assert cleaning.headlines(FOUND) == [
        "test faces that stand in train too: 2",
        "faces with an exact twin: 4",
        "pairs of near twins: 5",
        "pairs of near twins in two splits: 1",
        "blank images: 1",
    ]
    more = FOUND | {"conflicts": [{}] * 1200, "suspicious": []}
    more["labels"] = {"gender": {"classes": {}}}
    assert cleaning.headlines(more)[5:] == [
        "sets of twins with different labels: 1,200",
        "faces with a suspicious point: 0",
    ]
    assert len(cleaning.headlines(FOUND | {"suspicious": None})) == 5


@pytest.mark.parametrize(
    "times, told",
    [
        (
            1,
            [
                "in 1 set.",
                "1 test face stands in train too",
                "1 pair of near twins",
                "1 image is blank",
                "luck: row 4.",
                "1 set of exact twins disagrees",
            ],
        ),
        (
            2,
            [
                "in 2 sets.",
                "2 test faces stand in train too",
                "2 pairs of near twins",
                "2 images are blank",
                "luck: rows 4, 9.",
                "2 sets of exact twins disagree on",
            ],
        ),
    ],
)
def test_one_of_a_kind_is_told_as_one(tmp_path, monkeypatch, times, told):
    monkeypatch.setattr(mosaic, "draw_rows", lambda *args, **options: None)
    monkeypatch.setattr(cleaning, "picture", lambda path, text: Html(""))
    images = []
    for k in range(times):
        one, other = np.random.default_rng(k).integers(0, 256, (2, 48, 48), np.uint8)
        images += [one, one, other, other[:, ::-1], np.full((48, 48), k, np.uint8)]
    labels = {"emotion": np.eye(2, dtype=np.float32)[[0, 1, 0, 0, 0] * times]}
    known, names = {"emotion": np.ones(5 * times, bool)}, {"emotion": ("calm", "glad")}
    usage = np.array(["train", "test", "train", "train", "train"] * times)
    image = np.stack(images)[..., None]
    chosen = choose(Raw("own", "", image, labels, known, names, usage), "all")
    found = survey(chosen, "all")
    parts = cleaning.twins(tmp_path, chosen, found)
    text = join(parts + cleaning.labels(tmp_path, chosen, found))
    assert [words for words in told if words not in text] == []


def test_a_sheet_of_a_split_has_the_sources_names_and_the_classes(
    tmp_path, monkeypatch
):
    drawn = []

    def draw_rows(path, raw, some, captions):
        drawn.append((raw.image[some, 0, 0, 0].tolist(), list(captions)))

    monkeypatch.setattr(mosaic, "draw_rows", draw_rows)
    raw = Raw(
        source="fer2013",
        path="a.csv",
        image=np.zeros((6, 16, 16, 1), np.uint8)
        + np.arange(6, dtype=np.uint8)[:, None, None, None],
        labels={"emotion": np.eye(2, dtype=np.float32)[[0, 0, 0, 1, 0, 1]]},
        known={"emotion": np.arange(6) < 5},
        names={"emotion": ("calm", "glad")},
        usage=np.array(["PublicTest", "Training"] * 3),
    )
    cleaning.draw(tmp_path / "a.png", choose(raw, "Training"), [3, 5])
    files = np.array([f"glad/{k}.png" for k in range(6)])
    own = dataclasses.replace(raw, extra={"file": files})
    cleaning.draw(tmp_path / "a.png", choose(own, "Training"), [3, 5])
    assert drawn.pop() == ([3, 5], ["3.png\nglad", "5.png"])
    assert drawn == [([3, 5], ["row 3\nglad", "row 5"])]
