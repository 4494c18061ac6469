"""Laws of the tables: one line a number, one row a name, in columns."""

import dataclasses
import os

import numpy as np
import pytest

from emotion_jax.data.table import Split
from emotion_jax.report import tables
from emotion_jax.tasks import Emotion, Keypoints

TASKS = {"emotion": Emotion(classes=("calm", "glad")), "keypoints": Keypoints()}
FOUND = {
    "emotion/n": 1200,
    "emotion/accuracy": 0.75,
    "emotion/ece": None,
    "emotion/precision/calm": 0.5,
    "emotion/precision/glad": None,
    "emotion/recall/calm": 1.0,
    "emotion/recall/glad": None,
    "emotion/f1/calm": 0.66667,
    "emotion/f1/glad": None,
    "emotion/support/calm": 1200,
    "emotion/support/glad": 0,
    "keypoints/n": 0,
}


def split(path, n):
    return Split("fer2013", path, "test", {}, np.arange(n), {}, {})


def test_data_is_named_as_on_the_command_line_without_the_folder():
    assert tables.source(split("/home/me/fer2013.csv", 3)) == "fer2013=fer2013.csv"
    assert tables.source(split("", 3)) == "fer2013"


def test_a_name_that_is_no_text_can_be_written():
    path = os.fsdecode(b"/home/caf\xe9.csv")
    assert tables.source(split(path, 3)) == "fer2013=caf?.csv"


def test_a_split_is_described_by_data_name_and_size():
    described = tables.describe(split("a/b.csv", 35887))
    assert described == "fer2013=b.csv, split test, 35,887 faces"


def test_labels_that_are_not_the_original_ones_are_named():
    voted = dataclasses.replace(split("", 3), labels="FER+ mean")
    assert tables.describe(voted) == "fer2013, split test, 3 faces, labels FER+ mean"


def test_faces_that_were_trained_on_are_told_wherever_a_split_is_described():
    seen = dataclasses.replace(split("a.csv", 2040), trained_on=1666)
    where = "fer2013=a.csv, split test, 2,040 faces, 1,666 of them trained on"
    assert tables.describe(seen) == where


def test_faces_that_are_left_out_for_their_labels_are_told_too():
    some = dataclasses.replace(split("a.csv", 2486), unknown=1103)
    told = " (1,103 others have no label that is used)"
    assert tables.describe(some) == f"fer2013=a.csv, split test, 2,486 faces{told}"
    some = dataclasses.replace(some, trained_on=1666, labels="FER+ mean")
    told = f"2,486 faces, 1,666 of them trained on, labels FER+ mean{told}"
    assert tables.describe(some).endswith(told)


def test_twins_in_a_test_split_are_told():
    faces = split("", 3)
    assert tables.twins(faces) == ""
    warned = tables.twins(dataclasses.replace(faces, twins=1234))
    assert warned.startswith("warning: 1,234 of them have a twin in a held-out split")
    told = tables.twins(dataclasses.replace(faces, dropped=351))
    assert told == "351 more are left out because a held-out split has their twins"


@pytest.mark.parametrize(
    "value, text",
    [
        (None, "         -"),
        (1200, "     1,200"),
        (0.66667, "     0.667"),
        (0, "         0"),
        (0.0, "     0.000"),
    ],
)
def test_a_cell_is_ten_characters_wide(value, text):
    assert tables.cell(value) == text


def test_the_table_as_it_is_read():
    assert tables.numbers(FOUND, TASKS).splitlines() == [
        "emotion",
        "",
        "  n                              1,200",
        "  accuracy                       0.750",
        "  ece                                -",
        "",
        "                             precision    recall        f1   support",
        "  calm                           0.500     1.000     0.667     1,200",
        "  glad                               -         -         -         0",
    ]


def test_intervals_are_named_where_there_are_some():
    found = FOUND | {"emotion/accuracy@low": 0.7, "emotion/accuracy@high": 0.8}
    assert tables.numbers(found, TASKS).splitlines()[2:5] == [
        "                                 value            95 % interval",
        "  n                              1,200",
        "  accuracy                       0.750       0.700 to     0.800",
    ]


def test_points_get_their_own_column():
    found = {"keypoints/n": 2, "keypoints/rmse_px": 1.5}
    found |= {f"keypoints/rmse_px/{name}": 1.25 for name in Keypoints.names}
    lines = tables.numbers(found, {"keypoints": Keypoints()}).splitlines()
    assert lines[0] == "keypoints" and len(lines) == 2 + 2 + 2 + 15
    assert lines[5].split() == ["rmse_px"]
    assert lines[6] == "  left_eye_center                1.250"
    assert len({len(line) for line in lines[5:]}) == 1


def test_where_nothing_is_known_there_is_no_table():
    assert tables.numbers({"keypoints/n": 0}, {"keypoints": Keypoints()}) == ""
