"""Laws of the study of labels: what was put in is what is found."""

import re
from types import SimpleNamespace

import label_noise
import noise_points
import noise_votes
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from emotion_jax.data import synthetic
from emotion_jax.data.table import FIVE, POINTS, SEVEN, Raw
from emotion_jax.errors import Mistake
from emotion_jax.tasks import mirrored


def voted(counts, labels):
    """Faces with these votes of ten for the seven, and labels among the five."""
    share = np.array(counts, np.float32) / 10
    image = np.zeros((len(share), 8, 8, 1), np.uint8)
    raw = Raw("fer2013", "", image, {}, {}, {"emotion": SEVEN})
    return noise_votes.Voted(raw, np.arange(len(share)), np.array(labels), share)


# Of anger, disgust, fear, happy, sad, surprise, neutral; the five's order is another.
COUNTS = [
    [10, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 3, 0, 7],
    [0, 0, 0, 5, 5, 0, 0],
    [0, 0, 0, 0, 0, 0, 10],
    [1, 0, 0, 0, 4, 0, 5],
]
LABELS = [FIVE.index(n) for n in ("anger", "sad", "happy", "happy", "anger")]


def test_who_names_the_most_voted_shares_ties():
    found = noise_votes.agreement(voted(COUNTS, LABELS))
    np.testing.assert_allclose(found, [1, 1, 0.5, 0.2, 0])


def test_the_next_vote_is_told_from_the_others():
    """5 of happy and 5 of sad: the nine others lead to the wrong one, each time."""
    found = noise_votes.next_vote(voted(COUNTS, LABELS))
    np.testing.assert_allclose(found, [1, 1, 0, 4 / 5])  # the fourth has no vote


def test_a_reader_learns_whose_labels_they_are():
    """Where the labels call happy what all voters call sad, so does the reader."""
    sad, happy = [0, 0, 0, 0, 10, 0, 0], [0, 0, 0, 10, 0, 0, 0]
    labels = [FIVE.index("happy")] * 8 + [FIVE.index("sad")] * 8
    faces = voted([sad] * 8 + [happy] * 8, labels)
    assert noise_votes.agreement(faces).sum() == 0
    assert noise_votes.taught(faces, faces).all()


def test_clarity_counts_every_face_once():
    faces = voted(COUNTS, LABELS)
    found = noise_votes.by_clarity(faces, noise_votes.agreement(faces))
    assert [n for _, n, _ in found] == [1, 2, 1, 1]


def test_twins_are_paired_each_with_each():
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype(np.uint8)
    image[2] = 90  # blank ones are no twins
    raw = Raw("fer2013", "", image[[0, 1, 0, 2, 2, 0]], {}, {}, {})
    found = noise_votes.twin_pairs(raw, near=False)
    assert {tuple(pair) for pair in found} == {(0, 2), (2, 5), (0, 5)}


def test_a_photo_counts_once_however_often_it_is_there():
    label = np.array([1, 1, 2, 4, 4])
    pairs = np.array([[0, 1], [1, 2], [0, 2], [3, 4]])
    np.testing.assert_allclose(noise_votes.agree(pairs, label), [1 / 3, 1])


def test_panels_agree_as_clearly_as_they_vote():
    clear, split = [0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0.5, 0.5, 0, 0]
    assert noise_votes.panels_agree(np.array([clear] * 50)).all()
    found = noise_votes.panels_agree(np.array([split] * 4000)).mean()
    tie = 252 / 1024  # goes to the first: p is 0.623, of agreeing 0.53
    first = (1 + tie) / 2
    assert found == pytest.approx(first**2 + (1 - first) ** 2, abs=0.03)


def test_the_grid_of_rounded_points_is_found():
    pixels = np.random.default_rng(0).integers(0, 70, (3, 15, 2)) @ [1, 1j]
    found = noise_points.grain(1.337 * pixels + (3.1 - 2.2j))
    np.testing.assert_allclose(found, 1.337, atol=1e-3)


@pytest.fixture(scope="module")
def labelled():
    """A drawn face, and the same turned, grown and moved, with labels of each."""
    raw = synthetic.read(faces=10, seed=3)
    image = raw.image[0, ..., 0].astype(np.float32)
    points = raw.labels["keypoints"][0].astype(float) @ [1, 1j]
    m, o = 1.06 * np.exp(0.08j), 2.5 - 4j
    y, x = np.mgrid[:96, :96]
    back = (x + 1j * y - o) / m
    turned = map_coordinates(image, [back.imag, back.real], order=1, mode="nearest")
    people = np.array(["a", "a"])
    both = np.stack([points, m * points + o])
    return noise_points.Labelled(np.stack([image, 0.8 * turned + 20]), both, people)


def with_noise(labelled, noise):
    points = labelled.points + noise
    return noise_points.Labelled(labelled.image, points, labelled.person)


def test_labels_without_noise_agree(labelled):
    found = noise_points.Registered(labelled, 0.9)
    np.testing.assert_array_equal(found.pairs, [[0, 1]])
    assert noise_points.rms(found.shapes(found.pairs)) < 1e-6
    assert noise_points.rms(found.labels(found.pairs)) < 0.05


def test_pixels_know_of_a_shift_that_the_labels_shapes_do_not(labelled):
    moved = with_noise(labelled, np.array([[0], [1.5 + 1.5j]]))
    found = noise_points.Registered(moved, 0.5)
    assert noise_points.rms(found.shapes(found.pairs)) < 1e-6
    assert noise_points.rms(found.labels(found.pairs)) == pytest.approx(1.5, abs=0.2)


def test_noise_of_every_point_is_found_both_ways(labelled):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (2, 15, 2)) @ [1, 1j]
    found = noise_points.Registered(with_noise(labelled, noise), 0.5)
    expected = noise_points.rms(noise[0] * 1.06 - noise[1] / 1.0)
    ways = found.shapes(found.pairs), found.labels(found.pairs)
    for errors in ways:
        assert noise_points.rms(errors) == pytest.approx(expected, rel=0.3)


def test_a_symmetric_face_leaves_nothing_on_its_mirror_image(labelled):
    face = labelled.points[:1]
    mirror = (95 - face[:, list(mirrored(POINTS))]).conj()
    even = (face + mirror) / 2
    left, frontal = noise_points.symmetric(even)
    assert frontal == 1 and noise_points.rms(left) < 1e-9
    noise = np.random.default_rng(0).normal(0, 0.5, (400, 15, 2)) @ [1, 1j]
    left, frontal = noise_points.symmetric(even + noise)
    assert frontal > 100 and noise_points.rms(left) == pytest.approx(0.5, rel=0.1)


def test_a_share_is_told_with_its_interval():
    told = label_noise.share(np.float64(np.arange(400) < 100))
    number, low, high = map(float, re.findall(r"\d\.\d+", told))
    assert 0.15 < low < number == 0.25 < high < 0.35
    assert label_noise.share(np.array([])) == "-"


def test_the_bounds_are_the_share_that_agrees_and_its_root():
    told = label_noise.bounds(np.full(50, 0.64))
    assert told == ["0.640 (0.640 to 0.640)", "0.800 (0.800 to 0.800)"]


def test_a_persons_faces_share_their_mean_error():
    errors = np.array([[1 + 2j], [3 + 0j], [5 + 5j]])
    found = label_noise.of_people(errors, np.array(["a", "a", "b"]))
    np.testing.assert_allclose(found, [[2 + 1j], [2 + 1j], [5 + 5j]])


def test_faces_within_rows_are_those_and_their_labels():
    found = label_noise.within(voted(COUNTS, LABELS), np.array([1, 3, 9]))
    assert found.rows.tolist() == [1, 3]
    assert found.label.tolist() == [LABELS[1], LABELS[3]]
    np.testing.assert_array_equal(found.share * 10, [COUNTS[1], COUNTS[3]])


def test_a_network_of_any_side_misses_in_pixels_of_the_frame(labelled):
    said = (labelled.points + 0.5 + 0.5j + 3) / 2 - 0.5 - 0.5j  # 3 px to the right

    def predict(image):
        assert image.shape == (2, 48, 48, 1)
        return SimpleNamespace(keypoints=np.stack([said.real, said.imag], -1))

    model = SimpleNamespace(side=48, predict=predict)
    np.testing.assert_allclose(label_noise.missed(model, labelled), 3, atol=1e-6)


def test_of_seven_classes_a_network_is_asked_for_the_five():
    said = np.array([[0.1, 0.0, 0.5, 0.0, 0.3, 0.0, 0.1]])
    model = SimpleNamespace(
        predict=lambda image: SimpleNamespace(emotion=said, classes=SEVEN)
    )
    faces = voted(COUNTS[:1], LABELS[:1])
    found = label_noise.probabilities(model, faces)[0]
    expected = {"anger": 0.25, "sad": 0.75}
    assert found == pytest.approx([expected.get(name, 0) for name in FIVE])


def test_a_network_that_does_not_know_the_task_is_told():
    files = [f"--{name}=none.csv" for name in ("fer2013", "votes", "keypoints")]
    with pytest.raises(Mistake, match="pretrained:emotion7 does not know .* keypoints"):
        label_noise.main([*files, "--keypoint-network=pretrained:emotion7"])
