"""`bevdeploy export`: checkpoint to ONNX, contract and parity report."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Io(str, Enum):
    """What goes in and comes out of the graph."""

    frames = "frames"
    tensor = "tensor"


class Geometry(str, Enum):
    """Where the pool tables are."""

    runtime = "runtime"
    baked = "baked"


class Precision(str, Enum):
    """What the graph computes in."""

    fp32 = "fp32"
    fp16 = "fp16"


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of a student.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="ONNX file; NAME.PRECISION.onnx without.")
    ] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", "-r", help="Name or TOML file; the student's own.")] = None,
    io: Annotated[Io, typer.Option(help="Raw frames to decoded results, or tensors to dense outputs.")] = Io.frames,
    geometry: Annotated[
        Geometry, typer.Option(help="Pool tables as inputs, or of one rig inside the graph.")
    ] = Geometry.runtime,
    precision: Annotated[
        Precision, typer.Option(help="fp16: convolutions in half, coordinates and outputs in fp32.")
    ] = Precision.fp32,
    rig: Annotated[Path | None, typer.Option(help="Rig file: cameras, image size, calibration.")] = None,
    table_headroom: Annotated[
        float | None, typer.Option(min=1.0, max=8.0, help="Pool tables relative to the rig's need.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="nuScenes root or folder of frames for parity; synthetic without.")
    ] = None,
    builder: Annotated[
        str | None,
        typer.Option(help="package.module:function that builds your own student; importing it runs its code."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
) -> None:
    """Export a checkpoint and prove that the ONNX file equals the PyTorch model.

    Exit code 3 when a parity gate fails; the files are there to look at.
    """
    from bevdeploy.cli.console import say, spinner, write_report
    from bevdeploy.geometry import load_rig
    from bevdeploy.jobs.export_checkpoint import ExportOptions, export_checkpoint
    from bevdeploy.report.parity_card import parity_card

    options = ExportOptions(io.value, geometry.value, precision.value, recipe, table_headroom, data, builder=builder)
    with spinner("exporting") as advance:
        report = export_checkpoint(checkpoint, output, None if rig is None else load_rig(rig), options, advance)
    say(parity_card(report.parity))
    say(f"{report.onnx}: {report.onnx_bytes / 1e6:.1f} MB, {report.student}, io {io.value}, {geometry.value} geometry")
    say(f"{report.contract}, {report.parity_file}")
    write_report(json_file, report)
    if not report.parity.passed:
        raise typer.Exit(3)
    say(f"next: bevdeploy bench --engine {report.onnx}")
