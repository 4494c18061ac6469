"""Laws of the numbers: each is what a hand counts."""

import dataclasses
import json

import numpy as np
import pytest

from emotion_jax.data.table import POINTS, Raw
from emotion_jax.report.survey import choose, survey, suspicious


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 24, 24, 1)).astype(np.uint8)


@pytest.fixture
def photos() -> Raw:
    """Rows 1, 2, 3 are one photo, 4 is blank, 6 is 5 mirrored and 8 is 7."""
    image = noise(9)
    image[1] = image[2] = image[3]
    image[4] = 77
    image[[6, 8]] = image[[5, 7], :, ::-1]
    label = np.array([0, 0, 1, 0, 2, 1, 1, 0, 0])
    public = np.isin(np.arange(9), [0, 3, 6])
    return Raw(
        source="fer2013",
        path="/home/me/a.csv",
        image=image,
        labels={"emotion": np.eye(4, dtype=np.float32)[label]},
        known={"emotion": np.ones(9, bool)},
        names={"emotion": ("calm", "tense", "glad", "none")},
        usage=np.where(public, "PublicTest", "Training"),
    )


def test_faces_are_counted_by_split_and_class(photos):
    found = survey(choose(photos, "all"), "all")
    assert (found["data"], found["split"], found["faces"], found["side"]) == (
        *("fer2013=a.csv", "all"),
        *(9, 24),
    )
    splits = found["splits"]
    assert list(splits)[:2] == ["Training", "PublicTest"]
    assert (splits["Training"], splits["PublicTest"], splits["all"]) == (6, 3, 9)
    counts = {
        name: (row["Training"], row["PublicTest"], row["all"], row["percent"])
        for name, row in found["labels"]["emotion"]["classes"].items()
    }
    assert counts == {
        "calm": (3, 2, 5, 55.56),
        "tense": (2, 1, 3, 33.33),
        "glad": (1, 0, 1, 11.11),
        "none": (0, 0, 0, 0.0),
    }


def test_twins_conflicts_and_blanks_are_counted_with_their_rows(photos):
    found = survey(choose(photos, "all"), "all")
    assert found["exact_twins"] == {
        "groups": 1,
        "faces": 3,
        "across": [
            {"faces": 2, "of": "Training", "in": "PublicTest"},
            {"faces": 1, "of": "PublicTest", "in": "Training"},
        ],
    }
    assert found["near_twins"] == {"pairs": 2, "across": 1, "rows": [[5, 6], [7, 8]]}
    assert found["conflicts"] == [
        {"rows": [1, 2, 3], "labels": ["calm", "tense", "calm"]}
    ]
    assert found["blank"] == [4]


def test_a_face_without_a_label_is_of_no_class_and_no_conflict(photos):
    photos.known["emotion"][[0, 2]] = False
    found = survey(choose(photos, "all"), "all")
    classes = found["labels"]["emotion"]["classes"]
    counts = [(row["all"], row["percent"]) for row in classes.values()]
    assert counts == [(4, 57.14), (2, 28.57), (1, 14.29), (0, 0.0)]
    assert found["conflicts"] == []


def test_files_worth_a_look_are_named_near_twins_conflicts_and_blanks(photos):
    names = np.array([f"{k}.png" for k in range(9)])
    found = survey(choose(Raw(**{**vars(photos), "extra": {"file": names}}), "all"), "")
    assert found["files"] == {k: f"{k}.png" for k in range(1, 9)}


def test_a_split_has_its_own_numbers_and_the_sources_rows(photos):
    found = survey(choose(photos, "Training"), "Training")
    assert found["faces"] == 6 and found["splits"]["all"] == 6
    assert "PublicTest" not in found["splits"]
    assert found["conflicts"] == [{"rows": [1, 2], "labels": ["calm", "tense"]}]
    assert found["near_twins"]["rows"] == [[7, 8]] and found["blank"] == [4]
    assert found["exact_twins"]["across"] == []


def test_light_is_the_mean_and_the_spread_of_each_faces_grays(photos):
    photos.image[:] = np.array([100, 60, 60, 100, 80, 80, 100, 80, 60])[
        :, None, None, None
    ]
    photos.image[:, ::2] += 10  # two grays 10 apart: mean + 5, spread 5
    light = survey(choose(photos, "all"), "all")["light"]
    assert light["brightness"]["all"] == {"p5": 65.0, "median": 85.0, "p95": 105.0}
    assert light["contrast"]["all"] == {"p5": 5.0, "median": 5.0, "p95": 5.0}
    assert light["brightness"]["emotion glad"]["median"] == 85.0
    assert light["brightness"]["split PublicTest"]["median"] == 105.0
    assert "emotion none" not in light["brightness"]


@pytest.fixture
def pointed() -> Raw:
    """Four faces, everything at (10, 12) but one nose; some points are not known."""
    points = np.zeros((4, 15, 2), np.float32) + (10, 12)
    known = np.ones((4, 15), bool)
    nose, lip = POINTS.index("nose_tip"), POINTS.index("mouth_center_bottom_lip")
    points[:, nose] = [(8, 12), (12, 12), (10, 26), (0, 0)]
    known[3, nose] = known[1:, lip] = False
    points[~known] = 0
    return Raw(
        source="keypoints",
        path="p.csv",
        image=noise(4),
        labels={"keypoints": points},
        known={"keypoints": known},
        names={"keypoints": POINTS},
        person=np.array(["ann", "ann", "bob", ""]),
    )


def test_points_are_counted_and_measured_where_they_are_known(pointed):
    found = survey(choose(pointed, "all"), "all")
    own = found["labels"]["keypoints"]
    assert found["people"] == 2 and "classes" not in own
    nose, lip = (own["points"][p] for p in ("nose_tip", "mouth_center_bottom_lip"))
    assert nose == {
        **{"known": 3, "missing": 1, "missing_percent": 25.0, "outside": 1},
        **{"mean_x": 10.0, "mean_y": 16.67, "spread_x": 1.63, "spread_y": 6.6},
        **{"min_x": 8.0, "min_y": 12.0, "max_x": 12.0, "max_y": 26.0},
    }
    assert (lip["known"], lip["missing"], lip["missing_percent"]) == (1, 3, 75.0)
    assert own["faces_with_all_points"] == 1 and own["faces_with_no_point"] == 0
    assert own["faces_with_a_point_outside"] == 1
    assert found["suspicious"] is None and found["conflicts"] == []


def test_a_point_that_no_face_knows_has_counts_and_no_place(pointed):
    pointed.known["keypoints"][:, 0] = False
    found = survey(choose(pointed, "all"), "all")["labels"]["keypoints"]["points"]
    point = found[POINTS[0]]
    assert point == {"known": 0, "missing": 4, "missing_percent": 100.0, "outside": 0}


def test_an_image_ends_at_the_middle_of_its_last_pixels(pointed):
    pointed.labels["keypoints"][:, 1] = [(23, 0), (23.5, 5), (5, -0.5), (0, 23)]
    found = survey(choose(pointed, "all"), "all")["labels"]["keypoints"]["points"]
    assert (found[POINTS[1]]["missing"], found[POINTS[1]]["outside"]) == (0, 2)


def test_suspicious_points_come_worst_first_in_pixels_of_96():
    rng = np.random.default_rng(0)
    points = rng.uniform(8, 40, (15, 2)) + rng.normal(0, 0.4, (200, 15, 2))
    points[17, 3] += (0, 6)
    points[40, 8] += (-9, 12)
    image = rng.integers(0, 256, (200, 48, 48, 1)).astype(np.uint8)
    raw = Raw(
        source="keypoints",
        path="p.csv",
        image=image,
        labels={"keypoints": points.astype(np.float32)},
        known={"keypoints": np.ones((200, 15), bool)},
        names={"keypoints": POINTS},
        usage=np.where(np.arange(200) < 7, "PublicTest", "Training"),
    )
    found = suspicious(choose(raw, "Training"))
    told = [(face["row"], face["point"]) for face in found]
    assert told == [(40, POINTS[8]), (17, POINTS[3])]
    assert [face["px"] for face in found] == pytest.approx([30, 12], abs=3)
    assert found[0]["times_usual"] > found[1]["times_usual"] > 6


def under(name: str, raw: Raw) -> Raw:
    """The same faces, whose only label has another name."""
    (value,), (known,) = raw.labels.values(), raw.known.values()
    (names,) = raw.names.values()
    parts = {"labels": value, "known": known, "names": names}
    return dataclasses.replace(raw, **{part: {name: v} for part, v in parts.items()})


@pytest.mark.parametrize("label", ["photos", "pointed"])
def test_a_label_has_the_same_numbers_under_any_name(request, label):
    raw = request.getfixturevalue(label)
    (name,) = raw.labels
    plain, other = (survey(choose(r, "all"), "all") for r in (raw, under("own", raw)))
    assert json.loads(json.dumps(plain).replace(name, "own")) == other | {
        "data": plain["data"].replace(name, "own")
    }


def test_each_of_several_labels_has_the_numbers_it_has_alone(photos, pointed):
    pointed = choose(pointed, "all").raw
    raws = [photos, under("gender", photos)]
    four = np.arange(9) % 4  # of the points' faces, for the photos
    for name in ("keypoints", "mouth"):
        label, known = pointed.labels["keypoints"], pointed.known["keypoints"]
        part = {"labels": {name: label[four]}, "known": {name: known[four]}}
        part["names"] = {name: POINTS}
        raws.append(dataclasses.replace(photos, **part))
    labels = {n: v for raw in raws for n, v in raw.labels.items()}
    known = {n: v for raw in raws for n, v in raw.known.items()}
    names = {n: v for raw in raws for n, v in raw.names.items()}
    both = dataclasses.replace(photos, labels=labels, known=known, names=names)
    found = survey(choose(both, "all"), "all")
    for raw in raws:
        alone = survey(choose(raw, "all"), "all")["labels"]
        assert len(alone) == 1 and alone.items() <= found["labels"].items()
    assert list(found["labels"]) == ["emotion", "gender", "keypoints", "mouth"]
    assert found["conflicts"] == 2 * survey(choose(photos, "all"), "all")["conflicts"]


def test_a_point_is_suspicious_under_any_name_if_others_can_tell():
    points = np.random.default_rng(0).normal(12, 1, (120, 4, 2)).astype(np.float32)
    points[7, 2] += 40
    known = np.ones((120, 4), bool)
    names = {"mouth": ("0", "1", "2", "3")}
    raw = Raw("own", "", noise(120), {"mouth": points}, {"mouth": known}, names)
    (worst, *_) = survey(choose(raw, "all"), "all")["suspicious"]
    assert (worst["row"], worst["point"]) == (7, "2")
    same = {"mouth": points, "lips": points}, {"mouth": known, "lips": known}
    twice = dataclasses.replace(raw, labels=same[0], known=same[1])
    twice.names["lips"] = names["mouth"]
    found, again = (survey(choose(r, "all"), "all") for r in (raw, twice))
    assert found["suspicious"] == again["suspicious"]  # a face is listed once
    three = {"labels": points[:, :3], "known": known[:, :3], "names": ("0", "1", "2")}
    few = dataclasses.replace(raw, **{part: {"mouth": v} for part, v in three.items()})
    assert survey(choose(few, "all"), "all")["suspicious"] is None


def test_every_survey_is_json(photos, pointed):
    for raw in (photos, pointed):
        found = survey(choose(raw, "all"), "all")
        assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_name_that_is_no_text_is_made_one(photos):
    names = {"emotion": ("calm", "a\udcff", "glad", "none")}
    raw = Raw(**{**vars(photos), "names": names})
    assert choose(raw, "all").raw.names["emotion"][1] == "a?"
