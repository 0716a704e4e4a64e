"""`bevdeploy init`: an untrained checkpoint of a named student."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    student: Annotated[
        str,
        typer.Argument(help="tinybev_r18, tinybev_r18_small, bevdepth_r50, bevfusion_camera, bevfusion_camera_r50."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write.")],
    option: Annotated[
        list[str] | None, typer.Option("--option", help="key=value of the student's builder, such as cell_m=0.8.")
    ] = None,
    backbone: Annotated[
        Path | None, typer.Option(help="ImageNet weights: torchvision's or timm's resnet18, resnet50 or swin_t.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the weights.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
) -> None:
    """Write an untrained checkpoint, so that latency work can start before training.

    Its batch norms have seen street-like images: outputs depend on inputs, and parity means something.
    """
    from bevdeploy.cli.console import say, spinner, write_report
    from bevdeploy.cli.options import builder_arguments
    from bevdeploy.jobs.init_checkpoint import init_checkpoint

    with spinner("initialising"):
        report = init_checkpoint(student, output, builder_arguments(student, option or []), seed, backbone)
    height_px, width_px = report.image_hw
    say(
        f"{report.checkpoint}: {report.student}, {report.parameters / 1e6:.2f} M parameters, "
        f"{width_px} x {height_px} px, untrained (backbone: {report.backbone})"
    )
    say(f"next: bevdeploy export {report.checkpoint}")
    write_report(json_file, report)
