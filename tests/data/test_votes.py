"""Laws of the votes: whose they are, what they make of a label, who sees which."""

import pathlib

import numpy as np
import pytest

from emotion_jax import data
from emotion_jax.data import sections, votes
from emotion_jax.data.splits import make_split
from emotion_jax.data.table import SEVEN, Raw
from emotion_jax.errors import Mistake
from emotion_jax.tasks import make_tasks

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data"
HEADER = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,"
    "contempt,unknown,NF"
)
# label (FER2013's number), Usage and votes of each face, in the file's order:
# neutral happy surprise sad anger disgust fear contempt unknown NF
FACES = [
    (3, "Training", "0,10,0,0,0,0,0,0,0,0"),
    (3, "Training", "6,4,0,0,0,0,0,0,0,0"),  # most see neutral
    (6, "Training", "2,8,0,0,0,0,0,0,0,0"),  # most see happy
    (4, "Training", "0,0,0,4,4,0,0,1,1,0"),  # a tie
    (5, "Training", "0,0,3,0,0,0,1,0,0,6"),  # most see no face
    (2, "Training", "0,0,1,0,0,0,2,0,7,0"),  # most cannot tell
    (0, "PublicTest", "0,1,0,0,9,0,0,0,0,0"),
    (0, "PublicTest", "0,0,0,0,1,0,0,0,0,9"),
]
FIVE, SEVENTH = make_tasks({"emotion": {}}), make_tasks({"emotion": {"classes": 7}})


def face(i: int) -> str:
    return " ".join(str((value * (i + 3)) % 251) for value in range(256))


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes both files, of these faces, and returns the options that name them."""
    monkeypatch.setenv("EMOTION_JAX_CACHE", str(tmp_path / "cache"))

    def write(faces=FACES, ballots=FACES, header="emotion,pixels,Usage"):
        rows = [
            ",".join([str(label), face(i), usage][: header.count(",") + 1])
            for i, (label, usage, _) in enumerate(faces)
        ]
        (tmp_path / "fer.csv").write_text("\n".join([header, *rows]))
        rows = [f"{usage},fer0000000.png,{vote}" for _, usage, vote in ballots]
        (tmp_path / "plus.csv").write_text("\n".join([HEADER, *rows]))
        return {"path": str(tmp_path / "fer.csv"), "votes": str(tmp_path / "plus.csv")}

    return write


def load(path: str, **options) -> Raw:
    return data.load("fer2013", path, **options)


def labels_of(raw, tasks, split="Training", trained=True) -> dict:
    """Each face's label, by its row."""
    made = make_split(raw, split, tasks, 16, trained=trained)
    rows, labels = made.rows.tolist(), made.faces["labels"]["emotion"].tolist()
    return dict(zip(rows, labels, strict=True))


# anger, disgust, fear, happy, sad, surprise, neutral of the rows that are known
EXPECTED = {
    "original": {
        0: [0, 0, 0, 1, 0, 0, 0],
        1: [0, 0, 0, 1, 0, 0, 0],
        2: [0, 0, 0, 0, 0, 0, 1],
        3: [0, 0, 0, 0, 1, 0, 0],
        4: [0, 0, 0, 0, 0, 1, 0],
        5: [0, 0, 1, 0, 0, 0, 0],
    },
    "majority": {
        0: [0, 0, 0, 1, 0, 0, 0],
        1: [0, 0, 0, 0, 0, 0, 1],
        2: [0, 0, 0, 1, 0, 0, 0],
        3: [0.5, 0, 0, 0, 0.5, 0, 0],
    },
    "distribution": {
        0: [0, 0, 0, 1, 0, 0, 0],
        1: [0, 0, 0, 0.4, 0, 0, 0.6],
        2: [0, 0, 0, 0.8, 0, 0, 0.2],
        3: [0.5, 0, 0, 0, 0.5, 0, 0],
    },
    "mean": {
        0: [0, 0, 0, 1, 0, 0, 0],
        1: [0, 0, 0, 0.7, 0, 0, 0.3],
        2: [0, 0, 0, 0.4, 0, 0, 0.6],
        3: [0.4 / 1.8, 0, 0, 0, 1.4 / 1.8, 0, 0],
        4: [0, 0, 0.1 / 1.4, 0, 0, 1.3 / 1.4, 0],
        5: [0, 0, 1.2 / 1.3, 0, 0, 0.1 / 1.3, 0],
    },
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_labels_by_hand(write, kind):
    options = write()
    found = labels_of(load(**options, labels=kind), SEVENTH)
    assert found.keys() == EXPECTED[kind].keys()
    for row, label in EXPECTED[kind].items():
        np.testing.assert_allclose(found[row], label, atol=1e-6, err_msg=str(row))


def test_a_model_of_five_takes_the_voters_at_their_word(write):
    raw = load(**write(), labels="distribution")
    found = labels_of(raw, FIVE)  # anger, disgust, sad, happy, surprise
    assert found.keys() == {0, 2, 3}
    assert found[0] == found[2] == [0, 0, 0, 1, 0]
    np.testing.assert_allclose(found[3], [0.5, 0, 0.5, 0, 0], atol=1e-6)


@pytest.mark.parametrize("kind, left", [("original", 5), ("mean", 5), ("majority", 4)])
def test_no_face_is_left_out_of_training_alone(write, kind, left):
    raw = load(**write(), labels=kind, drop_no_face=True)
    trained = labels_of(raw, SEVENTH)
    assert 4 not in trained and len(trained) == left
    assert labels_of(raw, SEVENTH, "PublicTest", trained=False).keys() == {6, 7}
    assert len(labels_of(raw, SEVENTH, trained=False)) == 6


def replaced(votes: str) -> list[tuple]:
    """The faces, one of them voted on otherwise."""
    return [*FACES[:4], (5, "Training", votes), *FACES[5:]]


@pytest.mark.parametrize("votes", ["0,0,5,0,0,0,0,0,0,5", "0,0,0,0,0,0,0,0,0,0"])
def test_half_of_the_votes_for_no_face_and_none_at_all_are_not_most(write, votes):
    faces = replaced(votes)
    raw = load(**write(faces, faces), drop_no_face=True)
    assert 4 in labels_of(raw, SEVENTH)


@pytest.mark.parametrize(
    "votes, labels",
    [
        ("0,0,0,0,0,0,0,0,0,0", "distribution"),  # nobody voted
        ("0,0,5,0,0,0,0,0,5,0", "majority"),  # a tie with unknown
    ],
)
def test_a_face_that_the_voters_cannot_tell_is_left_out(write, votes, labels):
    faces = replaced(votes)
    raw = load(**write(faces, faces), labels=labels)
    assert labels_of(raw, SEVENTH).keys() == {0, 1, 2, 3}


def test_training_has_the_voters_labels_and_val_the_original_ones(write):
    many = [FACES[1] if i % 2 else FACES[0] for i in range(60)] + FACES[6:]
    section = write(many, many) | {"labels": "distribution"}
    train, val = sections.load_train_and_val(
        SEVENTH, side=16, sources={"fer2013": section}
    )
    train, val = train["fer2013"], val["fer2013"]
    assert (train.labels, val.labels) == ("FER+ distribution", "original")
    assert 0 < len(val) < len(train)
    labels = train.faces["labels"]["emotion"]
    np.testing.assert_allclose(np.unique(labels[:, 3]), [0.4, 1])
    assert (val.faces["labels"]["emotion"][:, 3] == 1).all()


def test_votes_join_by_the_order_within_each_usage(write):
    """A file of all three Usages serves one of two, in whatever order these stand."""
    private = (3, "PrivateTest", "0,9,1,0,0,0,0,0,0,0")
    options = write(FACES[6:] + FACES[:6], [private, *FACES, private])
    raw = load(**options, labels="distribution")
    votes_for_happy = raw.trained["emotion"][:, SEVEN.index("happy")]
    np.testing.assert_allclose(votes_for_happy, [0.1, 0, 1, 0.4, 0.8, 0, 0, 0])


@pytest.mark.parametrize(
    "files, sentence",
    [
        ({"ballots": FACES[1:]}, "votes on 5 rows of Training, and .*fer.csv has 6"),
        ({"ballots": FACES[:6]}, "votes on 0 rows of PublicTest, and .* has 2 such"),
        ({"ballots": FACES[::-1]}, "agrees with .*fer.csv on 25% of the rows, and FER"),
        ({"header": "emotion,pixels"}, "five classes or without Usage"),
    ],
)
def test_files_that_do_not_belong_together(write, files, sentence):
    faces = [f for f in FACES if f[0] < 5] if "header" in files else FACES
    options = write(**{"faces": faces, **files})
    with pytest.raises(Mistake, match=sentence):
        load(**options, labels="majority")


def test_votes_on_five_classes_are_told(write):
    faces = [face for face in FACES if face[0] < 5]
    with pytest.raises(Mistake, match="five classes or without Usage does not tell"):
        load(**write(faces, faces), classes=5, labels="majority")


@pytest.mark.parametrize(
    "change, sentence",
    [
        ((",NF", ",no"), "is no file of FER.* votes: expected .* got no NF"),
        ((",10,", ",x,"), "line 2: expected happiness to be a number .* got 'x'"),
        ((",10,", ",-1,"), "line 2: expected happiness .* got '-1'"),
        ((",10,", ",1000,"), "line 2: expected happiness .* got '1000'"),
        ((",10,", ",²,"), "line 2: expected happiness .* got '²'"),
        ((",10,", ",10,1,"), "is no CSV file: .*line 3|expected"),
        ((HEADER, ""), "no file of FER.* votes|is no CSV file"),
    ],
)
def test_a_file_that_holds_no_votes(write, change, sentence):
    options = write()
    path = pathlib.Path(options["votes"])
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(Mistake, match=sentence):
        load(**options, labels="majority")


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"votes": ""}, "labels='mean' needs votes=PATH"),
        ({"votes": "", "labels": "original"}, "drop_no_face needs votes=PATH"),
        ({"votes": "nowhere.csv"}, "nowhere.csv: cannot be read: No such file"),
        ({"labels": "majorty"}, "'majorty'; did you mean majority"),
    ],
)
def test_options_that_do_not_fit(write, change, sentence):
    options = write() | {"labels": "mean", "drop_no_face": False}
    options["drop_no_face"] = change.get("labels") == "original"
    with pytest.raises(Mistake, match=sentence):
        load(**(options | change))


def test_votes_that_would_change_nothing_are_a_mistake_unless_labels_say_so(write):
    options = write()
    with pytest.raises(Mistake, match="votes=PATH alone trains as without: add labels"):
        load(**options)
    assert load(**options, labels="original").trained_as == "original"
    assert load(options["path"]).trained_as == "original"


def test_other_votes_are_not_taken_from_the_cache(write):
    options = write() | {"labels": "distribution"}
    first = load(**options)
    again = load(**options)
    np.testing.assert_array_equal(first.trained["emotion"], again.trained["emotion"])
    assert again.trained_as == "FER+ distribution"
    path = pathlib.Path(options["votes"])
    path.write_text(path.read_text().replace("0,10,0", "1,9,0", 1))
    changed = load(**options).trained["emotion"][0]
    np.testing.assert_allclose(changed, [0, 0, 0, 0.9, 0, 0, 0.1])


def test_the_real_votes():
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data")
    found = votes.read(str(SHARED / "fer2013new.csv"), "distribution", False)
    assert found.shares.shape == (32298, 10)
    np.testing.assert_allclose(found.shares.sum(1), 1, rtol=1e-6)
    table = np.genfromtxt(
        SHARED / "fer2013_labels.csv", delimiter=",", skip_header=1, dtype=str
    )
    label = np.eye(7, dtype=np.float32)[table[:, 1].astype(int)]
    raw = Raw(
        source="fer2013",
        path="fer.csv",
        image=np.zeros((32298, 2, 2, 1), np.uint8),
        labels={"emotion": label},
        known={"emotion": np.ones(32298, bool)},
        names={"emotion": SEVEN},
        usage=table[:, 0],
    )
    joined = votes.with_votes(raw, found, "distribution", False).trained["emotion"]
    # Its first row, and the first of PublicTest: anger, ..., sad, ..., neutral of ten.
    np.testing.assert_allclose(joined[0], [0.3, 0.2, 0, 0, 0.1, 0, 0.4])
    np.testing.assert_allclose(joined[28709], [0.1, 0, 0, 0, 0, 0, 0.4])
    assert (found.shares[:, votes.NO_FACE] > 0.5).sum() == 160
    assert (found.shares.argmax(1) == label.argmax(1)).mean() == pytest.approx(
        0.64, abs=0.005
    )
