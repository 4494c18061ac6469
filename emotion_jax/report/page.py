"""A self-contained HTML page: all text is escaped, and nothing is ever fetched.

Pictures are embedded in the page, and its policy lets the browser load nothing else.
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PIL import Image

STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --soft: #63636b; --line: #dcdce1;
  --paper: #ffffff; --card: #f5f5f7; --link: #0a5fd0; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf0; --soft: #a3a3ad;
  --line: #3a3a3f; --paper: #161618; --card: #222225; --link: #6cb0ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.55 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 3rem 0 .5rem; font-size: 1.25rem; }
h3 { margin: 1.5rem 0 .25rem; font-size: 1rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--link); }
nav { margin: 1rem 0; display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
code { display: inline-block; max-width: 100%; overflow-wrap: anywhere;
  padding: 0 .3em; border-radius: .3em; background: var(--card);
  font: .875em ui-monospace, monospace; }
data { white-space: nowrap; }
.soft { color: var(--soft); font-size: .9rem; }
.cards { display: grid; gap: .75rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
.cards > div { padding: .75rem 1rem; border-radius: .6rem; background: var(--card); }
.cards p { margin: 0; }
.big { font-size: 1.6rem; line-height: 1.4; font-variant-numeric: tabular-nums; }
.wide, .small { margin: .75rem 0; overflow-x: auto; }
img { display: block; max-width: 100%; height: auto; border-radius: .5rem; }
.wide img { min-width: 36rem; }
table { border-collapse: collapse; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line);
  text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 500; }
.text { text-align: left; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--link); }
@media (prefers-color-scheme: dark) {
  img.chart { filter: invert(.91) hue-rotate(180deg); } }
@media print { :root { color-scheme: light; } nav { display: none; }
  img, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } }
"""
POLICY = (
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
    "style-src 'sha256-{}'"
)
VOID = ("img", "meta")
NARROW = 600  # pixels; phones shrink wider pictures no further than to this


class Html(str):
    """A string that is already markup; `tag` escapes every other string."""


class Quantity(Html):
    """The markup of a number."""


def tag(name: str, /, *content: object, **attributes: object) -> Html:
    """One element. Attribute names may end in _, as `class_` must."""
    head = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
    )
    end = "" if name in VOID else f"{join(content)}</{name}>"
    return Html(f"<{name}{head}>{end}")


def join(content: Iterable[object]) -> Html:
    """Concatenates the content, escaping text."""
    return Html(
        "".join(c if isinstance(c, Html) else html.escape(str(c)) for c in content)
    )


def sentences(*content: object) -> Html:
    """A paragraph; nothing if it would be empty."""
    said = join(content)
    return tag("p", said) if said else said


def code(text: str) -> Html:
    """Something to type."""
    return tag("code", text)


def number(value: float | int | None) -> str:
    """A number as the page shows it: whole, or else with two decimals."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def count(n: int, one: str, many: str) -> str:
    """A number and what there is of it, as `1 face` or `1,200 faces`."""
    return f"{number(n)} {one if n == 1 else many}"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """A table: texts aligned left, numbers formatted and aligned right."""
    rows = [list(row) for row in rows]
    text = [isinstance(c, str) and not isinstance(c, Quantity) for c in rows[0]]
    kinds = ["text" if is_text else "number" for is_text in text]

    def line(name: str, cells: Sequence[object]) -> Html:
        shown = [cell if isinstance(cell, str) else number(cell) for cell in cells]
        return tag("tr", *(tag(name, s, class_=k) for s, k in zip(shown, kinds)))

    head = tag("thead", line("th", header))
    body = tag("tbody", *(line("td", row) for row in rows))
    return tag("div", tag("table", head, body), class_="wide")


def folded(title: str, *content: object) -> Html:
    """Content that is folded until it is opened."""
    return tag("details", tag("summary", title), *content)


def picture(path: Path, text: str, kind: str = "sheet") -> Html:
    """A PNG inside the page; a `chart` is black on white, inverted in dark mode."""
    with Image.open(path, formats=["PNG"]) as opened:
        width, height = opened.size
    inside = base64.b64encode(path.read_bytes()).decode()
    source = f"data:image/png;base64,{inside}"
    shown = tag("img", src=source, alt=text, width=width, height=height, class_=kind)
    return tag("div", shown, class_="wide" if width > NARROW else "small")


def document(heading: str, where: str, parts: Mapping[str, tuple[str, list]]) -> str:
    """The whole page: a heading, what it is about, links to its parts, the parts.

    Args:
      parts: each part's title and content by its anchor; parts without content are
        left out.
    """
    parts = {name: part for name, part in parts.items() if part[1]}
    links = [tag("a", title, href=f"#{name}") for name, (title, _) in parts.items()]
    body = [
        tag("h1", heading),
        tag("p", where, class_="soft"),
        tag("nav", *links),
        *(
            tag("section", tag("h2", title), *content, id=name)
            for name, (title, content) in parts.items()
        ),
    ]
    digest = hashlib.sha256(STYLE.encode()).digest()
    policy = POLICY.format(base64.b64encode(digest).decode())
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{heading}: {where}"),
        tag("style", Html(STYLE)),
    )
    page = tag("html", head, tag("body", *body), lang="en")
    return f"<!doctype html>\n{page}\n"
