"""Whatever is done to a small valid file, the reader gives exactly what an independent
slow reader gives, or a Mistake; and a Mistake wherever that one sees damage.
"""

import csv
import io
import random
import re

import numpy as np

from emotion_jax.data import fer2013, keypoints
from emotion_jax.data.keypoints import COORDINATES
from emotion_jax.errors import Mistake


def valid_file(rng: random.Random) -> tuple[object, list[list[str]]]:
    def face():
        return " ".join(str(rng.randrange(256)) for _ in range(256))

    def point():
        return rng.choice(["", f"{rng.uniform(-7, 22):.3f}", str(rng.randrange(16))])

    emotions = [str(rng.randrange(5)) for _ in range(4)]
    usages = ["Training", "PublicTest", "Training", "PrivateTest"]
    if rng.random() < 0.6:
        columns = {"emotion": emotions, "pixels": [face() for _ in emotions]}
        if rng.random() < 0.5:
            columns["Usage"] = usages
        reader = fer2013.read
    else:
        columns = {name: [point() for _ in emotions] for name in COORDINATES}
        columns["Image"] = [face() for _ in emotions]
        if rng.random() < 0.5:
            columns["person"] = ["ann", "bob", "", "ann"]
        reader = keypoints.read
    names = rng.sample(list(columns), len(columns))
    return reader, [names, *zip(*(columns[n] for n in names), strict=True)]


def write(rng: random.Random, table: list[list[str]]) -> bytes:
    quote = '"' if rng.random() < 0.3 else ""
    comma = rng.choice([",", ",", ", "])
    newline = rng.choice(["\n", "\r\n"])
    lines = [comma.join(f"{quote}{v}{quote}" for v in row) for row in table]
    text = newline.join(lines) + rng.choice(["", newline, 2 * newline])
    return rng.choice([b"", b"\xef\xbb\xbf"]) + text.encode()


TOKENS = """256 300 -1 99999999999999999999 1e999 -1e3 nan inf NaN ١ 1_0 0x1 +1 2.5 7 8
1e2 None true Training Trainin emotion pixels Image " ' ; , é 𝟙""".split()
TOKENS += ["\0", "\x1c", "\xa0"]


def mutate(rng: random.Random, text: bytes) -> bytes:
    at = rng.randrange(len(text))
    token = rng.choice(TOKENS).encode()
    tokens = re.split(rb"([ ,\r\n]+)", text)
    i, j = (2 * rng.randrange((len(tokens) + 1) // 2) for _ in range(2))
    lines = text.splitlines(keepends=True)
    row, other = (rng.randrange(len(lines)) for _ in range(2))
    fields = [line.rstrip(b"\r\n").split(b",") for line in lines]
    column = rng.randrange(min(map(len, fields)) or 1)
    return rng.choice(
        [
            lambda: text[:at] + text[at + 1 :],
            lambda: text[:at] + bytes([rng.randrange(256)]) + text[at:],
            lambda: text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :],
            lambda: text[:at] + rng.choice(b'",\n\r\0 \t').to_bytes() + text[at:],
            lambda: text[:at],
            lambda: text[at:],
            lambda: text[:at] + text[rng.randrange(at, len(text)) :],
            lambda: b"".join(tokens[:i] + [token] + tokens[i + 1 :]),
            lambda: b"".join(tokens[:i] + tokens[i + 2 :]),
            lambda: b"".join(tokens[:i] + tokens[j : j + 1] + tokens[i + 1 :]),
            lambda: b"".join(tokens[:i] + [token, b" "] + tokens[i:]),
            lambda: b"".join(lines[:row] + lines[row + 1 :]),
            lambda: b"".join(lines[:row] + [lines[other]] + lines[row:]),
            lambda: b"\n".join(b",".join(f[:column] + f[column + 1 :]) for f in fields),
            lambda: b"\n".join(b",".join(f[: column + 1] + f[column:]) for f in fields),
            lambda: text.replace(
                *rng.choice([(b",", b";"), (b" ", b""), (b",", b" ")])
            ),
        ]
    )()


def read_slowly(reader, text: bytes) -> dict[str, list]:
    """The table by the csv module, int and float; ValueError where damage shows."""
    rows = list(
        csv.reader(
            io.StringIO(text.decode("utf-8-sig").replace(",\t", ", "), newline=""),
            strict=False,
            skipinitialspace=True,
        )
    )
    rows = [[value.strip() for value in row] for row in rows]
    while rows and not any(rows[-1]) and len(rows[-1]) < 2:
        rows.pop()
    if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError("ragged, or no rows")
    table = dict(zip(rows[0], map(list, zip(*rows[1:], strict=True)), strict=True))
    pixels = "pixels" if reader is fer2013.read else "Image"
    needed = {pixels, *(["emotion"] if pixels == "pixels" else COORDINATES)}
    optional = {"Usage"} if pixels == "pixels" else {"person"}
    if len(table) != len(rows[0]) or not needed <= set(table) <= needed | optional:
        raise ValueError("columns")
    for name, values in table.items():
        for i, text in enumerate(values):
            if name == pixels:
                tokens = text.split()
                if not all(re.fullmatch("[0-9]{1,3}", token) for token in tokens):
                    raise ValueError("pixel")
                values[i] = list(map(int, tokens))
                squares = {len(values[0])} & {side**2 for side in range(16, 513)}
                if len(tokens) not in squares or max(values[i]) > 255:
                    raise ValueError("pixels")
            elif name == "emotion":
                values[i] = "0123456".index(text) if len(text) == 1 else int("?")
            elif name == "Usage":
                if text not in ("Training", "PublicTest", "PrivateTest"):
                    raise ValueError("usage")
            elif name == "person":
                if "\0" in text:
                    raise ValueError("person")
            elif text:
                if not re.fullmatch(r"[-+0-9.eE]+", text):
                    raise ValueError("coordinate")
                values[i] = float(text)
                if not -8 <= values[i] <= 23:
                    raise ValueError("frame")
    return table


def assert_equal(raw, table):
    faces = table.get("pixels") or table["Image"]
    assert raw.image.reshape(len(faces), -1).tolist() == faces
    if "emotion" in table:
        assert raw.labels["emotion"].argmax(1).tolist() == table["emotion"]
        assert (raw.labels["emotion"].sum(1) == 1).all()
        usage = table.get("Usage")
        assert raw.usage is None if usage is None else raw.usage.tolist() == usage
        return
    person = table.get("person")
    assert raw.person is None if person is None else raw.person.tolist() == person
    for p, (x, y) in enumerate(zip(COORDINATES[::2], COORDINATES[1::2], strict=True)):
        for row, xy in enumerate(zip(table[x], table[y], strict=True)):
            known = "" not in xy
            assert raw.known["keypoints"][row, p] == known
            expected = np.float32(xy if known else (0, 0))
            assert (raw.labels["keypoints"][row, p] == expected).all()


def damaged(reader, text: bytes):
    try:
        return None, read_slowly(reader, text)
    except (ValueError, csv.Error) as error:
        return error, None


def test_mutated_files_give_the_right_table_or_a_mistake(tmp_path):
    path = tmp_path / "mutated.csv"
    right = wrong = 0
    for seed in range(400):
        rng = random.Random(seed)
        reader, table = valid_file(rng)
        text = write(rng, table)
        path.write_bytes(text)
        assert_equal(reader(str(path)), read_slowly(reader, text))
        text = mutate(rng, text)
        path.write_bytes(text)
        damage, expected = damaged(reader, text)
        try:
            raw = reader(str(path))
        except Mistake as mistake:
            message = str(mistake)
            assert message.startswith(str(path)) and "\n" not in message, seed
            assert len(message.replace(str(path), "")) < 400, (seed, message)
            wrong += 1
            continue
        assert damage is None, f"seed {seed}: read in silence, though {damage!r}"
        assert_equal(raw, expected)
        right += 1
    assert right > 40 and wrong > 250, (right, wrong)
