"""`bevdeploy run`: camera frames to BEV results and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    source: Annotated[Path, typer.Argument(help="nuScenes root, or folder of frames with a rig file.")],
    engine: Annotated[Path, typer.Option("--engine", help="ONNX file or checkpoint, its contract beside it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for results and pictures.")] = Path("out/run"),
    rig: Annotated[Path | None, typer.Option(help="Rig file of a folder of frames; its rig.json without.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Frame sets at most.")] = None,
    score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Leave out boxes below this score.")] = 0.3,
    scene: Annotated[str | None, typer.Option(help="Only this scene of a nuScenes root.")] = None,
    ego_motion: Annotated[
        bool,
        typer.Option("--ego-motion/--static-rig", help="Fold nuScenes' motion from camera to key time into the rig."),
    ] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on a missing image instead of skipping.")] = False,
    pictures: Annotated[bool, typer.Option(help="Draw PNG files and index.html.")] = True,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads inside one operator.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary as JSON.")] = None,
) -> None:
    """Run an engine on camera frames: JSON lines, a picture of every frame, one page that opens offline."""
    from bevdeploy.cli.console import bar, say, write_report
    from bevdeploy.geometry import load_rig
    from bevdeploy.jobs.frames import frame_source
    from bevdeploy.jobs.open_pipeline import open_pipeline
    from bevdeploy.jobs.run_frames import RunOptions, run_frames

    frames = frame_source(
        source, None if rig is None else load_rig(rig), limit, scene=scene, ego_motion=ego_motion, strict=strict
    )
    pipeline = open_pipeline(engine, frames.rig, threads)
    with bar("frames", frames.count) as advance:
        report = run_frames(pipeline, engine, frames, output, RunOptions(score, pictures), advance)
    say(f"{len(report.frames)} frames of {report.source}, {report.skipped} skipped: {report.results_file}")
    if report.page_file is not None:
        say(f"report: {report.page_file}")
    write_report(json_file, report)
