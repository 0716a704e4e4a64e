"""`bevdeploy demo`: the main job on a small world, with a report to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything.")] = Path("out/demo"),
    student: Annotated[str, typer.Option(help="Student to take; tinybev_r18 is the full size.")] = "tinybev_r18_small",
    data: Annotated[
        Path | None,
        typer.Option(envvar="BEVDEPLOY_DEMO_DATA", help="nuScenes root or folder of frames; synthetic without."),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames to draw.")] = 3,
    seconds: Annotated[float, typer.Option(min=1.0, help="Longest time to benchmark.")] = 10.0,
) -> None:
    """Initialise, export, check, run and benchmark an untrained student; ends by saying where the report is.

    Exit code 3 when the exported file does not equal the PyTorch model.
    """
    from bevdeploy.cli.console import say, spinner
    from bevdeploy.jobs.demo import DemoOptions, run_demo
    from bevdeploy.report.bench_card import bench_card
    from bevdeploy.report.parity_card import parity_card

    with spinner("starting") as advance:
        report = run_demo(output, DemoOptions(student, frames, seconds, data), advance)
    say(parity_card(report.export.parity))
    say(bench_card(report.bench))
    say(f"\nreport: {report.page_file.resolve()}")
    if not report.export.parity.passed:
        raise typer.Exit(3)
