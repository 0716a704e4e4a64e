"""`bevdeploy distill`: train a student; METHOD says with which teacher's help, `none` without."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bevdeploy.train import StepRow

LINES = 50
"""Of progress, where stderr is no terminal."""


class Device(str, Enum):
    """Where to train."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def distill(
    method: Annotated[str, typer.Argument(help="none: supervised training alone, the baseline of every method.")],
    data: Annotated[Path, typer.Option(help="nuScenes root with an index (bevdeploy data index), or an index folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write; log, state and curves beside.")],
    student: Annotated[str, typer.Option(help="tinybev_r18, tinybev_r18_small.")] = "tinybev_r18",
    preset: Annotated[
        str, typer.Option(help="Training that comes with bevdeploy (export/training/): small-world, nuscenes.")
    ] = "nuscenes",
    config: Annotated[Path | None, typer.Option(help="TOML file of a training, in place of a preset.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps; the training's own without.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Keyframes per step and process.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="key=value of the student's builder, such as cell_m=0.8.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Of the data set, where the root has several.")] = None,
    split: Annotated[str | None, typer.Option(help="Split or scene; train or mini_train without.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of weights, order and augmentation.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load data; 0 loads between the steps.")] = 1,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one.")] = Device.auto,
    start: Annotated[Path | None, typer.Option(help="Checkpoint to start from.")] = None,
    backbone: Annotated[Path | None, typer.Option(help="ImageNet weights: torchvision's or timm's resnet18.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the training state beside the output.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
) -> None:
    """Train a student without changing its inference cost.

    On many GPUs: torchrun --nproc-per-node=8 -m bevdeploy distill ...
    """
    from bevdeploy.cli.console import say, write_report
    from bevdeploy.cli.options import builder_arguments
    from bevdeploy.jobs.train_student import train_student
    from bevdeploy.train import load_train_config
    from bevdeploy.train.config import with_overrides

    settings = with_overrides(load_train_config(config or preset), steps=steps, batch=batch)
    with _shown(settings.steps) as on_row:
        report = train_student(
            method,
            data,
            student,
            output,
            settings,
            builder_arguments(student, option or []),
            version=version,
            split=split,
            seed=seed,
            workers=workers,
            device=device.value,
            resume=resume,
            start=start,
            backbone=backbone,
            on_row=on_row,
        )
    if not first_process():
        return
    resumed = f", {report.resumed_from} of them before" if report.resumed_from else ""
    say(
        f"{report.checkpoint}: {report.student}, method {report.method}, {report.steps} steps{resumed} on "
        f"{report.keyframes} keyframes of {report.split}, {report.seconds:.0f} s, "
        f"{report.keyframes_per_s:.1f} keyframes/s on {report.processes} x {report.device}"
    )
    if report.skipped:
        say(f"left out: {report.skipped} keyframes of {report.split} whose files are not there")
    if report.passed_over:
        say(f"{len(report.passed_over)} damaged keyframes were passed over, the first: {report.passed_over[0]}")
    terms = ", ".join(f"{name.removesuffix('_loss')} {v:.3g}" for name, v in report.last.items() if "_loss" in name)
    say(f"loss {report.last.get('loss', 0):.3g}: {terms}")
    say(f"log {report.log}" + (f", curves {report.curves}" if report.curves else ""))
    say(f"next: bevdeploy export {report.checkpoint}")
    write_report(json_file, report)


def first_process() -> bool:
    """False in all but the first process that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _shown(steps: int) -> Iterator[Callable[[StepRow], None]]:
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
