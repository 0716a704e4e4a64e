"""`bevdeploy compare`: same inference cost, same contract, same outputs?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    a: Annotated[Path, typer.Argument(help="Checkpoint or ONNX file.")],
    b: Annotated[Path, typer.Argument(help="Checkpoint or ONNX file.")],
    cost_only: Annotated[
        bool, typer.Option("--cost-only", help="Compare cost and contract alone: other weights are no failure.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="nuScenes root or folder of camera frames; synthetic without.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frame sets to compare outputs on.")] = 2,
    rig: Annotated[Path | None, typer.Option(help="Rig file of the cameras; the data's own without.")] = None,
    bench: Annotated[
        float | None, typer.Option(min=0.1, help="Also time both in turns, A B A B, for so many seconds.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads inside one operator.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
) -> None:
    """Compare two students: parameters, operators and MACs, contract, outputs on the same frames.

    Exit code 0 when cost, contract and outputs are the same; 3 when any of them is not. With --cost-only outputs do not
    count: what "unchanged inference cost" of a distilled student means.
    """
    from bevdeploy.cli.console import say, spinner, write_report
    from bevdeploy.geometry import load_rig
    from bevdeploy.jobs.compare import CompareOptions
    from bevdeploy.jobs.compare import compare as compared
    from bevdeploy.report.compare_card import compare_card

    options = CompareOptions(data, frames, cost_only, bench, threads)
    with spinner("comparing") as advance:
        report = compared(a, b, None if rig is None else load_rig(rig), options, advance)
    say(compare_card(report))
    write_report(json_file, report)
    if not report.passed:
        raise typer.Exit(3)
