"""Laws of the page: text stays text, and nothing is fetched."""

import base64
import hashlib
import io
import re

import numpy as np
import pytest
from PIL import Image

from emotion_jax.report import page


def test_what_is_no_markup_is_escaped_in_text_and_in_attributes():
    made = page.tag("p", "<b> & ", page.tag("i", '"x"'), title='"><script>')
    assert made == (
        '<p title="&quot;&gt;&lt;script&gt;">&lt;b&gt; &amp; <i>&quot;x&quot;</i></p>'
    )


def test_attributes_may_be_called_as_python_forbids():
    assert page.tag("meta", http_equiv="a", class_="b", name="c") == (
        '<meta http-equiv="a" class="b" name="c">'
    )


@pytest.mark.parametrize(
    "value, shown",
    [(1234567, "1,234,567"), (0, "0"), (2.0, "2.00"), (1234.567, "1,234.57")],
)
def test_a_number_as_it_is_read(value, shown):
    assert page.number(value) == shown


@pytest.mark.parametrize("n, told", [(0, "0 sets"), (1, "1 set"), (1200, "1,200 sets")])
def test_one_thing_is_no_plural(n, told):
    assert page.count(n, "set", "sets") == told


def test_a_table_has_its_cells_in_order():
    made = page.table(("a", "b"), [["<x>", 1], ["y", None]])
    cells = re.findall(r"<t[hd] [^>]*>(.*?)</t[hd]>", made)
    assert cells == ["a", "b", "&lt;x&gt;", "1", "y", "–"]


def test_a_tables_numbers_stand_right_however_they_are_marked_up():
    made = page.table(("a", "b", "c"), [["x", 1, page.Quantity("<i>2</i>")]])
    assert re.findall('class="(text|number)"', made) == ["text", "number", "number"] * 2


def test_a_paragraph_without_a_word_is_none():
    assert page.sentences("", "") == "" and page.sentences("a") == "<p>a</p>"


def test_only_a_picture_too_wide_for_a_phone_scrolls(tmp_path):
    for width, kind in ((page.NARROW, "small"), (page.NARROW + 1, "wide")):
        Image.new("L", (width, 1)).save(tmp_path / "a.png")
        assert page.picture(tmp_path / "a.png", "").startswith(f'<div class="{kind}">')


def test_a_picture_lies_in_the_page_bit_for_bit(tmp_path):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    made = page.picture(tmp_path / "a.png", "twelve <grays>")
    assert 'width="4" height="3"' in made and "twelve &lt;grays&gt;" in made
    inside = base64.b64decode(re.search(r"base64,([^\"]+)", made)[1])
    with Image.open(io.BytesIO(inside)) as found:
        np.testing.assert_array_equal(np.asarray(found), pixels)


def test_the_policy_allows_this_style_and_inner_pictures_and_nothing_else():
    made = page.document("a <", "b", {"here": ("Here", ["text"]), "none": ("", [])})
    assert made.startswith("<!doctype html>\n<html") and 'id="none"' not in made
    assert "<title>a &lt;: b</title>" in made and '<a href="#here">Here</a>' in made
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', made)[1]
    style = re.search(r"<style>(.*?)</style>", made, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.replace("&#x27;", "'").split("; ") == [
        "default-src 'none'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        f"style-src 'sha256-{digest}'",
    ]
