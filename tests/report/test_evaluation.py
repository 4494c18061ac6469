"""Laws of the report: no number of its own, nothing fetched, any split."""

import html
import json
import re
from html.parser import HTMLParser

import evaluated
import numpy as np
import pytest
import tiny
from tiny import metrics_of

from emotion_jax import tasks
from emotion_jax.data.table import Split
from emotion_jax.report import card, comparison
from emotion_jax.report.quantities import written

NAMES = ("<b>&x", "$a$ 笑", "train")
BOTH = {"emotion": {}, "keypoints": {}}


def only(faces: dict, task: str) -> dict:
    """The same faces, of which nothing else is known."""
    known = {n: k if n == task else np.zeros_like(k) for n, k in faces["known"].items()}
    return faces | {"known": known}


def odd() -> dict:
    """Faces of three classes with odd names, one of which no face has."""
    faces = only(tiny.faces(30), "emotion")
    labels = {"emotion": np.eye(3, dtype=np.float32)[np.arange(30) % 2]}
    return faces | {"labels": labels | {"keypoints": faces["labels"]["keypoints"]}}


PEOPLE = {"twin": np.arange(40) % 3 == 0, "person": np.array(["a", "b", "", "c"] * 10)}
CASES = {
    "both": (BOTH, tiny.faces(40), PEOPLE),
    "keypoints": ({"keypoints": {}}, only(tiny.faces(30), "keypoints"), {}),
    "no emotion": (BOTH, only(tiny.faces(20), "keypoints"), {}),
    "one face": (BOTH, tiny.faces(1, seed=3), {"twin": np.ones(1, bool)}),
    "odd": ({"emotion": {"classes": NAMES}}, odd(), {}),
}


@pytest.fixture(scope="module", params=CASES)
def report(request, tmp_path_factory):
    """(the case's name, the folder of its evaluation)."""
    sections, faces, extra = CASES[request.param]
    out = tmp_path_factory.mktemp("out")
    is_odd = request.param == "odd"  # and of a checkpoint without a temperature
    checkpoint = evaluated.restored(sections, temperature=1.0 if is_odd else 1.5)
    split = evaluated.split_of(faces, NAMES if is_odd else evaluated.FIVE, **extra)
    evaluated.evaluate(out, checkpoint, split, evaluated.answers(faces))
    return request.param, out


def page_of(out) -> str:
    return (out / "report.html").read_text("utf-8")


class Reader(HTMLParser):
    """What a page says: its numbers with their keys, and all other text."""

    def __init__(self):
        super().__init__()
        self.numbers, self.text, self.inside = [], [], None

    def handle_starttag(self, tag, attributes):
        self.inside = dict(attributes) if tag == "data" else None
        if tag == "style":
            self.inside = {"style": ""}

    def handle_data(self, text):
        if self.inside is None:
            self.text.append(text)
        elif "title" in self.inside:
            self.numbers.append((self.inside["title"], self.inside["value"], text))

    def handle_endtag(self, tag):
        self.inside = None


def test_every_number_on_the_page_is_that_of_metrics_json(report):
    name, out = report
    reader, found = Reader(), metrics_of(out)
    reader.feed(page_of(out))
    keys = found.keys() - {"data", "split", "labels"}
    assert {key for key, _, _ in reader.numbers} == keys
    for key, exact, text in reader.numbers:
        value = found[key]
        assert exact == ("" if value is None else repr(value)), key
        if value is None:
            assert text == "–"
            continue
        shown = float(re.sub(r"[^\d.-]", "", text)) / (100 if "%" in text else 1)
        digits = len(text.split(" ")[0].partition(".")[2]) + 2 * ("%" in text)
        assert abs(shown - value) <= 0.5001 * 10**-digits, key
    # Elsewhere it has no numbers but of how it is made, and of the checkpoint.
    rest = set(re.findall(r"(?<![\w.,])\d[\d.,]*\b", " ".join(reader.text)))
    size = len(CASES[name][1]["image"])
    assert rest <= {f"{size}", "2", "8", "95", "96", "100"}


def test_a_comparison_is_a_part_of_the_page(tmp_path):
    faces = tiny.faces(40)
    checkpoint, split = evaluated.restored(BOTH), evaluated.split_of(faces)
    one, two = (
        comparison.Answered(checkpoint, split, evaluated.answers(faces, seed))
        for seed in (1, 2)
    )
    names = {"checkpoint": "tiny, step 8", "against": "<i>, step 9"}
    compared = comparison.compare(one, two) | names
    evaluated.evaluate(tmp_path, checkpoint, split, one.outputs, compared)
    assert json.loads((tmp_path / "compare.json").read_text()) == compared
    page, reader = page_of(tmp_path), Reader()
    assert "Against &lt;i&gt;, step 9" in page and "no difference shown" in page
    reader.feed(page)
    shown = {key: value for key, value, _ in reader.numbers}
    wanted = {key for key in compared if key.count("/") == 2}
    assert len(wanted) == 4 * 10 and wanted <= shown.keys()
    assert all(shown[key] == repr(compared[key]) for key in wanted)


def test_the_page_holds_its_pictures_and_asks_for_nothing(report):
    _, out = report
    page = page_of(out)
    pictures = {p.name for p in out.glob("*.png")} - {"faces.png"}
    assert page.count("<img") == page.count("data:image/png;base64,") == len(pictures)
    names = {"report.html", "metrics.json", "model_card.md", "faces.png", *pictures}
    assert {p.name for p in out.iterdir()} == names
    bare = re.sub(r"base64,[^\"]+|sha256-[^&]+", "", page)
    assert not re.search(r"https?:|//|@import|<script|<link|url\(", bare)
    targets = set(re.findall(r'id="(.*?)"', page))
    assert {link[1:] for link in re.findall(r'href="(.*?)"', page)} == targets


def test_names_from_a_file_are_text_and_no_markup(report):
    name, out = report
    page, card = page_of(out), (out / "model_card.md").read_text("utf-8")
    assert "<b>" not in page and "&lt;b&gt;&amp;x.csv" in page
    assert "<b>" not in card and "<i>" not in card and r"\<b\>\&x.csv" in card
    assert ("笑" in page and "笑" in card) is (name == "odd")


def test_the_numbers_are_finite_and_none_where_nothing_is_known(report):
    name, out = report
    found = metrics_of(out)
    values = [v for v in found.values() if isinstance(v, int | float)]
    assert np.all(np.isfinite(values))
    page = html.unescape(page_of(out))
    assert ("No face here has a label of emotion" in page) is (name == "no emotion")
    if name == "no emotion":
        assert found["emotion/n"] == 0 and found["emotion/accuracy@low"] is None
        assert found["emotion/auc"] is found["emotion/accuracy@coverage_50"] is None


def test_an_interval_holds_its_number(report):
    _, out = report
    found = metrics_of(out)
    keys = [key for key in found if key.endswith("@low") and found[key] is not None]
    for key in (key.removesuffix("@low") for key in keys):
        assert found[f"{key}@low"] <= found[f"{key}@high"]
        if not key.endswith("ece"):  # resampling only adds to it
            assert found[f"{key}@low"] <= found[key] <= found[f"{key}@high"]


def test_an_interval_is_over_people_where_these_are_known():
    checkpoint, faces = evaluated.restored({"emotion": {}}), tiny.faces(40)
    outputs = {"emotion": evaluated.answers(faces)["emotion"]}
    apart, together = (
        checkpoint.evaluator.details(outputs, evaluated.split_of(faces, **extra))
        for extra in ({}, {"person": np.repeat(["a", "b"], 20)})
    )
    assert apart["emotion/accuracy@low"] != together["emotion/accuracy@low"]


def test_the_card_has_the_results_and_says_what_is_banned(report):
    name, out = report
    text, found = (out / "model_card.md").read_text("utf-8"), metrics_of(out)
    assert "Article\n5(1)(f)" in text and "at work" not in text.split("##")[0]
    assert "split train, 32 faces" in text and "Seed 0." in text
    for key in ("emotion/accuracy", "keypoints/rmse_px"):
        if found.get(key) is not None:
            ends = [written(key, found[f"{key}{end}"]) for end in ("", "@low", "@high")]
            assert f" | {' | '.join(ends)} |" in text
    fitted = bool(found.get("emotion/n")) and name != "odd"
    assert (f"temperature {1.5:.3f}" in text) is fitted
    assert ("No temperature was fitted" in text) is (name == "odd")
    assert ("no temperature was fitted" in page_of(out)) is (name == "odd")
    drawn = "people" if name == "both" else "faces"
    assert f"bootstrap over {drawn}" in text


@pytest.mark.long
@pytest.mark.parametrize("scheme, width", [("light", 1200), ("dark", 390)])
def test_a_browser_shows_it_without_a_word_or_a_request(
    report, chromium, scheme, width
):
    page = (report[1] / "report.html").as_uri()
    with chromium.visited(page, size=(width, 800), theme=scheme) as found:
        loaded = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
        assert found.page.evaluate(loaded)
        assert found.page.evaluate("document.documentElement.scrollWidth") == width
    assert found.messages == []
    assert [url for url in found.requests if not url.startswith("data:")] == [page]


def test_the_card_tells_what_a_run_started_from():
    restored = evaluated.restored({"emotion": {}}, temperature=1.0)
    restored.meta.config["init_from"] = "runs/fer7"
    assert "Seed 0, from the weights of fer7." in card.card(restored, [])


def test_what_reads_no_expressions_is_described_without_them(tmp_path, monkeypatch):
    for name, task in tiny.MORE.items():
        monkeypatch.setitem(tasks.TASKS, name, task)
    checkpoint, table = evaluated.restored({"gender": {}, "ears": {}}), tiny.faces(30)
    gender = np.eye(2, dtype=np.float32)[np.arange(30) % 2]
    faces = {"image": table["image"]}
    faces["labels"] = {"gender": gender, "ears": table["labels"]["keypoints"][:, :3]}
    faces["known"] = {"gender": np.ones(30, bool), "ears": np.ones((30, 3), bool)}
    offered = tiny.offered(30, {"gender": 2, "ears": 3})
    split = Split("own", "", "all", faces, np.arange(30), offered, {})
    evaluated.evaluate(tmp_path, checkpoint, split, faces["labels"])
    text = (tmp_path / "model_card.md").read_text("utf-8")
    assert "people." in text and "not what a person is." in text
    assert "The classes of gender are those of its labels." in text
    assert "| mean error by distance from left ear to right ear |" in text
    page = re.sub('base64,[^"]+', "", page_of(tmp_path))
    assert "ears: mean error by distance from left ear to right ear" in page
    for told in (text, page):
        assert not re.search(r"(?i)top-2|express|emotion(?!_jax)|feel|\beyes?\b", told)


def test_the_card_tells_each_class_the_recipe_and_both_calibration_errors():
    restored = evaluated.restored({"emotion": {}})
    numbers = {"n": 4, "ece": 0.01, "ece@raw": 0.07, "ece@low": 0.0, "ece@high": 0.02}
    for k, name in enumerate(evaluated.FIVE):
        numbers |= {f"{c}/{name}": k / 10 for c in ("precision", "recall", "f1")}
        numbers[f"support/{name}"] = k
    numbers = {f"emotion/{key}": value for key, value in numbers.items()}
    split = evaluated.split_of(tiny.faces(4))
    text = card.card(restored, [(split, numbers)])
    assert "error is 1.0 %; without the temperature it\nis 7.0 %." in text
    for k, name in enumerate(evaluated.FIVE):
        assert f"| {name} | {10 * k}.0 % | {10 * k}.0 % | {10 * k}.0 % | {k} |" in text
    for section in ("model", "tasks", "optim", "train", "augment", "feed"):
        assert f"\n- {section}: " in text


def test_the_card_names_the_task_of_each_of_several_temperatures(monkeypatch):
    monkeypatch.setitem(tasks.TASKS, "gender", tiny.Gender)
    sections = {"emotion": {}, "gender": {}, "keypoints": {}}
    restored, split = evaluated.restored(sections), evaluated.split_of(tiny.faces(4))
    restored.meta.temperature["gender"] = 1.0
    numbers = dict.fromkeys(("emotion/n", "gender/n"), 4)
    keys = [f"{task}/{key}" for task in sections for key in ("ece", "ece@raw")]
    texts = card.calibrated(restored, split, numbers | dict.fromkeys(keys, 0.1))
    assert [text.partition(" fitted")[0] for text in texts] == [
        "Probabilities of emotion are after the temperature 1.500,",
        "No temperature of gender was",
    ]
    assert "reads emotion, keypoints and gender\n" in card.card(restored, [])


def test_the_recipe_has_no_empty_field_but_every_name():
    section = {
        "a": "",
        "b": {},
        "c": {"teachers": "", "x": 0},
        "d": (),
        "e": [],
        "f": 0,
    }
    assert card.short(section) == "c (x 0), f 0"
    assert card.short({"flip": {}, "zoom": {"high": 2}}, True) == "flip, zoom (high 2)"
    restored = evaluated.restored({"emotion": {"label_smoothing": 0.0}})
    text = card.card(restored, [])
    assert "\n- tasks: emotion (label\\_smoothing 0.0)\n" in text
    assert "\n- feed: name resident\n" in text
