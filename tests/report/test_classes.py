"""Laws of what a report says of its classes: the right one, the right way round."""

import re

import numpy as np
import pytest

from emotion_jax.data.table import Split
from emotion_jax.report import classes, curves, mosaic
from emotion_jax.report.answers import Answers
from emotion_jax.report.page import Html, join
from emotion_jax.report.quantities import Told
from emotion_jax.tasks import make_tasks


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """No picture is drawn; what would be on the sheets of faces."""
    sheets = []

    def draw(path, image, captions, **options):
        sheets.append((image[:, 0, 0, 0].tolist(), captions))

    monkeypatch.setattr(mosaic, "draw", draw)
    monkeypatch.setattr(curves, "draw_confusion", lambda path, counts, names: None)
    monkeypatch.setattr(classes, "picture", lambda path, text, kind="": Html(""))
    return sheets


def answers_of(*logits: float) -> Answers:
    """Those for b of faces that are all labelled a, but for two without a label."""
    n = len(logits) + 2
    known, output = np.arange(n) % 3 > 0, np.zeros((n, 2), np.float32)
    output[known, 1] = logits
    image = np.zeros((n, 16, 16, 1), np.uint8)
    image += np.arange(n, dtype=np.uint8)[:, None, None, None]
    labels = np.float32([[1, 0]] * n)
    offered = {"emotion": np.ones((n, 2), bool)}
    faces = {"image": image, "labels": {"emotion": labels}, "known": {"emotion": known}}
    split = Split("folder", "a", "all", faces, np.arange(n), offered, {})
    task = make_tasks({"emotion": {"classes": ("a", "b")}})["emotion"]
    return Answers("emotion", task, split, output, 1.0)


ANSWERS = answers_of(0, 0, 0, 0)


def text_of(parts) -> str:
    return re.sub("<.*?>", "", join(parts))


@pytest.mark.parametrize(
    "precision, recall, told",
    [
        (0.9, 0.5, "Take b. Of the faces"),
        (0.9, 0.5, "the network says b too rarely."),
        (0.5, 0.9, "the network says b too often."),
    ],
)
def test_the_class_that_is_said_too_often_or_too_rarely_is_named(
    precision, recall, told
):
    numbers = {"f1": 0.5, "support": 3, "auc": 0.5, "ap": 0.5}
    each = {f"emotion/{key}/{name}": v for key, v in numbers.items() for name in "ab"}
    each |= {"emotion/precision/a": 0.8, "emotion/recall/a": 0.7}
    each |= {"emotion/precision/b": precision, "emotion/recall/b": recall}
    assert told in text_of(classes.each(ANSWERS, Told(each, "emotion")))
    each |= {"emotion/precision/a": 0.7, "emotion/recall/b": precision}
    said = text_of(classes.each(ANSWERS, Told(each, "emotion")))
    assert "too rarely" not in said and "too often" not in said


def test_the_worst_confusion_is_told_both_ways(tmp_path):
    counts = {"a/a": 5, "a/b": 2, "b/a": 4, "b/b": 9}
    found = {f"emotion/confusion/{key}": count for key, count in counts.items()}
    found |= {"emotion/support/a": 7, "emotion/support/b": 13}
    text = text_of(classes.confusion(tmp_path, ANSWERS, Told(found, "emotion")))
    told = "Most often b is taken for a: 4 of 13; the other way round: 2 of 7."
    assert told in text
    found |= {"emotion/confusion/a/b": 0, "emotion/confusion/b/a": 0}
    text = text_of(classes.confusion(tmp_path, ANSWERS, Told(found, "emotion")))
    assert "Most often" not in text


def test_the_surest_mistake_comes_first(tmp_path, undrawn):
    classes.mistakes(tmp_path, answers_of(0.41, -5.0, 2.2, 0.85))  # faces 1, 2, 4, 5
    told = ["b 90%, is a", "b 70%, is a", "b 60%, is a"]
    assert undrawn == [([4, 5, 1], told)]
    none = classes.mistakes(tmp_path, answers_of(-1, -2, -3, -4))
    assert "There is none" in text_of(none)
