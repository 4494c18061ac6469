"""Laws of class folders: what is read, in which gray, which split, and what is told."""

import numpy as np
import pytest
from PIL import Image

from emotion_jax import data
from emotion_jax.data import folder, image, twins
from emotion_jax.data.splits import make_split, resize, split_rows
from emotion_jax.errors import Mistake
from emotion_jax.report import survey
from emotion_jax.tasks import make_tasks


def save(path, size=(20, 20), seed=0, mode="L", **options):
    """Writes an image of noise; returns its gray pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    gray = rng.integers(0, 256, (size[1], size[0])).astype(np.uint8)
    Image.fromarray(gray).convert(mode).save(path, **options)
    return gray


@pytest.fixture
def two(tmp_path):
    """Two classes of three faces each."""
    for i in range(6):
        save(tmp_path / ("tense" if i % 2 else "calm") / f"{i}.png", seed=i)
    return tmp_path


def test_folders_are_classes_and_images_faces(two):
    raw = folder.read(str(two), side=20)
    assert raw.names["emotion"] == ("calm", "tense") and raw.usage is None
    np.testing.assert_array_equal(raw.labels["emotion"].argmax(1), [0, 0, 0, 1, 1, 1])
    expected = [save(two / "x.png", seed=i) for i in (0, 2, 4, 1, 3, 5)]
    np.testing.assert_array_equal(raw.image[..., 0], expected)


def test_the_config_orders_the_classes_and_may_leave_some_out(two):
    tasks = make_tasks({"emotion": {"classes": ("tense", "calm")}})
    split = make_split(folder.read(str(two), side=20), "all", tasks, 20)
    np.testing.assert_array_equal(
        split.faces["labels"]["emotion"].argmax(1), [1, 1, 1, 0, 0, 0]
    )
    only = make_tasks({"emotion": {"classes": ("tense", "angry")}})
    assert len(make_split(folder.read(str(two), side=20), "all", only, 20)) == 3


def test_names_that_no_folder_has_are_told(two):
    tasks = make_tasks({"emotion": {"classes": ("joy", "fear")}})
    with pytest.raises(Mistake, match=r"learns emotion \(joy, fear\).*calm, tense"):
        make_split(folder.read(str(two), side=20), "all", tasks, 20)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK"])
def test_every_mode_gives_a_gray_face(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    save(tmp_path / "a" / f"0.{suffix}", mode=mode)
    assert folder.read(str(tmp_path), side=20).image.shape == (1, 20, 20, 1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "webp"])
def test_every_format_is_read(tmp_path, suffix):
    gray = save(tmp_path / "a" / f"0.{suffix}")
    found = folder.read(str(tmp_path), side=20).image[0, ..., 0].astype(int)
    assert np.abs(found - gray).mean() < (1 if suffix == "png" else 40)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    (tmp_path / "a").mkdir()
    values = np.arange(400, dtype=np.uint16).reshape(20, 20) * 160
    Image.fromarray(values).save(tmp_path / "a" / "0.png")
    found = folder.read(str(tmp_path), side=20).image[0, ..., 0]
    np.testing.assert_allclose(found, values / 257, atol=0.51)


def test_faces_are_resampled_as_every_other_source_is(tmp_path):
    gray = save(tmp_path / "a" / "0.png", size=(50, 50))
    found = folder.read(str(tmp_path), side=24).image
    np.testing.assert_array_equal(found, resize(gray[None, ..., None], 24))


def test_a_photo_is_turned_as_its_camera_says_and_its_middle_taken(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is on the right
    gray = save(tmp_path / "a" / "0.png", size=(40, 20), exif=exif)
    found = folder.read(str(tmp_path), side=20).image[0, ..., 0]
    np.testing.assert_array_equal(found, np.rot90(gray, -1)[10:30])


def test_split_folders_name_the_splits(tmp_path):
    for i, split in enumerate(["Train", "validation", "test", "test"]):
        save(tmp_path / split / "calm" / f"{i}.png", seed=i)
    raw = folder.read(str(tmp_path), side=20)
    assert raw.usage.tolist() == ["train", "test", "test", "val"]
    assert split_rows(raw, "test").tolist() == [1, 2]


def test_without_a_validation_folder_a_tenth_of_training_is_it(tmp_path):
    for i in range(200):
        save(tmp_path / "train" / "calm" / f"{i:03}.png", size=(8, 8), seed=i)
    save(tmp_path / "test" / "calm" / "0.png", size=(8, 8), seed=999)
    usage = folder.read(str(tmp_path), side=8).usage
    assert 8 <= (usage == "val").sum() <= 32 and (usage == "test").sum() == 1


@pytest.fixture
def damaged(two):
    """Two good faces a class, and twelve files that are none."""
    for i in range(12):
        (two / "calm" / f"bad{i:02}.png").write_bytes(b"GIF89a" + bytes([i] * 9))
    return two


def test_unreadable_files_end_the_run_with_the_first_ten(damaged):
    with pytest.raises(Mistake) as error:
        folder.read(str(damaged))
    told = str(error.value)
    assert "12 of 18 images cannot be read: calm/bad00.png (no PNG, JPEG or" in told
    assert "calm/bad09.png" in told and "bad10" not in told and "and 2 more" in told
    assert told.endswith(
        f"; remove them, or train with {folder.SKIP}, which leaves them out"
    )


def test_where_no_file_is_readable_leaving_them_out_is_no_advice(two):
    for file in two.glob("*/*.png"):
        file.write_bytes(b"")
    with pytest.raises(Mistake, match=r"6 of 6 images .*\)$"):
        folder.read(str(two), skip_bad=True)


def test_unreadable_files_are_skipped_if_told_to(damaged, capsys):
    raw = folder.read(str(damaged), side=20, skip_bad=True)
    assert len(raw.image) == 6
    assert capsys.readouterr().err.count("left out calm/bad") == 12


def test_a_truncated_image_and_one_too_large_are_named(two, monkeypatch):
    whole = (two / "calm" / "0.png").read_bytes()
    (two / "calm" / "0.png").write_bytes(whole[: len(whole) // 2])
    save(two / "calm" / "big.png", size=(30, 30))
    monkeypatch.setattr(image, "MOST_PIXELS", 500)
    with pytest.raises(Mistake, match=r"2 of 7 .*0.png \(.*big.png \(30 x 30 pixels"):
        folder.read(str(two))


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda p: None, "holds no images; expected .*CLASS/NAME.png"),
        (lambda p: save(p / "0.png"), "holds no images"),
        (lambda p: (p / "calm").mkdir(), "holds no images"),
        (lambda p: save(p / "test" / "0.png"), "holds no images"),
    ],
)
def test_a_folder_without_class_folders_is_told(tmp_path, make, sentence):
    make(tmp_path)
    with pytest.raises(Mistake, match=sentence):
        folder.read(str(tmp_path))


def test_what_is_no_folder_is_told(tmp_path):
    with pytest.raises(Mistake, match="does not exist; expected a folder of class"):
        folder.read(str(tmp_path / "none"))
    (tmp_path / "file").write_text("")
    with pytest.raises(Mistake, match="is a file; expected a folder"):
        folder.read(str(tmp_path / "file"))


def test_a_second_start_remembers_the_folder_until_it_changes(two, monkeypatch):
    monkeypatch.setenv("EMOTION_JAX_CACHE", str(two.parent / "cache"))
    first = data.load("folder", str(two), 20)
    assert (
        len(first.image) == 6 and data.load("folder", str(two), 24).image.shape[1] == 24
    )
    monkeypatch.setattr(folder, "read_gray", None)
    np.testing.assert_array_equal(data.load("folder", str(two), 20).image, first.image)
    save(two / "calm" / "7.png", seed=7)
    with pytest.raises(TypeError):
        data.load("folder", str(two), 20)


@pytest.mark.parametrize("inner", ["", "train/"])
def test_splits_are_the_same_at_every_side(tmp_path, inner):
    for i in range(60):
        save(tmp_path / f"{inner}calm/{i:02}.png", size=(20, 16), seed=i)
    at_8, at_12 = (folder.read(str(tmp_path), side=side) for side in (8, 12))
    assert at_8.image.shape[1] != at_12.image.shape[1]
    for name in ("train", "val"):
        rows = split_rows(at_8, name)
        np.testing.assert_array_equal(rows, split_rows(at_12, name))
    found = survey.choose(at_8, "val").raw
    np.testing.assert_array_equal(found.hashes, at_8.hashes[rows])


def test_an_image_of_the_side_asked_for_is_hashed_as_in_any_other_source(two):
    raw = folder.read(str(two), side=20)
    np.testing.assert_array_equal(raw.hashes, twins.hash_images(raw.image))


@pytest.mark.parametrize(
    "shown, hidden",
    [
        ("calm", ".thumbs"),
        ("train/calm", ".ipynb_checkpoints/x"),
        ("train/calm", "train/.thumbs"),
    ],
)
def test_hidden_folders_are_passed_over(tmp_path, shown, hidden):
    for name in (shown, hidden):
        save(tmp_path / name / "0.png")
    raw = folder.read(str(tmp_path), side=20)
    assert raw.names["emotion"] == ("calm",) and len(raw.image) == 1


@pytest.mark.parametrize(
    "beside", ["__MACOSX/train/calm/._0.png", "docs/read.txt", "x/a/b/0.png"]
)
def test_a_folder_without_images_is_no_split_and_no_class(tmp_path, beside):
    save(tmp_path / "train" / "calm" / "0.png")
    (tmp_path / beside).parent.mkdir(parents=True)
    (tmp_path / beside).write_bytes(b"")
    raw = folder.read(str(tmp_path), side=20)
    assert raw.names["emotion"] == ("calm",) and raw.usage.tolist() == ["train"]


@pytest.mark.parametrize("beside", ["docs/0.png", "docs/calm/0.png"])
def test_a_folder_of_images_beside_splits_is_told(tmp_path, beside):
    for name in ("test/calm/0.png", "train/calm/0.png", beside):
        save(tmp_path / name)
    with pytest.raises(
        Mistake, match="test is a split .*, and docs beside it holds im"
    ):
        folder.read(str(tmp_path))


def test_a_class_may_be_called_like_a_split(tmp_path):
    for name in ("train/0.png", "plane/0.png"):
        save(tmp_path / name)
    raw = folder.read(str(tmp_path), side=20)
    assert raw.names["emotion"] == ("plane", "train") and raw.usage is None


def test_what_was_left_out_is_told_and_tried_again_each_time(damaged, monkeypatch):
    monkeypatch.setenv("EMOTION_JAX_CACHE", str(damaged.parent / "cache"))
    told = []
    monkeypatch.setattr(folder.logs, "say", told.append)
    for times in (1, 2):
        assert len(data.load("folder", str(damaged), 20, skip_bad=True).image) == 6
        assert len(told) == times * 12
