"""Progress of a training on a terminal, and in files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bevdeploy.train import StepRow

LINES = 50
"""Of progress, where stderr is no terminal."""


def first_process() -> bool:
    """False in all but the first process that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def training_progress(steps: int) -> Iterator[Callable[[StepRow], None]]:
    """A progress bar on a terminal, a line now and then in a file; on stderr, from the first process alone."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    shown = console.is_terminal and first_process()
    told = 0

    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task("loading", total=steps)

        def on_row(row: StepRow) -> None:
            nonlocal told
            text = " ".join(f"{name} {value:.3g}" for name, value in row.terms.items())
            text += f" | {row.keyframes_per_s:.1f} keyframes/s, {row.memory_mb / 1e3:.1f} GB"
            progress.update(task, completed=row.step, description=text)
            if not shown and (row.step == steps or row.step >= told + steps / LINES):
                told = row.step
                typer.echo(f"{row.step}/{steps} loss {row.loss:.4g}: {text}", err=True)

        yield on_row
