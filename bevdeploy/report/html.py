"""One HTML file that opens offline: sections of text, tables, pictures and verdicts, with nothing to fetch."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bevdeploy.errors import MissingDependencyError, OutputError
from bevdeploy.paths import write_text
from bevdeploy.report.latency_plot import SvgDrawing

_TEMPLATE = Path(__file__).with_name("page.html.j2")
_MEDIA_TYPES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}

Level = Literal["pass", "fail", "info"]


@dataclass(frozen=True)
class Verdict:
    """One line that says how it went."""

    level: Level
    text: str


@dataclass(frozen=True)
class Table:
    """Cells as text, ready to read; columns whose cells are all numbers are set to the right."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    notes: str = ""
    """A line below the table: units, machine, what was not measured."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise OutputError(
                    f"table of {len(self.columns)} columns {self.columns} with a row of {len(row)}: {row}"
                )

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers only, units and 'n/a' aside."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        return tuple(bool(column) and all(_is_number(cell) for cell in column) for column in columns)


@dataclass(frozen=True)
class Figure:
    """A picture, a PNG or JPEG file's content or a drawing, with what it shows."""

    caption: str
    content: bytes | SvgDrawing
    alternative: str = ""
    """What a reader who cannot see the picture needs; the caption where it is empty."""

    @property
    def data_uri(self) -> str:
        """The picture as an address that holds it.

        Raises:
            OutputError: the bytes are neither PNG nor JPEG.
        """
        assert isinstance(self.content, bytes)
        for magic, media_type in _MEDIA_TYPES.items():
            if self.content.startswith(magic):
                return f"data:{media_type};base64,{base64.b64encode(self.content).decode('ascii')}"
        raise OutputError(f"figure {self.caption!r}: {len(self.content)} bytes that are neither PNG nor JPEG")


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, in this order: verdicts, text, figures, table, code."""

    heading: str
    text: str = ""
    """Paragraphs, with an empty line between them."""
    verdicts: tuple[Verdict, ...] = ()
    figures: tuple[Figure, ...] = ()
    table: Table | None = None
    code: str = ""
    """Commands or output, kept as they are."""


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    verdicts: tuple[Verdict, ...] = ()
    """The result first: shown under the title."""
    footer: str = ""
    """How the page was made: version, command, date."""


def html_from_page(page: Page) -> str:
    """The page as one HTML document; every text is escaped.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
        OutputError: a figure is neither PNG nor JPEG.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingDependencyError(
            "HTML reports are written with Jinja2, which is not installed: pip install 'bevdeploy[media]'"
        ) from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["drawing"] = lambda content: isinstance(content, SvgDrawing)
    environment.filters["paragraphs"] = lambda text: [part.strip() for part in text.split("\n\n") if part.strip()]
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(page=page)


def save_html(page: Page, path: Path) -> None:
    """Write the page as a whole file or none.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
        OutputError: the folder cannot be written, the disk is full, or a figure is neither PNG nor JPEG.
    """
    write_text(Path(path), html_from_page(page))


def _is_number(cell: str) -> bool:
    """Whether a cell is a number, with or without a unit behind it; 'n/a (n=15)' counts as one that is missing."""
    words = cell.replace(",", "").replace("<=", "").split()
    if not words:
        return False
    if words[0] in ("n/a", "-"):
        return True
    try:
        float(words[0].rstrip("%x"))
    except ValueError:
        return False
    return len(words) <= 2
