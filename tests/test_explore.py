"""Laws of a look at data: one folder, whole or not there, that says all it counts."""

import html
import json
import os
import re
import shutil

import numpy as np
import pytest
import tiny
from PIL import Image

from emotion_jax import explore
from emotion_jax.cli import run
from emotion_jax.data import SOURCES
from emotion_jax.data.table import POINTS, Raw
from emotion_jax.data.votes import COLUMNS
from emotion_jax.data.write_csv import write_csv
from emotion_jax.report import augmentations, exploration

FER = "--config.data.sources.fer2013"
NAMES = ("<b>&x", "$a$ 笑", "train")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A folder of three classes with odd names, and a keypoints file with gaps.

    There 30 faces lack a point, and 13 others have one outside their image.
    """
    root = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    for i in range(30):
        path = root / "faces" / NAMES[min(i % 4, 2)] / f"n{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (16, 16)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
        if i == 0:  # the same photo under another name
            (root / "faces" / NAMES[1]).mkdir()
            shutil.copy(path, root / "faces" / NAMES[1] / "twin.png")
    write_csv(root, faces=120)
    lines = (root / "keypoints.csv").read_text().splitlines()
    for i in range(1, 44):
        first = "" if i <= 30 else "99.5"
        lines[i] = f"{first},{lines[i].partition(',')[2]}"
        if i > 37:  # the last column of numbers is the lower lip's y
            numbers, _, pixels = lines[i].rpartition(",")
            lines[i] = f"50{numbers[4:].rpartition(',')[0]},97,{pixels}"
    (root / "keypoints.csv").write_text("\n".join(lines))
    return root


def own(path: str = "") -> Raw:
    """A source of somebody's own: gender, and a mouth that faces may lack."""
    rng = np.random.default_rng(0)
    gender = np.eye(2, dtype=np.float32)[np.arange(120) % 4 // 3]
    mouth = rng.uniform(8, 16, (120, 4, 2)).astype(np.float32)
    known = {"gender": np.ones(120, bool), "mouth": np.ones((120, 4), bool)}
    known["mouth"][:30, 0] = False
    labels = {"gender": gender, "mouth": mouth * known["mouth"][..., None]}
    image = rng.integers(0, 256, (120, 24, 24, 1)).astype(np.uint8)
    image[1] = image[3]  # of the other gender
    names = {"gender": ("man", "woman"), "mouth": POINTS[11:]}
    return Raw("own", path, image, labels, known, names)


@pytest.fixture(scope="module")
def looked(sources, tmp_path_factory):
    """All sources, looked at."""
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SOURCES, "own", own)
        assert run(explore.main, ["--data", "own", "--out", str(out / "own")]) == 0
    for source, path, extra in (
        ("folder", "faces", []),
        ("keypoints", "keypoints.csv", ["--config", "configs/keypoints.py"]),
    ):
        args = ["--data", f"{source}={sources / path}", "--out", str(out / source)]
        assert run(explore.main, args + extra) == 0
    return out


def numbers_of(found) -> set[str]:
    """Every number of nested JSON, as the page writes it."""
    if isinstance(found, dict | list):
        inner = found.values() if isinstance(found, dict) else found
        return {shown for value in inner for shown in numbers_of(value)}
    if isinstance(found, float):
        return {f"{found:,.2f}"}
    return {f"{found:,}"} if isinstance(found, int) else set()


def text_of(page: str) -> str:
    """What a reader of the page sees."""
    body = page[page.index("<body>") :]
    return html.unescape(re.sub(r"<[^>]+>", " ", body))


@pytest.mark.parametrize("source", ["folder", "keypoints", "own"])
def test_the_page_has_every_number_and_none_of_its_own(looked, source):
    found = json.loads((looked / source / "explore.json").read_text())
    text = text_of((looked / source / "index.html").read_text("utf-8"))
    shown = set(re.findall(r"(?<![\w.-])-?\d[\d,]*(?:\.\d+)?", text.replace(", ", " ")))
    expected = numbers_of(found)
    assert len(expected) > 20 and expected <= shown | {"0"}
    known = {"0", "6", "96", "0.5"} | {str(n) for n in (24, found["faces"])}
    assert shown - expected <= known


@pytest.mark.parametrize("source", ["folder", "keypoints", "own"])
def test_the_page_holds_its_pictures_and_asks_for_nothing(looked, source):
    folder = looked / source
    page = (folder / "index.html").read_text("utf-8")
    pictures = sorted(p.name for p in folder.glob("*.png"))
    assert page.count("<img") == page.count("data:image/png;base64,") == len(pictures)
    assert {"index.html", "explore.json", *pictures} == {
        p.name for p in folder.iterdir()
    }
    assert not re.search(r"https?:|//|@import|<script|<link|url\(", page_text(page))
    assert all(link[0] == "#" for link in re.findall(r'href="(.*?)"', page))


def page_text(page: str) -> str:
    """The page without what lies in it as base64, where // is a digit."""
    return re.sub(r"base64,[^\"]+|sha256-[^&]+", "", page)


def test_names_from_a_file_are_text_and_no_markup(looked):
    page = (looked / "folder" / "index.html").read_text("utf-8")
    assert "<b>" not in page and page.count("&lt;b&gt;&amp;x") >= 3
    found = json.loads((looked / "folder" / "explore.json").read_text())
    assert set(found["labels"]["emotion"]["classes"]) == set(NAMES)


def test_files_to_look_at_are_named(looked):
    found = json.loads((looked / "folder" / "explore.json").read_text())
    page = html.unescape((looked / "folder" / "index.html").read_text("utf-8"))
    (pair,) = (one["rows"] for one in found["conflicts"])
    names = {found["files"][str(row)] for row in pair}
    assert names == {f"{NAMES[0]}/n00.png", f"{NAMES[1]}/twin.png"}
    assert all(name in page for name in names) and "CSV file" not in page
    assert "files" not in json.loads((looked / "keypoints/explore.json").read_text())


def test_a_folders_numbers_are_those_of_its_files(looked):
    found = json.loads((looked / "folder" / "explore.json").read_text())
    assert (found["faces"], found["side"]) == (31, 96)
    classes = found["labels"]["emotion"]["classes"]
    counts = {name: row["all"] for name, row in classes.items()}
    assert counts == {"<b>&x": 8, "$a$ 笑": 9, "train": 14}
    # Rows go by path: $a$ first, its twin.png the ninth, then n00.png of <b>&x.
    assert found["conflicts"] == [{"rows": [8, 9], "labels": ["$a$ 笑", "<b>&x"]}]


def test_a_label_of_ones_own_has_its_own_section(looked):
    found = json.loads((looked / "own" / "explore.json").read_text())
    gender, mouth = (found["labels"][name] for name in ("gender", "mouth"))
    counts = {name: row["all"] for name, row in gender["classes"].items()}
    assert counts == {"man": 90, "woman": 30}
    assert list(mouth["points"]) == list(POINTS[11:])
    assert mouth["faces_with_all_points"] == 90
    assert found["conflicts"] == [{"rows": [1, 3], "labels": ["man", "woman"]}]
    page = html.unescape((looked / "own" / "index.html").read_text("utf-8"))
    assert re.findall("<h2>(.*?)</h2>", page)[1:4] == ["Gender", "Faces", "Mouth"]
    assert "--config.feed.balance.gender=0.5" in page
    pictures = {"gender-classes.png", "mouth-points.png", "mouth-missing.png"}
    assert pictures <= set(os.listdir(looked / "own"))


def test_missing_points_are_told_and_shown(looked):
    found = json.loads((looked / "keypoints" / "explore.json").read_text())
    own = found["labels"]["keypoints"]
    eye = own["points"]["left_eye_center"]
    assert (eye["known"], eye["missing"], eye["missing_percent"]) == (90, 30, 25.0)
    assert own["faces_with_all_points"] == 90
    assert own["faces_with_a_point_outside"] == 13
    assert (eye["outside"], eye["max_x"]) == (7, 99.5)
    assert (looked / "keypoints" / "keypoints-missing.png").exists()
    page = (looked / "keypoints" / "index.html").read_text("utf-8")
    assert "90 faces know every point" in page and "Too few faces" in page


def test_a_config_shows_its_augmentation(looked):
    with Image.open(looked / "keypoints" / "augmentation.png") as picture:
        assert picture.size == (4 + 8 * 116, 4 + 6 * 116 + 18)
    assert not (looked / "folder" / "augmentation.png").exists()


def test_a_configs_fields_can_be_set(sources, tmp_path, capsys):
    out = tmp_path / "out"
    args = ["--data", f"folder={sources / 'faces'}", "--out", str(out)]
    config = ["--config", "configs/folder.py", "--config.augment={'flip': {}}"]
    classes = f"--config.tasks.emotion.classes={NAMES}"
    for flags, told in (
        ([classes], f"{classes} needs a config to change: name it with --config"),
        (config, "none of the 31 faces"),  # is of a class of fer5's
    ):
        assert run(explore.main, [*args, *flags]) == 2
        assert told in capsys.readouterr().err and not out.exists()
    assert run(explore.main, [*args, *config, classes]) == 0
    assert (out / "augmentation.png").exists()


@pytest.fixture
def fer_plus(sources, tmp_path):
    """Votes as the labels are, except that nobody sees a face in the first image."""
    rows = [",".join(["Usage", *COLUMNS])]
    for line in (sources / "fer2013.csv").read_text().splitlines()[1:]:
        label, _, usage = line.split(",")
        seen = "NF" if len(rows) == 1 else COLUMNS[int(label)]
        rows.append(",".join([usage, *(str(10 * (c == seen)) for c in COLUMNS)]))
    path = tmp_path / "votes.csv"
    path.write_text("\n".join(rows))
    return str(path)


@pytest.mark.parametrize(
    "options, trained",
    [
        ({"labels": "original"}, None),
        ({"labels": "majority"}, "FER+ majority"),
        ({"drop_no_face": "True"}, "original"),
    ],
)
def test_votes_change_what_is_told_and_augmented_and_no_number(
    sources, fer_plus, tmp_path, monkeypatch, capsys, options, trained
):
    shown = []
    monkeypatch.setattr(augmentations, "draw_faces", lambda *a: shown.append(len(a[1])))
    data, out = f"fer2013={sources / 'fer2013.csv'}", tmp_path / "out"
    args = ["--data", data, "--config", "configs/fer5.py", "--out", str(out)]
    for name, value in {"votes": fer_plus, **options}.items():
        args.append(f"{FER}.{name}={value}")
    assert run(explore.main, args) == 0
    found = json.loads((out / "explore.json").read_text())
    classes = found["labels"]["emotion"]["classes"].values()
    assert sum(row["all"] for row in classes) == 120 == found["faces"]
    assert shown == [119 if trained else 120]
    page = (out / "index.html").read_text("utf-8")
    for text in (page, capsys.readouterr().out):
        told = re.findall("original labels; this config trains on (.*?) labels", text)
        assert told == [trained] * bool(trained)


def test_one_face_is_no_plural(sources, tmp_path, capsys):
    face = next((sources / "faces" / NAMES[2]).iterdir())
    (tmp_path / "faces" / "calm").mkdir(parents=True)
    shutil.copy(face, tmp_path / "faces" / "calm")
    args = ["--data", f"folder={tmp_path / 'faces'}", "--out", str(tmp_path / "out")]
    assert run(explore.main, args) == 0
    assert capsys.readouterr().out.startswith("folder=faces, split all, 1 face\n")
    assert "split all, 1 face<" in (tmp_path / "out" / "index.html").read_text("utf-8")


def test_a_split_is_looked_at_alone(sources, tmp_path, capsys):
    data = f"fer2013={sources / 'fer2013.csv'}"
    args = ["--data", data, "--split", "PublicTest+PrivateTest"]
    assert run(explore.main, [*args, "--out", str(tmp_path / "a" / "b")]) == 0
    found = json.loads((tmp_path / "a" / "b" / "explore.json").read_text())
    assert found["faces"] == 24 and found["split"] == "PublicTest+PrivateTest"
    assert "Training" not in found["splits"]
    told = capsys.readouterr().out
    assert told.startswith(
        "fer2013=fer2013.csv, split PublicTest+PrivateTest, 24 faces"
    )


@pytest.mark.parametrize(
    "change, told",
    [
        ({"--data": "fer2103=a.csv"}, "did you mean fer2013"),
        ({"--data": "fer2013=nowhere.csv"}, "nowhere.csv: cannot be read"),
        ({"--split": "tset"}, "split 'tset' does not exist; there is"),
        ({"--config": "configs/fer55.py"}, "did you mean configs/fer5.py"),
        ({"--config": "configs/keypoints.py"}, "none of the 120 faces"),
        ({"--config": "configs/fer5.py", f"{FER}.votes": "nowhere"}, "add labels="),
        ({"--config": "configs/fer5.py", f"{FER}.labels": "mean"}, "needs votes=PATH"),
        ({"--out": "full"}, "--out full is not empty; name a new folder"),
        ({"--out": "file"}, "cannot write to --out .*file is no folder"),
        ({"--out": "file/in"}, "cannot write to --out .*file/in: Not a directory"),
        ({"--out": "x" * 300}, "cannot write to --out .*File name too long"),
        ({"--oot": "x"}, "did you mean --out"),
        ({"--out": None}, "required: --out"),
    ],
)
def test_a_mistake_is_told_and_nothing_written(
    sources, tmp_path, monkeypatch, capsys, change, told
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    flags = {"--data": f"fer2013={sources / 'fer2013.csv'}", "--out": "new"} | change
    args = ["=".join(pair) for pair in flags.items() if pair[1]]
    assert run(explore.main, args) == 2
    error = capsys.readouterr().err
    assert re.search(told, error) and "Traceback" not in error
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("out", [".", "link", "dangling/deeper", "empty"])
def test_an_empty_folder_is_filled_and_stays_itself(
    sources, tmp_path, monkeypatch, out
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "dangling").symlink_to("new/folder")
    monkeypatch.chdir(tmp_path / "empty" if out == "." else tmp_path)
    before = os.stat(out).st_ino if os.path.exists(out) else None
    args = ["--data", f"fer2013={sources / 'fer2013.csv'}", "--out", out]
    assert run(explore.main, args) == 0
    assert before in (None, os.stat(out).st_ino)
    there = set(os.listdir(out))
    assert {"index.html", "explore.json", "emotion-classes.png"} <= there
    assert not any(name.startswith(".") for name in there)


@pytest.mark.parametrize(
    "change, told",
    [
        ({"model": None}, "config lacks the field 'model'"),
        ({"tasks": None}, "config lacks the field 'tasks'"),
        ({"data": {"sources": {}}}, "config.data lacks the field 'side'"),
        ({"data": {"side": 0, "sources": {}}}, "config.data.side is 0, must be 16"),
        (
            {"data": {"side": 48, "sources": {"fer2013": {"path": 3}}}},
            "config.data.sources.fer2013.path is 3, must be a string",
        ),
    ],
)
def test_what_a_config_lacks_is_told(sources, tmp_path, capsys, change, told):
    made = tiny.config().to_dict() | change
    made = {name: section for name, section in made.items() if section is not None}
    file = tmp_path / "mine.py"
    file.write_text(
        "from ml_collections import ConfigDict\n\n\n"
        f"def get_config():\n    return ConfigDict({made!r})\n"
    )
    args = ["--data", f"fer2013={sources / 'fer2013.csv'}", "--config", str(file)]
    assert run(explore.main, [*args, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error
    assert list(tmp_path.iterdir()) == [file]


def test_a_files_name_need_not_be_text(sources, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv")
    shutil.copy(sources / "fer2013.csv", path)
    out = tmp_path / "out"
    assert run(explore.main, ["--data", f"fer2013={path}", "--out", str(out)]) == 0
    found = json.loads((out / "explore.json").read_text())
    assert found["data"] == "fer2013=caf?.csv"
    assert "fer2013=caf?.csv" in (out / "index.html").read_text("utf-8")


def test_a_full_disk_leaves_nothing_half_written(
    sources, tmp_path, monkeypatch, capsys
):
    def page(folder, chosen, found):
        (folder / "light.png").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exploration, "page", page)
    data = f"folder={sources / 'faces'}"
    for out in (tmp_path / "out", tmp_path):
        assert run(explore.main, ["--data", data, "--out", str(out)]) == 3
        assert "No space left on device" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize("scheme, width", [("light", 1200), ("dark", 390)])
def test_a_browser_shows_it_without_a_word_or_a_request(
    looked, chromium, scheme, width
):
    page = (looked / "folder" / "index.html").as_uri()
    with chromium.visited(page, size=(width, 800), theme=scheme) as found:
        loaded = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
        assert found.page.evaluate(loaded)
        assert found.page.evaluate("document.documentElement.scrollWidth") == width
        paper = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    assert found.messages == []
    assert [url for url in found.requests if not url.startswith("data:")] == [page]
