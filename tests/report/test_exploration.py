"""Laws of what the page of a data set says of its classes."""

import re

import numpy as np
import pytest

from emotion_jax.data.table import Raw
from emotion_jax.report import charts, exploration, mosaic
from emotion_jax.report.labels import Label
from emotion_jax.report.page import Html, join
from emotion_jax.report.survey import Chosen, choose, survey


def sizes(**classes: int) -> dict:
    """A survey of classes of these sizes."""
    rows = {name: {"all": size, "percent": 1.0} for name, size in classes.items()}
    return {"classes": rows, "splits": {"all": sum(classes.values())}}


@pytest.mark.parametrize(
    "fewest, told",
    [
        (9, "The classes are of one size, 9."),
        (4, "The classes are of like size: big has 9 faces, small 4."),
        (3, "The classes are uneven: big has 9 faces, small 3."),
        (0, "The classes are uneven: big has 9 faces, small 0."),
    ],
)
def test_classes_are_weighed_by_the_largest_and_the_smallest(
    tmp_path, monkeypatch, fewest, told
):
    monkeypatch.setattr(charts, "draw_classes", lambda *args: None)
    monkeypatch.setattr(exploration, "picture", lambda path, text, kind: Html(""))
    raw = Raw("folder", "a", np.zeros((1, 16, 16, 1), np.uint8), {}, {}, {})
    found, chosen = sizes(small=fewest, big=9), Chosen(raw, np.arange(1), {}, ())
    label = Label("emotion", ("small", "big"), np.zeros((1, 2)), np.zeros(1, bool))
    parts = exploration.classes(tmp_path, chosen, label, found)
    text = re.sub("<.*?>", "", join(parts))
    assert told in text and ("class_weights=effective" in text) is (fewest <= 3)
    assert ("1 class is drawn, the largest of 2." in text) is (fewest == 0)


@pytest.mark.parametrize("n, told", [(1, "1 face knows"), (2, "2 faces know")])
def test_one_face_is_told_as_one(tmp_path, monkeypatch, n, told):
    monkeypatch.setattr(exploration, "picture", lambda *args: Html(""))
    points = {"mouth": {"missing_percent": 50.0}}
    found = {"faces": 2 * n, "points": points, "faces_with_no_point": n}
    parts = exploration.missing(
        tmp_path / "a.png", found | {"faces_with_all_points": n}
    )
    assert f"{told} every point, {n} none." in join(parts)


def test_of_many_classes_the_largest_are_drawn_in_their_own_order():
    many = {f"c{k}": k for k in range(25)}
    assert exploration.shown_classes(sizes(**many)) == [f"c{k}" for k in range(5, 25)]
    assert exploration.shown_classes(sizes(a=0, b=2, c=1)) == ["b", "c"]


@pytest.mark.parametrize("files", [[], ["a/x.png", "a/y.png", "b/z.png"]])
def test_the_sheets_of_faces_have_their_files_or_the_sources_rows(
    tmp_path, monkeypatch, files
):
    drawn = []
    monkeypatch.setattr(
        mosaic, "draw", lambda path, image, told, **o: drawn.append(told)
    )
    monkeypatch.setattr(exploration, "picture", lambda path, text: Html(""))
    image = np.zeros((3, 16, 16, 1), np.uint8)
    extra = {"file": np.array(files)} if files else {}
    labels, known = {"emotion": np.eye(2)[[0, 0, 1]]}, {"emotion": np.ones(3, bool)}
    names, usage = {"emotion": ("a", "b")}, np.array(["test", "train", "train"])
    raw = Raw("own", "", image, labels, known, names, usage, extra=extra)
    chosen = choose(raw, "train")
    exploration.faces(tmp_path, chosen, survey(chosen, "train"))
    one, two = ("y.png", "z.png") if files else ("row 1", "row 2")
    assert drawn == [["all", "a", "b"], [one], [two]]


def test_a_label_may_have_the_name_of_a_part_of_the_page(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), np.uint8)
    labels = {"faces": np.eye(4), "light": np.ones((4, 1, 2))}
    known = {"faces": np.ones(4, bool), "light": np.ones((4, 1), bool)}
    raw = Raw("own", "", image, labels, known, {"faces": tuple("abcd"), "light": "e"})
    chosen = choose(raw, "all")
    page = exploration.page(tmp_path, chosen, survey(chosen, "all"))
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles[1:5] == ["Faces", "Faces", "Light", "Light"]
    anchors = set(re.findall('id="(.*?)"', page))
    assert len(anchors) == len(titles) == page.count('href="#')
