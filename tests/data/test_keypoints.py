import csv
import pathlib

import numpy as np
import pytest
from PIL import Image

from emotion_jax.data import keypoints
from emotion_jax.data.keypoints import COORDINATES
from emotion_jax.data.table import POINTS
from emotion_jax.errors import Mistake

FACE = " ".join(str(value % 251) for value in range(256))
SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def read(tmp_path):
    """Writes faces 16 pixels wide, all coordinates 7 but for those given."""

    def read(*rows, columns=(*COORDINATES, "Image")):
        values = dict.fromkeys(COORDINATES, "7") | {"Image": FACE}
        lines = [",".join((values | row)[name] for name in columns) for row in rows]
        text = "\n".join([",".join(columns), *lines])
        (tmp_path / "points.csv").write_text(text)
        return keypoints.read(str(tmp_path / "points.csv"))

    return read


def test_reads_kaggles_form(read):
    raw = read({"left_eye_center_x": "1.25", "mouth_center_bottom_lip_y": "-3e0"}, {})
    assert raw.source == "keypoints" and raw.path.endswith("points.csv")
    assert raw.image.shape == (2, 16, 16, 1) and raw.names == {"keypoints": POINTS}
    labels, known = raw.labels["keypoints"], raw.known["keypoints"]
    assert labels.shape == (2, 15, 2) and labels.dtype == np.float32
    assert labels[0, 0].tolist() == [1.25, 7] and labels[0, 14].tolist() == [7, -3]
    assert (labels[1] == 7).all() and known.all()
    assert raw.usage is None and raw.person is None


def test_columns_in_any_order(read):
    assert COORDINATES[:3] == (
        "left_eye_center_x",
        "left_eye_center_y",
        "right_eye_center_x",
    )
    row = {name: str(i / 4) for i, name in enumerate(COORDINATES)} | {"person": "ann"}
    raw = read(row, columns=("Image", *COORDINATES[::-1], "person"))
    assert raw.labels["keypoints"].ravel().tolist() == [i / 4 for i in range(30)]
    assert raw.person.tolist() == ["ann"]


def test_missing_coordinates_are_zero_and_unknown(read):
    nose, lip = POINTS.index("nose_tip"), POINTS.index("mouth_center_top_lip")
    raw = read({"nose_tip_x": "", "nose_tip_y": "", "mouth_center_top_lip_x": ""})
    known = raw.known["keypoints"][0]
    assert np.flatnonzero(~known).tolist() == [nose, lip]
    assert (raw.labels["keypoints"][0, [nose, lip]] == 0).all()


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "x", "1_0", "١", "0x1"])
def test_coordinate_that_is_no_number(read, text):
    with pytest.raises(
        Mistake, match=rf"points\.csv, line 3: .*nose_tip_x.* number.*got '{text}'"
    ):
        read({}, {"nose_tip_x": text})


def test_coordinates_outside_the_frame(read):
    raw = read({"nose_tip_x": "-8", "nose_tip_y": "23"})
    assert raw.labels["keypoints"][0, POINTS.index("nose_tip")].tolist() == [-8, 23]
    for text in ("-8.01", "23.01", "1e999", "700"):
        with pytest.raises(
            Mistake, match=f"line 2: .*nose_tip_y.*-8 to 23, got {text}"
        ):
            read({"nose_tip_y": text})


def test_missing_and_misspelt_columns(read):
    with pytest.raises(Mistake, match="31 in all.*no 'nose_tip_x'"):
        read({}, columns=tuple(set(COORDINATES) - {"nose_tip_x"}) + ("Image",))
    with pytest.raises(Mistake, match="'persons' meant to be 'person'"):
        read({"persons": "1"}, columns=(*COORDINATES, "Image", "persons"))


def test_real_faces(tmp_path):
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data")
    with open(SHARED / "ytf15_val.csv", newline="") as file:
        header, *rows = csv.reader(file)
    sheet = np.asarray(Image.open(SHARED / "ytf15_val.png"))
    grid = sheet.reshape(sheet.shape[0] // 96, 96, 32, 96).swapaxes(1, 2)
    image = grid.reshape(-1, 96, 96, 1)[: len(rows)]
    with open(tmp_path / "val.csv", "w") as file:
        file.write(",".join([*header, "Image"]) + "\n")
        for row, face in zip(rows, image, strict=True):
            file.write(",".join([*row, " ".join(map(str, face.ravel()))]) + "\n")
    raw = keypoints.read(str(tmp_path / "val.csv"))
    assert (raw.image == image).all() and len(image) == 425
    assert raw.person.tolist() == [row[0] for row in rows]
    assert raw.known["keypoints"].all()
    expected = np.array([row[1:] for row in rows], np.float32).reshape(-1, 15, 2)
    assert (raw.labels["keypoints"] == expected).all()
