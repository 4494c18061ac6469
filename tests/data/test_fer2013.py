import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from emotion_jax.data import fer2013, splits
from emotion_jax.data.table import FIVE, SEVEN
from emotion_jax.errors import Mistake

FACE = " ".join(str(value % 251) for value in range(256))
SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def read(tmp_path):
    """Writes faces with these emotions in a form, and reads them."""

    def read(emotions, header="emotion,pixels", usage="Training", **options):
        lines = [header]
        for emotion in emotions:
            values = {"emotion": str(emotion), "pixels": FACE, "Usage": usage}
            lines.append(",".join(values[name.strip()] for name in header.split(",")))
        (tmp_path / "fer.csv").write_text("\n".join(lines))
        return fer2013.read(str(tmp_path / "fer.csv"), **options)

    return read


@pytest.mark.parametrize(
    "header",
    ["emotion,pixels,Usage", "emotion, Usage, pixels", "Usage,pixels,emotion"],
)
def test_forms_with_usage(read, header):
    raw = read([0, 4, 3], header, usage="PublicTest")
    assert raw.source == "fer2013" and raw.path.endswith("fer.csv")
    assert raw.names["emotion"] == SEVEN
    assert raw.usage.tolist() == ["PublicTest"] * 3
    assert raw.image.shape == (3, 16, 16, 1) and raw.image.dtype == np.uint8
    assert raw.image[1].ravel()[:3].tolist() == [0, 1, 2]
    assert raw.labels["emotion"].tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0, 0, 0],
    ]
    assert raw.labels["emotion"].dtype == np.float32
    assert raw.known["emotion"].tolist() == [True] * 3


@pytest.mark.parametrize("header", ["emotion,pixels", "emotion, pixels"])
def test_forms_without_usage(read, header):
    raw = read([0, 4], header)
    assert raw.names["emotion"] == FIVE and raw.usage is None
    assert raw.labels["emotion"].tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]


SPARSE = [0] * 98 + [5, 6]  # 1 % each
RARE = [0] * 199 + [5, 6]  # less


@pytest.mark.parametrize(
    "emotions, form, forced, expected",
    [
        ([0, 4], "emotion,pixels,Usage", None, SEVEN),
        ([5, 6], "emotion,pixels,Usage", None, SEVEN),
        ([0, 4], "emotion,pixels,Usage", 5, FIVE),
        ([0, 4], "emotion,pixels", None, FIVE),
        ([0, 5, 6], "emotion,pixels", None, SEVEN),
        (SPARSE, "emotion,pixels", None, SEVEN),
        ([0, 4], "emotion,pixels", 7, SEVEN),
        ([0, 5], "emotion,pixels", 7, SEVEN),
        (RARE, "emotion,pixels", 7, SEVEN),
        ([0, 4], "emotion,pixels", 5, FIVE),
    ],
)
def test_five_or_seven(read, emotions, form, forced, expected):
    raw = read(emotions, form, classes=forced)
    assert raw.names["emotion"] == expected
    assert raw.labels["emotion"].argmax(axis=1).tolist() == emotions


@pytest.mark.parametrize(
    "emotions, line", [(RARE, 201), ([0, 1, 5, 5], 4), ([0, 6, 0], 3)]
)
def test_neither_five_nor_seven(read, emotions, line):
    advice = "; write fer2013:7=.* if it has seven, correct the row if it has five$"
    with pytest.raises(Mistake, match=rf"fer\.csv, line {line}: .*{advice}"):
        read(emotions)


@pytest.mark.parametrize("header", ["emotion,pixels", "emotion,pixels,Usage"])
def test_forced_five_with_a_label_above_four(read, header):
    with pytest.raises(Mistake, match=r"line 4: .*five classes, 0 to 4, got emotion 6"):
        read([0, 4, 6, 5], header, classes=5)


def test_malformed_labels(read):
    for label in ("7", "-1", "3.0", "", "happy", "03", "٣"):
        with pytest.raises(Mistake, match=f"line 3: expected emotion .*got '{label}'"):
            read([0, label])
    with pytest.raises(Mistake, match="line 2: expected Usage .*got 'Train'"):
        read([0], "emotion,pixels,Usage", usage="Train")
    with pytest.raises(Mistake, match="5 or 7 classes, got 6"):
        read([0], classes=6)


@pytest.mark.long
def test_the_real_file(tmp_path):
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data")
    subprocess.run([sys.executable, SHARED / "make_csv.py", tmp_path], check=True)
    start = time.perf_counter()
    raw = fer2013.read(str(tmp_path / "fer2013.csv"))
    assert time.perf_counter() - start < 15
    assert raw.image.shape == (32298, 48, 48, 1) and raw.names["emotion"] == SEVEN
    training = splits.split_rows(raw, "Training")
    public = splits.split_rows(raw, "PublicTest")
    assert (len(training), len(public)) == (28709, 3589)
    counts = raw.labels["emotion"][training].sum(axis=0)
    assert counts.tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    twins = np.isin(raw.hashes[public], raw.hashes[training])
    assert twins.sum() == 280
    assert splits.split_rows(raw, "test").tolist() == public.tolist()

    course = fer2013.read(str(tmp_path / "icml_face_data.csv"))
    assert course.names["emotion"] == FIVE and len(course.image) == 22133
