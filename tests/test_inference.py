"""Laws of use from Python: any shape of images in, points in their own pixels out."""

import subprocess
import sys

import numpy as np
import pytest
import tiny
from PIL import Image

import emotion_jax
from emotion_jax import inference
from emotion_jax.data.image import gray
from emotion_jax.data.table import FIVE, POINTS
from emotion_jax.errors import Mistake
from emotion_jax.tasks import TASKS


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny network of both tasks, on 24x24 faces, at temperature 1.5."""
    return emotion_jax.load(tiny.untrained(tmp_path_factory.mktemp("tiny")))


IMAGES = tiny.faces(5)["image"]


def test_three_lines_say_what_the_evaluator_does(model):
    found = model.predict(IMAGES)
    restored = model.restored
    outputs = restored.evaluator.run(restored.variables, IMAGES)
    power = np.exp(outputs["emotion"] / 1.5)
    expected = power / power.sum(-1, keepdims=True)
    np.testing.assert_allclose(found.emotion, expected, atol=1e-6)
    assert found.emotion.dtype == found.keypoints.dtype == np.float32
    assert (found.classes, found.points) == (FIVE, POINTS)
    assert found.top == tuple(FIVE[k] for k in expected.argmax(-1))
    np.testing.assert_allclose(found.keypoints, outputs["keypoints"], atol=1e-5)


@pytest.mark.parametrize("names", [("emotion", *tiny.MORE), tuple(tiny.MORE)])
def test_every_task_answers_by_its_name(monkeypatch, tmp_path, names):
    for name, task in tiny.MORE.items():
        monkeypatch.setitem(TASKS, name, task)
    model = emotion_jax.load(tiny.untrained(tmp_path, {name: {} for name in names}))
    outputs = model.restored.evaluator.run(model.restored.variables, IMAGES)
    found = model.predict(IMAGES)
    assert tuple(found.answers) == names
    gender, ears = found.answers["gender"], found.answers["ears"]
    man = 1 / (1 + np.exp((outputs["gender"] @ np.array([1, -1])) / 1.5))
    np.testing.assert_allclose(gender.values[:, 1], man, atol=1e-6)
    assert gender.top == tuple(gender.names[k] for k in np.int64(man > 0.5))
    assert (gender.names, ears.names) == (("woman", "man"), tiny.Ears.names)
    np.testing.assert_allclose(ears.values, outputs["ears"], atol=1e-5)
    assert found.keypoints is None and found.points == ears.top == ()
    assert found.classes == (FIVE if "emotion" in names else ())
    assert (found.emotion is None) == (found.top == ()) == ("emotion" not in names)


@pytest.mark.parametrize(
    "images",
    [
        IMAGES[..., 0],
        np.repeat(IMAGES, 3, -1),
        list(IMAGES),
    ],
)
def test_gray_with_or_without_an_axis_and_gray_in_color_are_the_same(model, images):
    expected = model.predict(IMAGES)
    np.testing.assert_array_equal(model.predict(images).emotion, expected.emotion)


@pytest.mark.parametrize("one", [IMAGES[0], IMAGES[0, ..., 0]])
def test_one_image_is_one_row(model, one):
    found = model.predict(one)
    assert (found.emotion.shape, found.keypoints.shape) == ((1, 5), (1, 15, 2))
    expected = model.predict(IMAGES).emotion[:1]
    np.testing.assert_allclose(found.emotion, expected, atol=1e-5)


@pytest.mark.parametrize("none", [[], (), IMAGES[:0], np.repeat(IMAGES, 3, -1)[:0]])
@pytest.mark.parametrize("tta", [False, True])
def test_no_images_have_no_answers(model, none, tta):
    found = model.predict(none, tta)
    assert (found.emotion.shape, found.keypoints.shape) == ((0, 5), (0, 15, 2))
    assert (found.top, found.classes) == ((), FIVE)


def test_points_are_in_the_pixels_of_the_image_as_given(model):
    flat = np.full((1, 24, 24, 1), 90, np.uint8)  # resizing changes none of its pixels
    large = np.full((1, 72, 48, 1), 90, np.uint8)
    small, found = model.predict(flat), model.predict(large)
    expected = (small.keypoints + 0.5) * np.array([2, 3]) - 0.5
    np.testing.assert_allclose(found.keypoints, expected, rtol=1e-5, atol=1e-4)


def test_images_of_several_sizes_are_each_read_as_alone(model):
    color = np.repeat(IMAGES[1, :20], 3, -1)
    images = [IMAGES[0], color, IMAGES[2, :, 4:, 0], IMAGES[3]]
    found = model.predict(images)
    for i, image in enumerate(images):
        alone = model.predict(image)
        np.testing.assert_allclose(found.emotion[i], alone.emotion[0], atol=1e-5)
        np.testing.assert_allclose(found.keypoints[i], alone.keypoints[0], atol=1e-4)


def test_gray_is_pillows():
    color = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    expected = [np.asarray(Image.fromarray(image).convert("L")) for image in color]
    np.testing.assert_array_equal(gray(color)[..., 0], expected)


@pytest.mark.parametrize(
    "images, sentence",
    [
        (IMAGES / 255, "images are uint8, gray levels 0 to 255; got float64"),
        (IMAGES[:, :0], "got [5, 0, 24, 1]"),
        (np.zeros((2, 24, 24, 4), np.uint8), "got [2, 24, 24, 4]"),
        (np.zeros((48, 48, 4), np.uint8), "converted to RGB first; got [48, 48, 4]"),
        (np.zeros((48, 48, 2), np.uint8), "got [48, 48, 2]"),
        (np.zeros(24, np.uint8), "got [24]"),
        ([IMAGES[0], IMAGES[0, 0, :, 0]], "got [24]"),
        ([IMAGES[0], np.zeros(0)], "got float64"),
    ],
)
def test_images_that_are_none_are_told(model, images, sentence):
    with pytest.raises(Mistake) as told:
        model.predict(images)
    assert sentence in str(told.value)


def test_what_numpy_cannot_stack_is_no_image():
    with pytest.raises(Mistake, match=r"an image is an array: \[h w\], \[h w 1\] or"):
        inference.as_array([[1, 2], [3]])


def test_a_photos_faces_are_cut_out_read_and_put_back(model, tmp_path):
    astronaut = pytest.importorskip("skimage.data").astronaut()
    Image.fromarray(astronaut).save(tmp_path / "photo.png")
    found = model.find(tmp_path / "photo.png")
    for same in (astronaut, Image.fromarray(astronaut)):
        np.testing.assert_array_equal(model.find(same).keypoints, found.keypoints)
    ((x, y, width, height),) = found.boxes
    face = Image.fromarray(astronaut).convert("L").crop((x, y, x + width, y + height))
    small = np.asarray(face.resize((24, 24), Image.Resampling.BILINEAR))
    alone = model.predict(small)
    np.testing.assert_allclose(found.emotion, alone.emotion, atol=1e-6)
    expected = (alone.keypoints + 0.5) * (width / 24) - 0.5 + [x, y]
    np.testing.assert_allclose(found.keypoints, expected, atol=1e-3)
    averaged = model.find(astronaut, tta=True).emotion
    expected = model.predict(small, tta=True).emotion
    assert np.abs(expected - alone.emotion).max() > 1e-4
    np.testing.assert_allclose(averaged, expected, atol=1e-6)


def test_the_most_certain_face_comes_first(model):
    astronaut = pytest.importorskip("skimage.data").astronaut()
    dark = astronaut // 12
    for pair in ((astronaut, dark), (dark, astronaut)):
        found = model.find(np.concatenate(pair, axis=1))
        assert found.scores.shape == (2,) and 1 >= found.scores[0] > found.scores[1]
        assert (found.boxes[0, 0] < 512) == (pair[0] is astronaut)
    assert model.predict(IMAGES).scores is None


@pytest.mark.parametrize("shape", [(60, 60, 3), (60, 60)])
def test_a_photo_without_a_face_has_no_answers(model, shape):
    found = model.find(np.zeros(shape, np.uint8))
    assert (found.boxes.shape, found.scores.shape) == ((0, 4), (0,))
    assert (found.emotion.shape, found.keypoints.shape) == ((0, 5), (0, 15, 2))
    assert found.top == ()


@pytest.mark.parametrize(
    "photo, sentence",
    [
        (np.zeros((60, 60, 3)), "got float64 [60, 60, 3]"),
        (np.zeros((60, 60, 4), np.uint8), "to RGB first; got uint8 [60, 60, 4]"),
        (np.zeros((0, 0, 3), np.uint8), "got uint8 [0, 0, 3]"),
        (None, "the photo: expected uint8 [h w], [h w 1] or [h w 3], and RGBA "),
        (np.zeros((2, 60, 60, 3), np.uint8), "expected uint8 [h w], [h w 1] or"),
        ("nowhere.jpg", "nowhere.jpg: No such file or directory"),
    ],
)
def test_photos_that_are_none_are_told(model, photo, sentence):
    with pytest.raises(Mistake) as told:
        model.find(photo)
    assert sentence in str(told.value)


def test_a_checkpoint_that_is_not_there_is_told():
    with pytest.raises(Mistake, match="emotion_jax.load: nowhere does not exist"):
        emotion_jax.load("nowhere")


def test_the_import_alone_is_light():
    code = "import emotion_jax, sys; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
