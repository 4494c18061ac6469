"""Laws of predict's inputs: every photo once, upright, and each row by its name."""

import os
import struct

import numpy as np
import pytest
from PIL import Image

from emotion_jax.data.image import resize
from emotion_jax.data.keypoints import COORDINATES
from emotion_jax.errors import Mistake
from emotion_jax.photo.inputs import Search, read

NOISE = np.random.default_rng(0).integers(0, 256, (40, 30)).astype(np.uint8)
ROW = " ".join(map(str, NOISE[:16, :16].ravel()))


def whole(paths, how="whole", side=24):
    paths = [str(path) for path in paths]
    return read(paths, Search.parse(how), [side], lambda n: None)


def test_a_whole_photo_is_its_middle_square_as_everywhere(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    ((face,), bad) = whole([tmp_path / "a.png"])
    assert (face.box, face.image, bad) == ((0, 5, 30, 30), str(tmp_path / "a.png"), {})
    expected = resize(NOISE[None, 5:35, :, None], 24)[0]
    np.testing.assert_array_equal(face.gray[24], expected)


def test_a_box_is_in_pixels_of_the_upright_photo(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is on the right
    Image.fromarray(NOISE).save(tmp_path / "a.png", exif=exif)
    ((face,), _) = whole([tmp_path / "a.png"], "4,2,24,24")
    expected = np.rot90(NOISE, -1)[2:26, 4:28]
    np.testing.assert_array_equal(face.gray[24][..., 0], expected)


def entry(tag, kind, value, count=1):
    """One of an EXIF block, its value in four bytes."""
    return struct.pack("<HHI4s", tag, kind, count, value)


TURNED = entry(0x0112, 3, b"\6\0")  # as above
ODD = {
    "a resolution as text": ([TURNED, entry(0x011A, 2, b"72\0", 3)], -1),
    "its unit as text": ([TURNED, entry(0x0128, 2, b"2\0", 2)], -1),
    "a maker as a fraction": ([entry(0x010F, 5, b"\0"), TURNED], -1),
    "cut": ([], 0),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_exif_does_not_keep_a_photo_from_being_read(tmp_path, name):
    entries, turns = ODD[name]
    block = b"Exif\0\0II*\0"
    if entries:
        block += struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    Image.fromarray(NOISE).save(tmp_path / "a.png", exif=block)
    ((face,), bad) = whole([tmp_path / "a.png"], "2,2,24,24")
    expected = np.rot90(NOISE, turns)[2:26, 2:26]
    np.testing.assert_array_equal(face.gray[24][..., 0], expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1", "I;16"])
def test_every_mode_is_seen_as_the_same_gray(tmp_path, mode):
    black = np.where(NOISE > 127, 255, 0).astype(np.uint8)
    if mode == "I;16":
        photo = Image.fromarray(black.astype(np.uint16) * 257)
    else:
        photo = Image.fromarray(black).convert(mode)
    photo.save(tmp_path / "a.png")
    ((face,), bad) = whole([tmp_path / "a.png"], side=30)
    np.testing.assert_array_equal(face.gray[30][..., 0], black[5:35])


def test_a_folder_is_its_photos_and_those_below_each_once(tmp_path):
    (tmp_path / "in" / "calm").mkdir(parents=True)
    for name in ("b.png", "a.JPG", "calm/a.png", ".c.png", "note.txt"):
        file = tmp_path / "in" / name
        Image.fromarray(NOISE).save(file, "PNG") if "." in name else None
    faces, bad = whole([tmp_path / "in" / "b.png", tmp_path / "in"])
    names = [face.image.removeprefix(f"{tmp_path}/in/") for face in faces]
    assert names == ["b.png", "a.JPG", "calm/a.png"] and not bad


def test_what_an_earlier_run_drew_is_no_photo_and_heic_is_told(tmp_path):
    for name in ("a.png", "photos/b.png", "out/photos/a.png", "out/photos/c/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(NOISE).save(tmp_path / name)
    (tmp_path / "out" / "predictions.json").write_text("{}")
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    faces, bad = whole([tmp_path])
    names = [face.image.removeprefix(f"{tmp_path}/") for face in faces]
    assert names == ["a.png", "photos/b.png"]
    assert bad == {str(tmp_path / "IMG_1.HEIC"): "no PNG, JPEG or WebP"}
    faces, _ = whole([tmp_path / "out" / "photos" / "a.png"])  # named, it is one
    assert len(faces) == 1


def test_a_name_that_is_no_text_is_written_as_some(tmp_path):
    file = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.fromarray(NOISE).save(file)
    ((face,), _) = whole([tmp_path])
    assert face.file == file and face.image == f"{tmp_path}/caf?.png"


@pytest.mark.parametrize(
    "header, row, names",
    [
        ("pixels", "{}", ["1", "2"]),
        ("emotion, pixels", "3, {}", ["1", "2"]),
        ("emotion,Usage,pixels", "3,Training,{}", ["1", "2"]),
        ("ImageId,Image", "{n},{}", ["71", "72"]),
        (",".join([*COORDINATES, "Image"]), "," * 30 + "{}", ["1", "2"]),
        ("pixels,glasses,Image", "{},no,a.png", ["1", "2"]),
        ("age, Image, ImageId", "7,{},{n}", ["71", "72"]),
    ],
)
def test_every_form_of_csv_gives_rows_by_their_names(tmp_path, header, row, names):
    file = tmp_path / "faces.csv"
    rows = [row.format(ROW, n=n) for n in (71, 72)]
    file.write_text("\n".join([header, *rows]))
    faces, bad = whole([file], "", side=16)
    assert [face.image for face in faces] == [f"{file}:{name}" for name in names]
    assert not bad and [face.number for face in faces] == names
    for face in faces:
        np.testing.assert_array_equal(face.gray[16][..., 0], NOISE[:16, :16])


@pytest.mark.parametrize("text", ["all", "1,2,3", "1,2,0,4", "1,2,3,4.5", "1,2,-3,4"])
def test_faces_that_are_no_box_are_told(text):
    with pytest.raises(Mistake, match="x,y,width,height in whole pixels"):
        Search.parse(text)


@pytest.mark.parametrize(
    "box, sentence",
    [
        ("30,0,20,20", "--faces 30,0,20,20 is not in its 30 x 40"),
        ("-90,-90,200,200", "--faces 200 x 200 is too large for it"),
    ],
)
def test_a_box_outside_of_a_photo_is_told(tmp_path, box, sentence):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    faces, bad = whole([tmp_path / "a.png"], box)
    assert not faces and bad == {str(tmp_path / "a.png"): sentence}


def test_a_file_under_two_names_is_read_once(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("a.png")
    faces, bad = whole([tmp_path / "b.png", tmp_path])
    assert [face.image for face in faces] == [str(tmp_path / "b.png")] and not bad


def test_a_face_knows_the_sides_of_its_image(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    ((face,), _) = whole([tmp_path / "a.png"])
    assert face.sides == (30, 40)


def test_every_input_is_told_as_it_is_done(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    told, names = [], ("a.png", "none.png", "a.png", "b.png")
    paths = [str(tmp_path / name) for name in names]
    _, bad = read(paths, Search.parse("whole"), [24], told.append)
    assert told == [1, 2, 3] and list(bad) == [paths[1], paths[3]]


def test_a_bad_csv_is_told_by_its_line_and_a_bad_row_by_its_id(tmp_path):
    file = tmp_path / "FACES.CSV"
    file.write_text(f"ImageId,Image\n71,{ROW}\n72,{ROW}\n")
    faces, bad = whole([file], "90,0,9,9")
    assert not faces and list(bad) == [f"{file}:71", f"{file}:72"]
    file.write_text("pixels\n1 2 3\n")
    sentence = whole([file])[1][str(file)]
    assert sentence.startswith("line 2: expected the pixels of a square")
