"""`bevdeploy run`: camera frames to BEV results and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    source: Annotated[Path, typer.Argument(help="nuScenes root, or folder of images or videos with a rig file.")],
    engine: Annotated[Path, typer.Option("--engine", help="ONNX file, plan or checkpoint, its contract beside it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for results and pictures.")] = Path("out/run"),
    rig: Annotated[Path | None, typer.Option(help="Rig file of a folder of frames; its rig.json without.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Frame sets at most.")] = None,
    score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Leave out boxes below this score.")] = 0.3,
    scene: Annotated[str | None, typer.Option(help="Only this scene of a nuScenes root.")] = None,
    ego_motion: Annotated[
        bool,
        typer.Option("--ego-motion/--static-rig", help="Fold nuScenes' motion from camera to key time into the rig."),
    ] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on a missing or damaged frame.")] = False,
    hold_frames: Annotated[
        int, typer.Option(min=0, help="Videos, live: sets that a lost camera's last frame stands in; then black.")
    ] = 3,
    live: Annotated[bool, typer.Option("--live", help="Follow a folder of images while it is written.")] = False,
    stall_ms: Annotated[float, typer.Option(min=0.0, help="Live: longest wait for the cameras of a set.")] = 200.0,
    idle_seconds: Annotated[float, typer.Option(min=0.1, help="Live: end when so long nothing came.")] = 10.0,
    drop: Annotated[bool, typer.Option("--drop", help="Live: pass over sets when a newer one is there.")] = False,
    target: Annotated[str, typer.Option("--target", "-t", help="Profile or TOML file whose deadline counts.")] = "cpu",
    pictures: Annotated[
        bool | None, typer.Option("--pictures/--no-pictures", help="Draw PNG files and index.html; not with --live.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads inside one operator.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary as JSON.")] = None,
) -> None:
    """Run an engine on camera frames: JSON lines, a picture of every frame, one page that opens offline.

    Ctrl-C ends the run, writes the report of what ran, and exits with 130.
    """
    from functools import partial

    from bevdeploy.cli.console import bar, say, write_report
    from bevdeploy.data import LiveOptions, is_nuscenes_root
    from bevdeploy.engines.target import load_target
    from bevdeploy.errors import FrameSourceError
    from bevdeploy.geometry import load_rig
    from bevdeploy.jobs.frames import frame_source
    from bevdeploy.jobs.open_pipeline import open_pipeline
    from bevdeploy.jobs.run_frames import RunOptions, run_frames
    from bevdeploy.report.stream_card import stream_card

    options = RunOptions(score, not live if pictures is None else pictures, target=load_target(target))
    if rig is not None and is_nuscenes_root(source):
        raise FrameSourceError(f"{source}: a nuScenes root brings its own calibration; leave out --rig")
    frames = frame_source(
        source,
        None if rig is None else load_rig(rig),
        limit,
        scene=scene,
        ego_motion=ego_motion,
        strict=strict,
        hold_frames=hold_frames,
        live=LiveOptions(stall_ms, idle_seconds, drop) if live else None,
        tell=partial(typer.echo, err=True),
    )
    pipeline = open_pipeline(engine, frames.rig, threads)
    if pipeline.takes_ego_state:
        typer.echo(
            "this student reads the ego state, which no source gives yet: it plans as if standing still", err=True
        )
    if pipeline.memory is not None and not is_nuscenes_root(source):
        typer.echo(
            "this student remembers the frame before, and needs key times and ego poses for it, which only a nuScenes "
            "root brings: every frame is seen as a first one",
            err=True,
        )
    with bar("frames", frames.count) as advance:
        report = run_frames(pipeline, engine, frames, output, options, advance)
    say(stream_card(report.stream))
    say(f"{report.count} frames of {report.source}, {report.skipped} skipped: {report.results_file}")
    if report.page_file is not None:
        say(f"report: {report.page_file}")
    write_report(json_file, report)
    if report.interrupted:
        raise typer.Exit(130)
