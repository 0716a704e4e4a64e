"""`bevdeploy distill`: train a student; METHOD says with which teacher's help, `none` without."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Device(str, Enum):
    """Where to train."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def distill(
    method: Annotated[
        str, typer.Argument(help="none (the baseline), direct, bridgeta, tinybev, distillbev or dualdistill.")
    ],
    data: Annotated[Path, typer.Option(help="nuScenes root with an index (bevdeploy data index), or an index folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write; log, state and curves beside.")],
    teacher: Annotated[
        Path | None, typer.Option(help="A teacher's cache (bevdeploy teach), or its checkpoint to run beside.")
    ] = None,
    student: Annotated[
        str, typer.Option(help="A named student: tinybev_r18, bevdepth_r50, bevfusion_camera, ...")
    ] = "tinybev_r18",
    preset: Annotated[
        str,
        typer.Option(help="Training that comes with bevdeploy (export/training/): small-world, nuscenes, ..."),
    ] = "nuscenes",
    config: Annotated[Path | None, typer.Option(help="TOML file of a training, in place of a preset.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps; the training's own without.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Keyframes per step and process.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="key=value of the student's builder, such as cell_m=0.8.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Of the data set, where the root has several.")] = None,
    split: Annotated[str | None, typer.Option(help="Split or scene; train or mini_train without.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of weights, order and augmentation.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load data; 0 loads between the steps.")] = 1,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one.")] = Device.auto,
    start: Annotated[Path | None, typer.Option(help="Checkpoint to start from.")] = None,
    backbone: Annotated[Path | None, typer.Option(help="ImageNet weights: torchvision's or timm's resnet18.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the training state beside the output.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
) -> None:
    """Train a student without changing its inference cost.

    On many GPUs: torchrun --nproc-per-node=8 -m bevdeploy distill ...
    """
    from bevdeploy.cli.console import say, write_report
    from bevdeploy.cli.options import builder_arguments
    from bevdeploy.cli.training_progress import first_process, training_progress
    from bevdeploy.jobs.train_student import train_student
    from bevdeploy.train import load_train_config
    from bevdeploy.train.config import with_overrides

    settings = with_overrides(load_train_config(config or preset), steps=steps, batch=batch)
    with training_progress(settings.steps) as on_row:
        report = train_student(
            method,
            data,
            student,
            output,
            settings,
            builder_arguments(student, option or []),
            teacher=teacher,
            version=version,
            split=split,
            seed=seed,
            workers=workers,
            device=device.value,
            resume=resume,
            start=start,
            backbone=backbone,
            on_row=on_row,
        )
    if not first_process():
        return
    resumed = f", {report.resumed_from} of them before" if report.resumed_from else ""
    say(
        f"{report.checkpoint}: {report.student}, method {report.method}, {report.steps} steps{resumed} on "
        f"{report.keyframes} keyframes of {report.split}, {report.seconds:.0f} s, "
        f"{report.keyframes_per_s:.1f} keyframes/s on {report.processes} x {report.device}"
    )
    if report.skipped:
        say(f"left out: {report.skipped} keyframes of {report.split} whose files are not there")
    if report.passed_over:
        say(f"{len(report.passed_over)} damaged keyframes were passed over, the first: {report.passed_over[0]}")
    terms = ", ".join(f"{name.removesuffix('_loss')} {v:.3g}" for name, v in report.last.items() if "_loss" in name)
    say(f"loss {report.last.get('loss', 0):.3g}: {terms}")
    say(f"log {report.log}" + (f", curves {report.curves}" if report.curves else ""))
    say(f"next: bevdeploy export {report.checkpoint}")
    write_report(json_file, report)
