"""Laws of a config's `data` section: who trains on what, and who must not see it."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image
from raws import make_raw

from emotion_jax import data
from emotion_jax.config import load_config
from emotion_jax.data import sections
from emotion_jax.data.table import POINTS
from emotion_jax.errors import Mistake
from emotion_jax.tasks import Emotion, make_tasks

BOTH = make_tasks({"emotion": {}, "keypoints": {}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixty faces as the course writes them, and sixty as Kaggle does."""
    made = tmp_path_factory.mktemp("csv")
    rng = np.random.default_rng(0)
    faces = [" ".join(map(str, rng.integers(0, 256, 256))) for _ in range(120)]
    rows = [f"{i % 5},{face}" for i, face in enumerate(faces[:60])]
    (made / "course.csv").write_text("\n".join(["emotion, pixels", *rows, ""]))
    header = ",".join([f"{point}_{axis}" for point in POINTS for axis in "xy"])
    rows = [",".join(["3.5"] * 30 + [face]) for face in faces[60:]]
    (made / "kaggle.csv").write_text("\n".join([f"{header},Image", *rows, ""]))
    return made


def load(sources, **fields):
    return sections.load_train_and_val(BOTH, side=24, sources=sources, **fields)


def test_a_path_goes_where_the_config_names_its_source():
    config = tiny.config()
    config.data.sources = {"fer2013": {}, "keypoints": {"path": "old"}}
    sections.set_paths(config, ["fer2013:7=a.csv", "keypoints=b.csv"], "path")
    sections.set_paths(config, ["fer2013:5=c.csv"], "val")
    assert config.data.sources.to_dict() == {
        "fer2013": {"path": "a.csv", "classes": 7, "val": "c.csv", "val_classes": 5},
        "keypoints": {"path": "b.csv"},
    }


def test_a_source_that_is_named_twice_is_a_mistake():
    config = tiny.config()
    with pytest.raises(Mistake, match="synthetic is named 2 times; name one file"):
        sections.set_paths(config, ["synthetic=a", "synthetic=b"], "path")


@pytest.mark.parametrize("given", ["synthetic", "synthetic="])
def test_a_second_file_without_a_name_is_a_mistake(given):
    with pytest.raises(Mistake, match="--val synthetic names no file: write --val syn"):
        sections.set_paths(tiny.config(), [given], "val")


def test_a_source_that_the_config_lacks_is_a_mistake():
    config = tiny.config()
    with pytest.raises(Mistake, match="trains on synthetic, not on keypoints: take an"):
        sections.set_paths(config, ["keypoints=b.csv"], "path")
    with pytest.raises(Mistake, match="unknown source in SOURCE=PATH 'keypoint'"):
        sections.set_paths(config, ["keypoint=b.csv"], "path")


def test_options_are_what_is_neither_path_nor_val():
    section = {"path": "a", "val": "b", "classes": 5, "seed": 0}
    assert sections.options_of(section) == {"classes": 5, "seed": 0}
    section |= {"votes": "c", "labels": "mean", "drop_no_face": True}
    assert sections.options_of(section) == {"classes": 5, "seed": 0}
    assert list(sections.options_of(section, trained=True)) == list(section)[2:]
    assert sections.options_of_val(section) == {"seed": 0}
    assert sections.options_of_val(section | {"val_classes": 7}) == {
        "classes": 7,
        "seed": 0,
    }


def test_what_a_run_leaves_out_of_its_files_is_left_out_of_any_of_that_source():
    """But what is about one file, such as its classes, is not about another."""
    own = {
        "folder": {"path": "own", "skip_bad": True},
        "fer2013": {"path": "own.csv", "classes": 7},
    }
    for wanted, options in (
        (["folder=own", "fer2013=own.csv"], [{"skip_bad": True}, {"classes": 7}]),
        (["folder=new", "fer2013=new.csv"], [{"skip_bad": True}, {}]),
        (["folder=new", "fer2013:5=new.csv"], [{"skip_bad": True}, {"classes": 5}]),
    ):
        found = sections.places(own, wanted, None)
        assert [place.options for place in found] == options


def test_no_source_at_all_is_a_mistake():
    with pytest.raises(Mistake, match="config.data.sources names none of synthetic, f"):
        load({})


def test_one_file_is_split_into_rows_to_train_on_and_others(folder):
    path = str(folder / "course.csv")
    train, val = load({"fer2013": {"path": path}})
    (train, val) = train["fer2013"], val["fer2013"]
    assert (train.name, val.name) == ("train", "val")
    assert len(train) > len(val) > 0
    assert not set(train.rows) & set(val.rows)
    assert len(train) + len(val) < 60  # the rest is for the test


def test_a_second_file_is_validation_whole(folder, tmp_path):
    second = tmp_path / "second.csv"
    second.write_text((folder / "course.csv").read_text())
    section = {"path": str(folder / "course.csv"), "val": str(second), "classes": 5}
    train, val = load({"fer2013": section})
    (train, val) = train["fer2013"], val["fer2013"]
    assert (train.name, val.name) == ("train+val", "val")
    assert (train.path, val.path) == (section["path"], str(second))
    np.testing.assert_array_equal(val.rows, np.arange(60))


def test_each_of_two_files_has_its_own_numbers_for_classes(folder):
    path, other = str(folder / "course.csv"), folder / "copy.csv"
    other.write_text((folder / "course.csv").read_text())
    section = {"path": path, "classes": 7, "val": str(other)}
    train, val = load({"fer2013": section})
    assert val["fer2013"].faces["labels"]["emotion"].sum(0).tolist() == [12] * 5
    # Of seven classes 2 is fear, which this network does not know.
    assert set(train["fer2013"].rows % 5) == {0, 1, 3, 4}


def test_a_class_that_no_source_has_is_a_mistake(folder):
    section = {"fer2013": {"path": str(folder / "course.csv")}}
    for classes, sentence in (
        (("sad", "hapy"), "name in config.tasks.emotion 'hapy'; did you mean happy?"),
        (7, "name in config.tasks.emotion 'fear'"),  # the file has five
    ):
        tasks = make_tasks({"emotion": {"classes": classes}})
        with pytest.raises(Mistake, match=sentence):
            sections.load_train_and_val(tasks, side=24, sources=section)
    points = {"keypoints": {"path": str(folder / "kaggle.csv")}}
    load(points)  # has no class at all: nothing is misspelt


def test_classes_of_other_names_are_told_with_the_flag_that_learns_them(tmp_path):
    for i, name in enumerate(["calm", "tense"] * 60):
        (tmp_path / name).mkdir(exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(noise).save(tmp_path / name / f"{i}.png")

    def load(tasks):
        own = {"folder": {"path": str(tmp_path)}}
        return sections.load_train_and_val(tasks, side=24, sources=own)

    with pytest.raises(Mistake, match=r"'anger' \(known: calm, tense\); to") as told:
        load(make_tasks({"emotion": {}}))
    flag = shlex.split(str(told.value).partition("to learn these: ")[2])
    tasks = make_tasks(load_config("configs/folder.py", flag).tasks)
    assert tasks["emotion"].names == ("calm", "tense")
    load(tasks)


@pytest.mark.parametrize(
    "task, names",
    [
        (Emotion(), ("calm",)),  # of one class nothing is learnt
        (tiny.Gender(), ("calm", "tense")),  # no config sets its names
    ],
)
def test_no_flag_is_told_that_would_not_help(task, names):
    raw = make_raw(4, names={task.section: names})
    with pytest.raises(Mistake, match=r"\(known: [a-z, ]+\)$"):
        sections.check_names({task.section: task}, [raw])


@pytest.fixture
def other(tmp_path) -> Path:
    """Twelve other faces."""
    rng = np.random.default_rng(1)
    faces = [" ".join(map(str, rng.integers(0, 256, 256))) for _ in range(12)]
    rows = [f"{i % 5},{face}" for i, face in enumerate(faces)]
    (tmp_path / "other.csv").write_text("\n".join(["emotion, pixels", *rows, ""]))
    return tmp_path / "other.csv"


def test_then_the_first_files_val_rows_train_and_its_test_rows_stay_unseen(
    folder, other
):
    path = str(folder / "course.csv")
    train, _ = load({"fer2013": {"path": path, "val": str(other)}})
    alone, own = load({"fer2013": {"path": path}})
    both = np.union1d(alone["fer2013"].rows, own["fer2013"].rows)
    np.testing.assert_array_equal(train["fer2013"].rows, both)
    assert len(alone["fer2013"]) < len(train["fer2013"]) < 60


def test_a_first_file_without_val_rows_trains_on_what_it_has(folder, other):
    alone, _ = load({"fer2013": {"path": str(folder / "course.csv")}})
    lines = (folder / "course.csv").read_text().splitlines()
    few = other.with_name("few.csv")
    kept = [lines[1 + row] for row in alone["fer2013"].rows]  # all of them in train
    few.write_text("\n".join([lines[0], *kept, ""]))
    train, val = load({"fer2013": {"path": str(few), "val": str(other)}})
    assert (train["fer2013"].name, len(train["fer2013"])) == ("train", len(kept))
    assert len(val["fer2013"]) == 12


def test_twins_in_the_second_file_are_told_and_dropped(folder, other):
    path = str(folder / "course.csv")
    first = {"fer2013": {"path": path, "val": str(other)}}
    before, _ = load(first)
    twin = (
        (folder / "course.csv").read_text().splitlines()[1 + before["fer2013"].rows[0]]
    )
    other.write_text(other.read_text() + twin + "\n")
    told, _ = load(first)
    assert told["fer2013"].twins == 1 and len(told["fer2013"]) == len(before["fer2013"])
    dropped, val = load(first, dedupe=True)
    np.testing.assert_array_equal(dropped["fer2013"].rows, before["fer2013"].rows[1:])
    assert dropped["fer2013"].dropped == 1 and len(val["fer2013"]) == 13


def test_one_file_cannot_be_both(folder):
    path = str(folder / "course.csv")
    with pytest.raises(Mistake, match="course.csv is given both to train"):
        load({"fer2013": {"path": path, "val": f"{folder}/./course.csv"}})


def test_each_source_gives_its_own_splits_with_what_it_knows(folder):
    names = {"keypoints": "kaggle.csv", "fer2013": "course.csv"}
    train, val = load({s: {"path": str(folder / name)} for s, name in names.items()})
    assert list(train) == list(val) == ["keypoints", "fer2013"]
    for source, task in (("keypoints", "keypoints"), ("fer2013", "emotion")):
        faces = train[source].faces
        assert faces["image"].shape == (len(train[source]), 24, 24, 1)
        assert faces["known"].pop(task).all()
        assert not any(known.any() for known in faces["known"].values())


def test_dedupe_takes_twins_of_held_out_rows_from_training_alone(tmp_path):
    rng = np.random.default_rng(0)
    faces = [" ".join(map(str, rng.integers(0, 256, 256))) for _ in range(40)]
    rows = [f"0,{face},Training" for face in faces]
    rows += [f"0,{faces[7]},PrivateTest", f"0,{faces[8]},PrivateTest"]
    path = tmp_path / "twins.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    train, val = load({"fer2013": {"path": str(path)}}, dedupe=True)
    plain, same = load({"fer2013": {"path": str(path)}})
    gone = set(plain["fer2013"].rows) - set(train["fer2013"].rows)
    assert gone == {7, 8}
    np.testing.assert_array_equal(val["fer2013"].rows, same["fer2013"].rows)


@pytest.mark.parametrize("two", [False, True])
def test_what_a_run_was_trained_on_is_known_in_its_file_and_in_a_copy(
    folder, other, tmp_path, two
):
    file, copy = folder / "course.csv", tmp_path / "copy.csv"
    section = {"path": str(file), "val": str(other) if two else ""}
    train, _ = load({"fer2013": section})
    expected = np.isin(np.arange(60), train["fer2013"].rows)
    assert 0 < expected.sum() < 60
    header, *rows = file.read_text().splitlines()
    copy.write_text("\n".join([header, *rows[::-1], ""]))
    for path, seen in ((file, expected), (copy, expected[::-1])):
        raw = data.load("fer2013", str(path))
        assert np.array_equal(sections.trained_on(raw, section, 24), seen)


def test_no_held_out_face_counts_as_trained_on_though_its_twin_is(tmp_path):
    """What twins are worth is told elsewhere; a warning here would be a false alarm."""
    faces = [" ".join(map(str, np.roll(np.arange(256), i))) for i in (*range(40), 0)]
    usage = ["Training"] * 40 + ["PublicTest"]
    rows = [f"{i % 7},{faces[i]},{usage[i]}" for i in range(41)]
    file = tmp_path / "fer.csv"
    file.write_text("\n".join(["emotion,pixels,Usage", *rows, ""]))
    raw = data.load("fer2013", str(file))
    assert raw.hashes[0] == raw.hashes[40]
    seen = sections.trained_on(raw, {"path": str(file)}, 24)
    assert 0 < seen.sum() < 39 and not seen[40] and not seen[0]


def test_nothing_counts_as_trained_on_where_nothing_tells(folder, other):
    raw = data.load("fer2013", str(folder / "course.csv"))
    for section in (
        {"path": "gone.csv"},
        {"path": str(other)},
        {"path": "copy.csv", "val": raw.path},
    ):
        assert not sections.trained_on(raw, section, 24).any()


def test_a_way_to_dedupe_that_does_not_exist_is_a_mistake(folder):
    with pytest.raises(Mistake, match="config.data.dedupe is 'neer', must be True, F"):
        load({"fer2013": {"path": str(folder / "course.csv")}}, dedupe="neer")


@pytest.mark.parametrize(
    "sources, side, sentence",
    [
        ({"synthetic": {"faces": 60}}, 15, "config.data.side is 15, must be 16 to 512"),
        ({"synthetic": {"faces": 60}}, 513, "config.data.side is 513"),
        ({"synthetic": {"path": 5}}, 24, "sources.synthetic.path is 5, must be a str"),
        ({"fer2013": {"val": None}}, 24, "sources.fer2013.val is None, must be a str"),
        ({"fer2013": {"votes": 5}}, 24, "sources.fer2013.votes is 5, must be a str"),
        (
            {"synthetic": {"faces": "60"}},
            24,
            "synthetic.faces is '60', must be a whole",
        ),
        ({"synthetic": {"faces": 10**7}}, 24, "at most 1,000,000 faces"),
        ({"synthetic": {"faces": 60, "seed": -1}}, 24, "a seed from 0 to 2"),
        (
            {"synthetic": {"side": 60}},
            24,
            "field of config.data.sources.synthetic 'side'",
        ),
    ],
)
def test_a_wrong_field_is_told_before_anything_is_drawn(sources, side, sentence):
    with pytest.raises(Mistake, match=sentence):
        sections.load_train_and_val(BOTH, side=side, sources=sources)


def test_what_data_names_is_a_section_of_sources():
    assert sections.sources_of(["fer2013:5=a.csv", "keypoints=b=c.csv"]) == {
        "fer2013": {"path": "a.csv", "classes": 5},
        "keypoints": {"path": "b=c.csv"},
    }
    assert sections.sources_of([]) == {}
    with pytest.raises(Mistake, match="unknown source in SOURCE=PATH 'ferr'"):
        sections.sources_of(["ferr=a.csv"])


def test_a_task_that_would_learn_nothing_is_a_mistake(folder):
    train, _ = load({"fer2013": {"path": str(folder / "course.csv")}})
    with pytest.raises(Mistake, match="config.tasks.keypoints: no source has a label"):
        sections.check_labels(BOTH, train)
    taught = make_tasks({"emotion": {}, "keypoints": {"teachers": "runs/points"}})
    sections.check_labels(taught, train)
