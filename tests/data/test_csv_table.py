import os
import time

import numpy as np
import pytest

from emotion_jax.data import csv_table
from emotion_jax.errors import Mistake

ROW = " ".join(str(value % 256) for value in range(256))  # a face of 16 x 16


@pytest.fixture
def read(tmp_path):
    def read(text, name="faces.csv"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return csv_table.read(str(file), "pixels", ["emotion"], ["Usage"])

    return read


def test_reads_what_is_written(read):
    table = read(f"emotion,pixels\n3,{ROW}\n4,{ROW[2:]} 7\n")
    assert table.columns == {"emotion": ["3", "4"]}
    assert table.image.shape == (2, 16, 16, 1) and table.image.dtype == np.uint8
    assert table.image[0].ravel().tolist() == list(range(256))
    assert table.image[1].ravel().tolist() == [*range(1, 256), 7]


def test_more_rows_than_one_batch(read):
    rows = [" ".join([str(i % 256)] * 256) for i in range(3 * csv_table.BATCH + 1)]
    table = read("emotion,pixels\n" + "".join(f"1,{row}\n" for row in rows))
    assert table.image[:, 5, 5, 0].tolist() == [i % 256 for i in range(len(rows))]


@pytest.mark.parametrize(
    "text",
    [
        f"pixels,emotion\n{ROW},3\n",
        f" emotion , pixels\n 3 , {ROW} \n",
        f'"emotion","pixels"\n"3", "{ROW}" \n',
        f"emotion,pixels\r\n3,{ROW}\r\n",
        f"\ufeffemotion,pixels\n3,{ROW}\n",
        f"emotion,pixels\n3,{ROW}\n\n \n\r\n",
        f"emotion,pixels\n3,{ROW}",
        "emotion,pixels\n3," + ROW.replace(" 1 ", "  001\t"),
    ],
    ids=["order", "spaces", "quotes", "crlf", "bom", "blank end", "no end", "zeros"],
)
def test_ways_to_write_the_same(read, text):
    table = read(text)
    assert table.columns == {"emotion": ["3"]}
    assert table.image.ravel().tolist() == list(range(256))


LONG_ROW, SHORT_ROW = f"{ROW} 9", ROW[2:]


@pytest.mark.parametrize(
    "rows, line, problem",
    [
        ([f"3,{ROW}", f"3,{SHORT_ROW}"], 3, r"256 pixels \(16 x 16.*\), got 255"),
        ([f"3,{ROW}", f"3,{LONG_ROW}"], 3, r"256 pixels \(16 x 16.*\), got 257"),
        ([f"3,{SHORT_ROW}", f"3,{LONG_ROW}"], 2, "pixels of a square.* got 255"),
        ([f"3,{ROW}", "3,"], 3, "got 0"),
        (["3,"], 2, "got 0 pixels"),
        ([f"3,{ROW}", "3," + ROW.replace(" 5 ", "  ")], 3, "256 pixels.* got 255"),
        ([f"3,{ROW}", f"3,{LONG_ROW}", f"3,{SHORT_ROW}"], 3, "256 pixels.* got 257"),
        (["3,1 2 3 4"], 2, "16 x 16 to 512 x 512, got 4 pixels"),
        ([f"3,{ROW}", f"3,{ROW} {ROW} {ROW} {ROW}"], 3, "256 pixels.* got 1024"),
        ([f"3,{ROW}", f"3,{ROW[:-3]}256"], 3, "from 0 to 255, got '256' as pixel 256"),
        ([f"3,{ROW}", f"3,{ROW[:-3]}300"], 3, "got '300'"),
        ([f"3,{ROW}", f"3,{ROW[:-3]}-1"], 3, "got '-1'"),
        ([f"3,{ROW}", f"3,{ROW[:-3]}2.5"], 3, r"got '2\.5'"),
        ([f"3,{ROW}", f"3,{ROW[:-3]}2_5"], 3, "got '2_5'"),
        ([f"3,{ROW}", f"3,{ROW[:-3]}1:"], 3, "got '1:'"),  # : follows 9
        ([f"3,{ROW}", f"3,{ROW[:-3]}nan"], 3, "got 'nan'"),
        ([f"3,{ROW}", f"3,{ROW[:-3]}0255"], 3, "got '0255'"),
        ([f"3,{ROW}", f"3,{ROW[:-3]}١"], 3, "got '.xd9.xa1'"),
        ([f"3,{ROW}", f"3,{ROW[:-3]}" + "9" * 9999], 3, r"got '9{40}'\.\.\. as"),
        ([f"3,{ROW}", f"3,{ROW[:-3]}2\x0055"], 3, "got '2.x0055'"),
        ([f"3,{ROW}", f"3,{ROW},"], 3, r"2 values \(emotion, pixels\), got 3"),
        ([f"3,{ROW}", f"3 {ROW}"], 3, "2 values .*, got 1"),
        ([f"3,{ROW}", "", f"3,{ROW}"], 3, "expected a row, got an empty line"),
        ([f"3,{ROW}", f'3,"{ROW}'], 3, "quotes around whole values"),
        ([f"3,{ROW}", f'3,"{ROW[:9]}"{ROW[9:]}'], 3, "quotes around whole values"),
        ([f"3,{ROW}", f"\0,{ROW}"], 3, "UTF-8 text, got '.x00'"),
    ],
)
def test_malformed_row(read, rows, line, problem):
    text = "\n".join(["emotion,pixels", *rows])
    with pytest.raises(Mistake, match=rf"faces\.csv, line {line}: .*{problem}") as got:
        read(text)
    assert "\n" not in str(got.value) and len(str(got.value)) < 400


def test_malformed_row_far_down_has_its_own_line_number(read):
    rows = [f"1,{ROW}"] * 200
    rows[170] = f"1,{SHORT_ROW}"
    with pytest.raises(Mistake, match="line 172: expected 256"):
        read("\n".join(["emotion,pixels", *rows]))


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", r"faces\.csv: the file is empty"),
        ("emotion,pixels\n", r"faces\.csv: expected rows below the header, got none"),
        ("emotion,pixels\n\n", "got none"),
        ("emotion\n3\n", "line 1: .*emotion, pixels.*Usage, got emotion: no 'pixels'"),
        ("emotion,pixel\n3,1\n", r"no 'pixels' \(is 'pixel' meant to be 'pixels'\?\)"),
        ("emotion,pixels,Usag\n", "'Usag' too many.*meant to be 'Usage'"),
        ("emotion,pixels,emotion\n", "'emotion' too many"),
        ("emotion,pixels,\n", "'' too many"),
        (f"3,{ROW}\n", "no 'emotion'"),
        ("\n", "got an empty line"),
        (b"\x89PNG\r\n\x1a\n", "line 1: expected UTF-8 text, got '.x89PNG'"),
        ("emotion,pixels\n".encode("utf-16"), "line 1: expected UTF-8 text"),
        (b"\0" * 100_000, "line 1: expected UTF-8 text"),
        (b"," * 100_000, "line 1: .*65537 in all"),
    ],
)
def test_malformed_file(read, text, problem):
    with pytest.raises(Mistake, match=problem):
        read(text)


def test_further_columns_where_they_are_allowed(tmp_path):
    def read(header):
        (tmp_path / "a.csv").write_text(f"{header}\n{ROW}{',7' * header.count(',')}\n")
        file = str(tmp_path / "a.csv")
        return csv_table.read(file, "pixels", (), ("ImageId",), True)

    assert read("pixels,glasses,ImageId,,").columns["ImageId"] == ["7"]
    with pytest.raises(Mistake, match="'ImageId' too many"):
        read("pixels,ImageId,ImageId")
    with pytest.raises(Mistake, match=r"no 'pixels' \(is 'pixel' meant to be 'pixels'"):
        read("pixel,glasses")


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(Mistake, match="nowhere.csv: cannot be read: No such file"):
        csv_table.read(str(tmp_path / "nowhere.csv"), "pixels", ["emotion"])
    with pytest.raises(Mistake, match="cannot be read: Is a directory"):
        csv_table.read(str(tmp_path), "pixels", ["emotion"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path):
    (tmp_path / "a.csv").write_text("emotion,pixels\n")
    (tmp_path / "a.csv").chmod(0)
    with pytest.raises(Mistake, match="cannot be read: Permission denied"):
        csv_table.read(str(tmp_path / "a.csv"), "pixels", ["emotion"])


def test_fast_enough_for_fer2013(read):
    row = " ".join(str((37 * i) % 256) for i in range(48 * 48))
    text = "emotion,pixels\n" + f"3,{row}\n" * 2000  # a sixteenth of FER2013
    start = time.process_time()
    assert len(read(text).image) == 2000
    assert time.process_time() - start < 2


@pytest.mark.parametrize("fill", [b" ", b"1 ", b'" ', b"a"])
def test_a_line_without_end_is_refused_before_it_is_read(tmp_path, fill):
    path = tmp_path / "faces.csv"
    path.write_bytes(b"emotion,pixels\n0," + fill * (csv_table.MAX_LINE // len(fill)))
    with pytest.raises(Mistake, match="line 2: expected less than 4,194,304 char"):
        csv_table.read(str(path), "pixels", ["emotion"])


def test_quotes_take_no_more_than_a_look_at_each_character(tmp_path):
    path = tmp_path / "faces.csv"
    path.write_bytes(b"emotion,pixels\n" + b" " * 2_000_000 + b'"0"x,1\n')
    with pytest.raises(Mistake, match="line 2: expected quotes around whole values"):
        csv_table.read(str(path), "pixels", ["emotion"])


@pytest.mark.parametrize("side, taken", [(15, False), (16, True), (512, True)])
def test_the_smallest_and_the_largest_image(tmp_path, side, taken):
    path = tmp_path / "a.csv"
    path.write_text("pixels\n" + " ".join(["7"] * side**2))
    if taken:
        assert csv_table.read(str(path), "pixels", ()).image.shape == (1, side, side, 1)
    else:
        with pytest.raises(Mistake, match="16 x 16 to 512 x 512, got 225 pixels"):
            csv_table.read(str(path), "pixels", ())
