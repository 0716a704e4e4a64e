"""`bevdeploy build`: ONNX file to TensorRT or TensorRT-RTX plan."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class PoolKind(str, Enum):
    """What computes the pool node."""

    native = "native"
    plugin = "plugin"


def build(
    onnx: Annotated[Path, typer.Argument(help="ONNX file, its contract beside it.")],
    target: Annotated[str, typer.Option("--target", "-t", help="Profile or TOML file of the device.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Plan; NAME.TARGET.PRECISION.plan without.")
    ] = None,
    pool: Annotated[
        PoolKind, typer.Option(help="The pool as operators that every version has, or by the plugin.")
    ] = PoolKind.native,
    tf32: Annotated[bool, typer.Option("--tf32", help="Let float32 products round their factors to ten bits.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
) -> None:
    """Build an engine for a target, with the manifest that says where it may run.

    TensorRT builds on the device itself; -t rtx builds anywhere, for desktop RTX cards. Exit code 3 when the plan does
    not compute what the ONNX file computes.
    """
    from bevdeploy.cli.console import say, spinner, write_report
    from bevdeploy.jobs.build_engine import BuildOptions, build_engine
    from bevdeploy.report.parity_card import parity_card

    with spinner("starting") as advance:
        report = build_engine(onnx, target, output, BuildOptions(pool.value, tf32), advance)
    manifest = report.manifest
    serves = ", ".join(f"SM {sm}" for sm in manifest.compute_capabilities) or "every desktop RTX card"
    say(
        f"{report.plan}: {report.plan_bytes / 1e6:.1f} MB, {report.library} {manifest.library_version}, {serves}, "
        f"{manifest.precision}, {manifest.pool} pool; {report.layers} layers in {report.seconds:.1f} s"
    )
    say(str(report.manifest_file))
    if report.parity is not None:
        say(parity_card(report.parity))
    for note in report.notes:
        say(f"note: {note}")
    write_report(json_file, report)
    if report.parity is not None and not report.parity.passed:
        raise typer.Exit(3)
    say(f"next: bevdeploy bench --engine {report.plan} -t {target}")
