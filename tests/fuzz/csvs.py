"""CSV files of both forms, damaged in every way that happens and some that do not."""

import gzip
import io
import os
import random
import threading
import zipfile
from pathlib import Path

import binaries
from case import DAMAGES, Case, pickled

from emotion_jax import data
from emotion_jax.data.keypoints import COORDINATES
from emotion_jax.data.splits import make_split
from emotion_jax.tasks import make_tasks

ROWS, PIXELS = 40, 256
TASKS = make_tasks({"emotion": {}, "keypoints": {}})
TOKENS = "256 -1 nan inf -inf NaN 1e999 1e3 1.5 +7 0x1 1_0 ١ 𝟙 None é ; ' ''".split()
TOKENS += ["", " ", '"', '""', "\0", "\x1c", "9" * 400, "\ufeff", ",,", "=1+1", "\r"]
Table = list[list[str]]


def fer2013(rng: random.Random) -> Table:
    usage = rng.random() < 0.7
    names = ["emotion", "pixels"] + ["Usage"] * usage
    usages = ["Training"] * 8 + ["PublicTest", "PrivateTest"]
    rows = [[str(i % 5), face(rng)] + [usages[i % 10]] * usage for i in range(ROWS)]
    return [names, *rows]


def keypoints(rng: random.Random) -> Table:
    person = rng.random() < 0.5
    names = [*COORDINATES, "Image"] + ["person"] * person
    rows = [
        [f"{rng.uniform(0, 15):.3f}" for _ in COORDINATES]
        + [face(rng)]
        + [f"p{i % 19}"] * person
        for i in range(ROWS)
    ]
    return [names, *rows]


def face(rng: random.Random) -> str:
    return " ".join(map(str, rng.choices(range(256), k=PIXELS)))


def written(table: Table) -> bytes:
    return "\n".join(",".join(row) for row in [*table, []]).encode()


def in_pixels(rng: random.Random, table: Table) -> None:
    """One pixel another, gone, or one too many."""
    at = 1 if "pixels" in table[0] else table[0].index("Image")
    row = rng.choice(table[1:])
    values = row[at].split()
    spot = slice(i := rng.randrange(PIXELS), i + rng.randrange(2))
    values[spot] = rng.choice([[], [rng.choice(TOKENS)], ["1", "2"]])
    row[at] = rng.choice([" ", " ", "  ", "\t", ","]).join(values)


def in_cell(rng: random.Random, table: Table) -> None:
    row = rng.choice(table)
    row[rng.randrange(len(row))] = rng.choice(TOKENS)


def in_column(rng: random.Random, table: Table) -> None:
    at, token = rng.randrange(len(table[0])), rng.choice(TOKENS)
    for row in table[1:]:
        row[at] = token


def column_gone(rng: random.Random, table: Table) -> None:
    at = rng.randrange(len(table[0]))
    for row in table:
        del row[at]


def column_twice(rng: random.Random, table: Table) -> None:
    at, to = (rng.randrange(len(table[0])) for _ in range(2))
    for row in table:
        row.insert(to, row[at])


def columns_in_another_order(rng: random.Random, table: Table) -> None:
    order = rng.sample(range(len(table[0])), len(table[0]))
    table[:] = [[row[i] for i in order] for row in table]


def column_renamed(rng: random.Random, table: Table) -> None:
    at = rng.randrange(len(table[0]))
    table[0][at] = rng.choice([table[0][at].upper(), table[0][at][:-1], "Unnamed: 0"])


def thousands_of_columns(rng: random.Random, table: Table) -> None:
    for i, row in enumerate(table):
        row += [f"c{k}" if i == 0 else "0" for k in range(5000)]


def row_gone(rng: random.Random, table: Table) -> None:
    del table[rng.randrange(len(table))]


def rows_repeated(rng: random.Random, table: Table) -> None:
    table[1:] = [table[1 + rng.randrange(3)] for _ in range(ROWS)]


def row_ragged(rng: random.Random, table: Table) -> None:
    row = rng.choice(table)
    row[:] = rng.choice([row[:-1], row + row, [], [""], row + [""]])


def few_rows(rng: random.Random, table: Table) -> None:
    del table[rng.randrange(4) :]


def labels_wrong(rng: random.Random, table: Table) -> None:
    for row in table[1:]:
        row[0] = str(rng.randrange(-1, 9))


def huge_cell(rng: random.Random, table: Table) -> None:
    row, size = rng.choice(table), 100_000_000
    row[rng.randrange(len(row))] = rng.choice(["1 ", "a", " ", '"', "1"]) * (size // 2)


IN_TABLE = [
    *(in_pixels, in_pixels, in_cell, in_cell, in_column, column_gone, column_twice),
    *(columns_in_another_order, column_renamed, thousands_of_columns, row_gone),
    *(rows_repeated, row_ragged, few_rows, labels_wrong, huge_cell),
]


def archive(data: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("fer2013.csv", data)
    return made.getvalue()


IN_FILE = {
    "nothing done": lambda rng, data: data,
    "empty": lambda rng, data: b"",
    "header only": lambda rng, data: data[: data.index(b"\n")],
    "byte order mark": lambda rng, data: b"\xef\xbb\xbf" + data,
    "UTF-16": lambda rng, data: data.decode().encode("utf-16"),
    "UTF-32": lambda rng, data: data.decode().encode("utf-32"),
    "CRLF": lambda rng, data: data.replace(b"\n", b"\r\n"),
    "CR": lambda rng, data: data.replace(b"\n", b"\r"),
    "one line": lambda rng, data: data.replace(b"\n", b","),
    "semicolons": lambda rng, data: data.replace(b",", b";"),
    "tabs": lambda rng, data: data.replace(b",", b"\t"),
    "all quoted": lambda rng, data: quoted(data),
    "a quote open": lambda rng, data: data.replace(b",", b',"', 1),
    "gzip": lambda rng, data: gzip.compress(data),
    "zip": lambda rng, data: archive(data),
    "bytes of chance": lambda rng, data: rng.randbytes(5000),
    "twice": lambda rng, data: data + data,
    "newlines": lambda rng, data: b"\n" * 100_000,
    "zeros": lambda rng, data: bytes(100_000),
}


def quoted(data: bytes) -> bytes:
    rows = [line.split(b",") for line in data.splitlines()]
    return b"\n".join(b",".join(b'"%s"' % v for v in row) for row in rows)


def fifo(rng: random.Random, path: Path, data: bytes) -> None:
    """A pipe with somebody at its other end."""
    os.mkfifo(path)

    def feed():
        try:
            path.write_bytes(data)
        except OSError:
            pass  # nobody wants the rest

    threading.Thread(target=feed, daemon=True).start()


AT_PATH = {
    "a folder": lambda rng, path, data: path.mkdir(),
    "a pipe": fifo,
    "a pickle": lambda rng, path, data: path.write_bytes(pickled(path.parent)),
    "a link to itself": lambda rng, path, data: path.symlink_to(path),
    "a link to nothing": lambda rng, path, data: path.symlink_to("none"),
    "zeros without end": lambda rng, path, data: path.symlink_to("/dev/zero"),
    "chance without end": lambda rng, path, data: path.symlink_to("/dev/urandom"),
    "the null device": lambda rng, path, data: path.symlink_to("/dev/null"),
    "a program": lambda rng, path, data: path.symlink_to("/bin/sh"),
    "not there": lambda rng, path, data: None,
}
PATHS = ["", ".", "..", "/", "~", "~nobody/x", "a" * 5000, "x/" * 900, "-", "a=b", "\n"]


def make(rng: random.Random, number: int, folder: Path) -> Case:
    """The case of this number: every kind of damage in turn."""
    source = rng.choice([fer2013, keypoints])
    table, path = source(rng), folder / "faces.csv"
    kinds = [*IN_TABLE, *IN_FILE, *AT_PATH, *DAMAGES, "a path", *DAMAGES]
    kind = kinds[number % len(kinds)]
    name, named = getattr(kind, "__name__", kind), str(path)
    if kind in IN_TABLE:
        kind(rng, table)
        path.write_bytes(written(table))
    elif kind in IN_FILE:
        path.write_bytes(IN_FILE[kind](rng, written(table)))
    elif kind in AT_PATH:
        AT_PATH[kind](rng, path, written(table))
    elif kind in DAMAGES:
        path.write_bytes(kind(rng, written(table)))
    else:
        named = rng.choice(PATHS)
    given = f"{source.__name__}{rng.choice(['', '', ':5', ':7', ':6'])}={named}"
    if rng.random() < 0.7:
        given = f"{source.__name__}={named}"
    if number % 9 == 0:
        args = ["--checkpoint", binaries.checkpoint(), "--data", given]
        return Case(f"{name}, evaluate", binaries.evaluate, [*args, "--out", "out"])
    if number % 9 == 1:
        tasks = {"fer2013": {"emotion": {}}, "keypoints": {"keypoints": {}}}
        best = {"fer2013": "emotion/accuracy", "keypoints": "keypoints/rmse_px"}
        kind = source.__name__
        fields = {"data.sources": {kind: {}}, "tasks": tasks[kind]}
        config = binaries.write_config(folder, fields | {"checkpoint.best": best[kind]})
        args = ["--config", config, "--workdir", "run", "--data", given]
        if rng.random() < 0.2 and name != "a pipe":  # of which there is one reading
            args += ["--val", given]
        return Case(f"{name}, train", binaries.train, args)
    return Case(f"{name}", read, [given])


def read(args: list[str]) -> None:
    """As every binary reads a source."""
    source, path, options = data.parse_source(args[0])
    raw = data.load(source, path, 24, **options)
    make_split(raw, "all", TASKS, 24)
