"""`bevdeploy demo`: the main job on a small world, with a report to look at."""

from __future__ import annotations

import os
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
    keyframes: Annotated[int, typer.Option(min=2, help="Of each of the two scenes of the synthetic world.")] = 20,
    seconds: Annotated[float, typer.Option(min=1.0, help="Longest time to benchmark.")] = 10.0,
) -> None:
    """Write a world, export a student trained on such worlds, check, run, score and benchmark it, and report.

    Exit code 3 when the exported file does not equal the PyTorch model.
    """
    from bevdeploy.cli.console import say, spinner
    from bevdeploy.jobs.demo import DemoOptions, run_demo
    from bevdeploy.report.bench_card import bench_card
    from bevdeploy.report.eval_card import eval_card
    from bevdeploy.report.parity_card import parity_card

    with spinner("starting") as advance:
        options = DemoOptions(student, frames, keyframes, seconds, data, len(os.sched_getaffinity(0)))
        report = run_demo(output, options, advance)
    say(parity_card(report.export.parity))
    if report.accuracy is not None:
        say(eval_card(report.accuracy))
    say(bench_card(report.bench))
    say(f"\nreport: {report.page_file.resolve()}")
    if not report.export.parity.passed:
        raise typer.Exit(3)
