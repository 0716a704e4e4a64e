"""`bevdeploy bench`: does this engine meet the budget on this machine?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

FRAME_SETS = 4
"""Frames held in memory and cycled through: at 6 x 1600 x 900 px, 104 MB, more than any cache."""
LAYER_FRAMES = 10


def bench(
    engine: Annotated[Path, typer.Option("--engine", help="ONNX file, plan or checkpoint, its contract beside it.")],
    target: Annotated[str, typer.Option("--target", "-t", help="Profile or TOML file whose budget counts.")] = "cpu",
    frames: Annotated[int, typer.Option(min=5, help="Timed frames; p99 and misses need 1000.")] = 1000,
    seconds: Annotated[float, typer.Option(min=0.1, help="Longest time to measure, after the warm-up.")] = 30.0,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads inside one operator.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also profile the layers, in a run of its own.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="nuScenes root or folder of camera frames; synthetic without.")
    ] = None,
    rig: Annotated[Path | None, typer.Option(help="Rig file of the cameras; the data's own without.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write the card as a page.")] = None,
) -> None:
    """Measure latency: network and application, with the machine's state and the target's verdict.

    Exit code 3 when the target's budget is not shown to be met.
    """
    from bevdeploy.cli.console import say, write_report
    from bevdeploy.engines.bench import BenchSettings
    from bevdeploy.engines.bench import bench as measured
    from bevdeploy.engines.target import load_target
    from bevdeploy.geometry.rig import load_rig
    from bevdeploy.jobs.frames import frame_source
    from bevdeploy.jobs.open_pipeline import open_pipeline
    from bevdeploy.report.bench_card import bench_card
    from bevdeploy.report.bench_page import bench_page
    from bevdeploy.report.html import save_html

    settings = BenchSettings(frames, seconds, layer_frames=LAYER_FRAMES if layers else 0, target=load_target(target))
    given = None if rig is None else load_rig(rig)
    if data is None:
        pipeline = open_pipeline(engine, given, threads)
        sets = list(frame_source(None, pipeline.rig, FRAME_SETS).sets)
    else:
        sets = list(frame_source(data, given, FRAME_SETS).sets)
        pipeline = open_pipeline(engine, given or next((each.rig for each in sets), None), threads)
    with _progress_bar() as progress:
        report = measured(pipeline, [each.frames for each in sets], settings, progress, engine=engine)
    say(bench_card(report))
    write_report(json_file, report)
    if html_file is not None:
        save_html(bench_page(report), html_file)
    if report.verdict.gate_failed:
        raise typer.Exit(3)


@contextmanager
def _progress_bar() -> Iterator[Callable[[str, float], None]]:
    """A bar on stderr, drawn between frames: rich's own refresh thread would run inside the timed part."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    drawn_s = 0.0
    columns = (TextColumn("{task.description:8}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("opening", total=1.0)

        def tell(phase: str, part: float) -> None:
            nonlocal drawn_s
            now_s = time.monotonic()
            if now_s - drawn_s >= 0.25 or part in (0.0, 1.0):
                drawn_s = now_s
                bar.update(task, description=phase, completed=part, refresh=True)

        yield tell
