"""Laws of a comparison: the same faces, the classes that both know, a plain verdict."""

import dataclasses

import evaluated
import numpy as np
import pytest
import tiny

from emotion_jax.data.splits import make_split
from emotion_jax.data.table import FIVE, SEVEN, Raw
from emotion_jax.errors import Mistake
from emotion_jax.report import comparison
from emotion_jax.report.comparison import Answered

BOTH = {"emotion": {}, "keypoints": {}}


@pytest.fixture(scope="module")
def five():
    return evaluated.restored({"emotion": {}})


@pytest.fixture(scope="module")
def seven():
    return evaluated.restored({"emotion": {"classes": 7}})


@pytest.fixture(scope="module")
def combined():
    return evaluated.restored(BOTH)


def file_of(n: int = 140) -> Raw:
    """As many faces, of seven classes in turn."""
    image = np.random.default_rng(0).integers(0, 256, (n, 24, 24, 1)).astype(np.uint8)
    labels = np.eye(7, dtype=np.float32)[np.arange(n) % 7]
    known = np.ones(n, bool)
    return Raw("fer2013", "", image, {"emotion": labels}, {"emotion": known},
               {"emotion": SEVEN})  # fmt: skip


def answered(restored, seed: int, skill: float, raw: Raw) -> Answered:
    """A network's answers on what it knows of the file: right as often as its skill."""
    split = make_split(raw, "all", restored.tasks, 24)
    label = split.faces["labels"]["emotion"]
    noise = np.random.default_rng(seed).normal(size=label.shape)
    return Answered(restored, split, {"emotion": np.float32(skill * label + noise)})


def test_a_network_of_seven_and_one_of_five_compare_on_the_five(five, seven):
    raw = file_of()
    small, large = answered(five, 1, 1.0, raw), answered(seven, 2, 1.0, raw)
    large.outputs["emotion"][:, SEVEN.index("neutral")] = 99  # not asked for here
    found = comparison.compare(small, large)
    assert found["emotion/n"] == 100 and len(large.split) == 140
    chosen = [SEVEN.index(name) for name in FIVE]
    rows = np.isin(np.arange(140) % 7, chosen)
    guess = np.array(chosen)[large.outputs["emotion"][rows][:, chosen].argmax(-1)]
    accuracy = (guess == (np.arange(140) % 7)[rows]).mean()
    assert found["emotion/accuracy/against"] == accuracy
    alone = five.evaluator.report(small.outputs, small.split)
    assert found["emotion/accuracy"] == alone["emotion/accuracy"]
    assert found["emotion/nll"] == pytest.approx(alone["emotion/nll"])
    back = comparison.compare(large, small)
    for key, value in found.items():
        if key.endswith("/difference"):
            assert back[key] == pytest.approx(-value)


def test_a_planted_difference_is_found_and_none_is_not(five):
    raw = file_of()
    weak = answered(five, 1, 1.0, raw)
    for other, verdicts in (
        (weak, {comparison.EVEN}),
        (answered(five, 2, 1.0, raw), {comparison.EVEN}),
        (answered(five, 2, 5.0, raw), {"B is better"}),
    ):
        found = comparison.compare(weak, other)
        rows = [row for row in comparison.rows_of(found, "emotion") if row[0] != "ece"]
        assert {what for *_, what in rows} == verdicts and len(rows) == 5
    found = comparison.compare(answered(five, 2, 5.0, raw), weak)
    named = {row[0]: row[3] for row in comparison.rows_of(found, "emotion")}
    assert named["accuracy"] == named["nll"] == "A is better"


def test_every_task_of_both_is_compared_on_its_own_faces(combined):
    faces = tiny.faces(40)
    split = evaluated.split_of(faces)
    one = Answered(combined, split, evaluated.answers(faces, 1))
    two = Answered(combined, split, evaluated.answers(faces, 2))
    found = comparison.compare(one, two)
    for name, count in combined.evaluator.report(one.outputs, split).items():
        if name.endswith("/n"):
            assert found[name] == count
    assert found["keypoints/rmse_px"] != found["keypoints/rmse_px/against"]
    same = comparison.compare(one, one)
    ends = ("/difference", "/low", "/high")
    assert {value for key, value in same.items() if key.endswith(ends)} == {0}


def test_faces_that_one_network_lacks_are_left_out(combined):
    faces = tiny.faces(40)
    split, outputs = evaluated.split_of(faces), evaluated.answers(faces)
    rows = np.arange(10, 40)
    some, fewer = split.take(rows), {name: x[rows] for name, x in outputs.items()}
    some.faces["known"]["emotion"][:9] = False  # as votes among its classes may be few
    one, two = Answered(combined, split, outputs), Answered(combined, some, fewer)
    for pair in ((one, two), (two, one)):
        found = comparison.compare(*pair)
        assert found["emotion/n"] == faces["known"]["emotion"][19:].sum()
        assert found["emotion/nll/difference"] == found["keypoints/nme/difference"] == 0


def test_networks_that_cannot_be_compared_are_told(five, combined):
    calm = evaluated.restored({"emotion": {"classes": ("calm", "happy")}})
    with pytest.raises(Mistake, match="knows emotion anger, .*must know all of the"):
        comparison.shared(five, calm)
    points = evaluated.restored({"keypoints": {}})
    with pytest.raises(Mistake, match="reads emotion, .* keypoints; there is no task"):
        comparison.shared(five, points)
    assert comparison.shared(points, combined) == {
        "keypoints": points.tasks["keypoints"].names
    }


def test_the_console_says_which_is_better_and_where_nothing_is_shown(five):
    raw = file_of()
    one, two = answered(five, 1, 1.0, raw), answered(five, 2, 5.0, raw)
    names = {"checkpoint": "one, step 1", "against": "two, step 2"}
    found = comparison.suffixed(comparison.compare(one, two), "@tta")
    found |= comparison.compare(one, one) | names
    told = comparison.text(found, one.split)
    lines = {line.split()[0]: line for line in told.splitlines() if line[:2] == "  "}
    assert lines["accuracy"].endswith("0.0000    0.0000    0.0000  no difference shown")
    assert lines["accuracy@tta"].endswith("  B is better")
    flat = " ".join(told.split())
    assert "A is one, step 1, B is two, step 2." in flat
    assert "of these faces, the same for both" in flat
    assert "there is no difference shown on these 100 faces." in flat
    people = dataclasses.replace(one.split, extra={"person": np.full(100, "a")})
    assert "Other seeds" in flat
    assert "of these people" in " ".join(comparison.text(found, people).split())
