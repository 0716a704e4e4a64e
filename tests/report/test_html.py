"""The page: escaped, self-contained, and true to what it was given."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.errors import OutputError
from bevdeploy.report import (
    Figure,
    Page,
    Section,
    Table,
    Verdict,
    html_from_page,
    jpeg_bytes,
    latency_histogram,
    png_bytes,
    save_html,
)

pytest.importorskip("jinja2", reason="HTML reports need bevdeploy[media]")
Image = pytest.importorskip("PIL.Image", reason="pictures need bevdeploy[media]")

EVIL = "<script>alert('x')</script> & \"quoted\" <img src=https://example.com/x.png>"
VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Tags with their attributes, texts, and whether every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))


@pytest.fixture
def full_page(picture: Image.Image) -> Page:
    """Every kind of content, with hostile text in every field."""
    return Page(
        title=EVIL,
        subtitle=EVIL,
        verdicts=(Verdict("pass", EVIL), Verdict("fail", "p99 95.0 ms > 90.9 ms"), Verdict("info", "untrained")),
        sections=(
            Section("Table", f"{EVIL}\n\nsecond paragraph", table=Table(("name", "ms"), [(EVIL, "1.2")], EVIL)),
            Section("Pictures", figures=(Figure(EVIL, png_bytes(picture)), Figure("jpeg", jpeg_bytes(picture), EVIL))),
            Section("Plot", figures=(Figure("latency", latency_histogram([1.0, 2.0], {EVIL: 1.5}, 3.0)),)),
            Section(EVIL, verdicts=(Verdict("info", EVIL),), code=f"bevdeploy run\n  {EVIL}"),
        ),
        footer=EVIL,
    )


def test_every_text_is_escaped(full_page: Page) -> None:
    html = html_from_page(full_page)
    tags = [tag for tag, _ in read(html).tags]
    assert "script" not in tags
    assert tags.count("img") == 2  # the two figures, none out of a text
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 15  # each hostile field; the title and a caption twice


def test_nothing_is_fetched(full_page: Page) -> None:
    html = html_from_page(full_page)
    for tag, attributes in read(html).tags:
        assert tag not in {"link", "script", "iframe", "object", "embed", "base", "form"}
        for key, value in attributes.items():
            if key in {"src", "href", "srcset", "poster", "data", "action", "xlink:href"}:
                assert value is not None and value.startswith("data:image/"), (tag, key, value)
            assert not key.startswith("on"), (tag, key)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1] and "@import" not in style[1]
    own = html.replace("https://example.com/x.png", "")  # the hostile text itself, shown as text
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]+", "", own))


def test_pictures_arrive_whole(full_page: Page, picture: Image.Image) -> None:
    images = [attributes for tag, attributes in read(html_from_page(full_page)).tags if tag == "img"]
    png, jpeg = (str(attributes["src"]) for attributes in images)
    assert base64.b64decode(png.removeprefix("data:image/png;base64,")) == png_bytes(picture)
    assert base64.b64decode(jpeg.removeprefix("data:image/jpeg;base64,")) == jpeg_bytes(picture)
    assert images[0]["alt"] == images[1]["alt"] == EVIL


def test_content_is_there_in_order(full_page: Page) -> None:
    reader = read(html_from_page(full_page))
    texts = [text for text in reader.texts if text]
    for expected in (EVIL, "p99 95.0 ms > 90.9 ms", "second paragraph", "1.2", f"bevdeploy run\n  {EVIL}", "latency"):
        assert expected in texts, expected
    headings = [text for text in texts if text in ("Table", "Pictures", "Plot")]
    assert headings == ["Table", "Pictures", "Plot"]
    levels = [attributes["class"] for tag, attributes in reader.tags if tag == "li"]
    assert levels == ["verdict pass", "verdict fail", "verdict info", "verdict info"]


def test_columns_of_numbers_are_set_to_the_right() -> None:
    rows = [("network", "68.0 ms", "1 x 3", "n/a (n=15)", "1e-4"), ("all", "1,071 ms", "6", "9.1 %", "<= 2")]
    assert Table(("stage", "mean", "shape", "p99", "gate"), rows).numeric == (False, True, False, True, True)
    assert Table(("a", "b"), []).numeric == (False, False)


def test_a_ragged_table_is_refused() -> None:
    with pytest.raises(OutputError, match="2 columns"):
        Table(("a", "b"), [("1",)])


def test_bytes_that_are_no_picture_are_refused() -> None:
    with pytest.raises(OutputError, match="'plot': 5 bytes that are neither PNG nor JPEG"):
        html_from_page(Page("t", "s", (Section("h", figures=(Figure("plot", b"<svg>"),)),)))


def test_the_file_is_written_whole(tmp_path: Path, full_page: Page) -> None:
    save_html(full_page, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html_from_page(full_page)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
