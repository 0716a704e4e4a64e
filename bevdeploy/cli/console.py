"""What commands share with a terminal: results on stdout, progress on stderr, reports as JSON files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def say(message: Any) -> None:
    """Print a line or a renderable to stdout; what its encoding cannot write becomes a question mark."""
    import io
    import sys

    from rich.console import Console

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    Console(highlight=False, soft_wrap=isinstance(message, str)).print(message, markup=False)


@contextmanager
def spinner(first: str) -> Iterator[Callable[[str], None]]:
    """A spinner on stderr; call what it yields to say what happens now."""
    from rich.console import Console

    with Console(stderr=True).status(first) as status:
        yield lambda stage: status.update(stage)


@contextmanager
def bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr; call what it yields with the number done. Without a total it shows no end."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    # Where it cannot be drawn over it would still leave an empty line before an error.
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def write_report(path: Path | None, report: Any) -> None:
    """Write a report as JSON: its own `document()`, or its fields.

    Raises:
        OutputError: the file cannot be written.
    """
    if path is None:
        return
    import json
    from dataclasses import asdict

    from bevdeploy.paths import write_text

    document = report.document() if hasattr(report, "document") else asdict(report)
    write_text(path, json.dumps(document, indent=1, default=str) + "\n")
