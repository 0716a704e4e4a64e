"""`bevdeploy data`: data sets. `synth` writes a made-up world as a nuScenes root, `index` prepares any root."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="data", help="Data sets: write a synthetic world, index a nuScenes root.", no_args_is_help=True)


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="Folder to write: new, or a half-finished world of the same options.")],
    version: Annotated[
        str, typer.Option(help="v1.0-mini (up to 10 scenes) or v1.0-trainval (up to 752).")
    ] = "v1.0-mini",
    scenes: Annotated[int, typer.Option(min=2, help="Scenes; every fifth, at least one, is for validation.")] = 10,
    keyframes: Annotated[int, typer.Option(min=1, help="Keyframes per scene, half a second apart.")] = 40,
    width: Annotated[int, typer.Option(min=1, help="Image width in pixels.")] = 704,
    height: Annotated[int, typer.Option(min=1, help="Image height in pixels.")] = 256,
    sweeps: Annotated[
        int, typer.Option(min=1, help="Lidar sweeps per keyframe: 1 is its own, 10 are all of a 20 Hz lidar.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Another seed is another world.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; all cores without.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary as JSON.")] = None,
) -> None:
    """Write a synthetic world in nuScenes format: tables, images, lidar sweeps, maps and CAN bus poses.

    The same options give the same bytes. A run that was killed goes on where it was.
    """
    from bevdeploy.cli.console import bar, say, write_report
    from bevdeploy.data.world import WorldOptions, write_world
    from bevdeploy.data.world.disk import size_text
    from bevdeploy.data.world.synth import plan_world

    options = WorldOptions(
        version, scenes, keyframes, width, height, sweeps, seed, workers or len(os.sched_getaffinity(0))
    )
    plan = plan_world(out, options)
    if plan.keyframes:
        text = f"about {size_text(plan.bytes)} to write, {size_text(plan.free_bytes)} are free"
        typer.echo(f"{plan.keyframes} keyframes, {text}", err=True)
    with bar("keyframes", scenes * keyframes) as advance:
        summary = write_world(out, options, lambda done, _: advance(done))
    made = f"{summary.scenes} scenes, {summary.keyframes} keyframes, {sum(summary.boxes.values())} boxes"
    if summary.rendered:
        rate = summary.rendered / summary.seconds
        say(f"{out}: {made}, {size_text(summary.bytes)} in {summary.seconds:.0f} s ({rate:.1f} keyframes/s)")
    else:
        say(f"{out}: {made}, {size_text(summary.bytes)}: complete, nothing to do")
    say(f"next: bevdeploy data index {out}")
    write_report(json_file, summary)


@app.command()
def index(
    root: Annotated[Path, typer.Argument(help="nuScenes root: real or synthetic.")],
    version: Annotated[str | None, typer.Option(help="Tables of a root that has several versions.")] = None,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write; ROOT/.bevdeploy/VERSION without.")
    ] = None,
) -> None:
    """Index a nuScenes root: once, so that training and scoring read arrays instead of tables."""
    from bevdeploy.cli.console import say, spinner
    from bevdeploy.data.build_index import build_index
    from bevdeploy.data.index import open_index

    with spinner("indexing") as advance:
        folder = build_index(root, version, out, lambda what, done, total: advance(f"{what} {done} of {total}"), say)
    built = open_index(folder)
    say(f"{folder}: {len(built)} keyframes of {len(built.scenes)} scenes of {built.version}")
    say(f"next: bevdeploy distill none --data {root} -o s.pth, or bevdeploy eval --engine FILE {root}")
