"""Laws of the study of labels: what was put in is what is found."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emotion_jax.data import synthetic
from emotion_jax.data.table import FIVE, SEVEN, Raw
from emotion_jax.errors import Mistake

LAUNCH = Path(__file__).parents[2] / "launch"


@pytest.fixture(scope="module")
def study():
    """The scripts, from their folder: on votes, and on points."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(LAUNCH)
        import noise_points
        import noise_votes

        yield noise_votes, noise_points


def voted(study, counts, labels):
    """Faces with these votes of ten for the seven, and labels among the five."""
    share = np.array(counts, np.float32) / 10
    raw = Raw("fer2013", "", np.zeros((len(share), 8, 8, 1), np.uint8), {}, {}, SEVEN)
    return study[0].Voted(raw, np.arange(len(share)), np.array(labels), share)


# Of anger, disgust, fear, happy, sad, surprise, neutral; the five's order is another.
COUNTS = [
    [10, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 3, 0, 7],
    [0, 0, 0, 5, 5, 0, 0],
    [0, 0, 0, 0, 0, 0, 10],
    [1, 0, 0, 0, 4, 0, 5],
]
LABELS = [FIVE.index(n) for n in ("anger", "sad", "happy", "happy", "anger")]


def test_who_names_the_most_voted_shares_ties(study):
    found = study[0].agreement(voted(study, COUNTS, LABELS))
    np.testing.assert_allclose(found, [1, 1, 0.5, 0.2, 0])


def test_the_next_vote_is_told_from_the_others(study):
    """5 of happy and 5 of sad: the nine others lead to the wrong one, each time."""
    found = study[0].next_vote(voted(study, COUNTS, LABELS))
    np.testing.assert_allclose(found, [1, 1, 0, 4 / 5])  # the fourth has no vote


def test_a_reader_learns_whose_labels_they_are(study):
    """Where the labels call happy what all voters call sad, so does the reader."""
    sad, happy = [0, 0, 0, 0, 10, 0, 0], [0, 0, 0, 10, 0, 0, 0]
    labels = [FIVE.index("happy")] * 8 + [FIVE.index("sad")] * 8
    faces = voted(study, [sad] * 8 + [happy] * 8, labels)
    assert study[0].agreement(faces).sum() == 0
    assert study[0].taught(faces, faces).all()


def test_clarity_counts_every_face_once(study):
    faces = voted(study, COUNTS, LABELS)
    found = study[0].by_clarity(faces, study[0].agreement(faces))
    assert [n for _, n, _ in found] == [1, 2, 1, 1]


def test_twins_are_paired_each_with_each(study):
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype(np.uint8)
    image[2] = 90  # blank ones are no twins
    raw = Raw("fer2013", "", image[[0, 1, 0, 2, 2, 0]], {}, {}, SEVEN)
    found = study[0].twin_pairs(raw, near=False)
    assert {tuple(pair) for pair in found} == {(0, 2), (2, 5), (0, 5)}


def test_a_photo_counts_once_however_often_it_is_there(study):
    label = np.array([1, 1, 2, 4, 4])
    pairs = np.array([[0, 1], [1, 2], [0, 2], [3, 4]])
    np.testing.assert_allclose(study[0].agree(pairs, label), [1 / 3, 1])


def test_panels_agree_as_clearly_as_they_vote(study):
    clear, split = [0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0.5, 0.5, 0, 0]
    assert study[0].panels_agree(np.array([clear] * 50)).all()
    found = study[0].panels_agree(np.array([split] * 4000)).mean()
    tie = 252 / 1024  # goes to the first: p is 0.623, of agreeing 0.53
    first = (1 + tie) / 2
    assert found == pytest.approx(first**2 + (1 - first) ** 2, abs=0.03)


def test_the_grid_of_rounded_points_is_found(study):
    pixels = np.random.default_rng(0).integers(0, 70, (3, 15, 2)) @ [1, 1j]
    found = study[1].grain(1.337 * pixels + (3.1 - 2.2j))
    np.testing.assert_allclose(found, 1.337, atol=1e-3)


@pytest.fixture(scope="module")
def labelled(study):
    """A drawn face, and the same turned, grown and moved, with labels of each."""
    from scipy.ndimage import map_coordinates

    raw = synthetic.read(faces=10, seed=3)
    image = raw.image[0, ..., 0].astype(np.float32)
    points = raw.labels["keypoints"][0].astype(float) @ [1, 1j]
    m, o = 1.06 * np.exp(0.08j), 2.5 - 4j
    y, x = np.mgrid[:96, :96]
    back = (x + 1j * y - o) / m
    turned = map_coordinates(image, [back.imag, back.real], order=1, mode="nearest")
    people = np.array(["a", "a"])
    both = np.stack([points, m * points + o])
    return study[1].Labelled(np.stack([image, 0.8 * turned + 20]), both, people)


def with_noise(study, labelled, noise):
    points = labelled.points + noise
    return study[1].Labelled(labelled.image, points, labelled.person)


def test_labels_without_noise_agree(study, labelled):
    found = study[1].Registered(labelled, 0.9)
    np.testing.assert_array_equal(found.pairs, [[0, 1]])
    assert study[1].rms(found.shapes(found.pairs)) < 1e-6
    assert study[1].rms(found.labels(found.pairs)) < 0.05


def test_pixels_know_of_a_shift_that_the_labels_shapes_do_not(study, labelled):
    moved = with_noise(study, labelled, np.array([[0], [1.5 + 1.5j]]))
    found = study[1].Registered(moved, 0.5)
    assert study[1].rms(found.shapes(found.pairs)) < 1e-6
    assert study[1].rms(found.labels(found.pairs)) == pytest.approx(1.5, abs=0.2)


def test_noise_of_every_point_is_found_both_ways(study, labelled):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (2, 15, 2)) @ [1, 1j]
    found = study[1].Registered(with_noise(study, labelled, noise), 0.5)
    expected = study[1].rms(noise[0] * 1.06 - noise[1] / 1.0)
    ways = found.shapes(found.pairs), found.labels(found.pairs)
    for errors in ways:
        assert study[1].rms(errors) == pytest.approx(expected, rel=0.3)


def test_a_symmetric_face_leaves_nothing_on_its_mirror_image(study, labelled):
    from emotion_jax.data.table import POINTS
    from emotion_jax.tasks import mirrored

    face = labelled.points[:1]
    mirror = (95 - face[:, list(mirrored(POINTS))]).conj()
    even = (face + mirror) / 2
    left, frontal = study[1].symmetric(even)
    assert frontal == 1 and study[1].rms(left) < 1e-9
    noise = np.random.default_rng(0).normal(0, 0.5, (400, 15, 2)) @ [1, 1j]
    left, frontal = study[1].symmetric(even + noise)
    assert frontal > 100 and study[1].rms(left) == pytest.approx(0.5, rel=0.1)


def test_of_seven_classes_a_network_is_asked_for_the_five(study):
    import label_noise

    said = np.array([[0.1, 0.0, 0.5, 0.0, 0.3, 0.0, 0.1]])
    model = SimpleNamespace(
        predict=lambda image: SimpleNamespace(emotion=said, classes=SEVEN)
    )
    faces = voted(study, COUNTS[:1], LABELS[:1])
    found = label_noise.probabilities(model, faces)[0]
    expected = {"anger": 0.25, "sad": 0.75}
    assert found == pytest.approx([expected.get(name, 0) for name in FIVE])


def test_a_network_that_does_not_know_the_task_is_told(study):
    import label_noise

    files = [f"--{name}=none.csv" for name in ("fer2013", "votes", "keypoints")]
    with pytest.raises(Mistake, match="pretrained:emotion7 does not know .* keypoints"):
        label_noise.main([*files, "--keypoint-network=pretrained:emotion7"])
