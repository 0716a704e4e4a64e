"""`bevdeploy teach`: a teacher's features and outputs, for students to learn from."""

from __future__ import annotations

from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bevdeploy.cli.distill import Device

if TYPE_CHECKING:
    from bevdeploy.jobs.teach import CachePlan, TeachReport, Told
    from bevdeploy.jobs.teacher_samples import VirtualPoints


class Dtype(str, Enum):
    """What numbers are written as."""

    float16 = "float16"
    float32 = "float32"


def teach(
    teacher: Annotated[
        str,
        typer.Argument(
            help="A name to train first, such as planner_lc or planner_lc_small; or a trained teacher's file."
        ),
    ],
    data: Annotated[
        Path, typer.Argument(help="nuScenes root with an index (bevdeploy data index), or an index folder.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the cache; checkpoint, log, state and curves in it too.")
    ],
    preset: Annotated[
        str, typer.Option(help="Training that comes with bevdeploy: small-world-teacher, nuscenes-teacher.")
    ] = "nuscenes-teacher",
    config: Annotated[Path | None, typer.Option(help="TOML file of a training, in place of a preset.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps; the training's own without.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Keyframes per step and process.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="key=value of the teacher's builder, such as cell_m=0.8.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Of the data set, where the root has several.")] = None,
    split: Annotated[str | None, typer.Option(help="Split or scene; train or mini_train without.")] = None,
    sweeps: Annotated[
        int | None, typer.Option(min=1, max=11, help="Lidar files per keyframe; the checkpoint's, or 10, without.")
    ] = None,
    virtual_points: Annotated[
        str | None, typer.Option(help="annotations, or an instance file, for a teacher with virtual_points=true.")
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="Of lift,bev_s0,bev_s1,bev_s2,bev_neck; all that it has without.")
    ] = None,
    dtype: Annotated[Dtype, typer.Option(help="Of what is written.")] = Dtype.float16,
    chunk: Annotated[int, typer.Option(min=1, max=4096, help="Keyframes per file.")] = 32,
    backbone: Annotated[Path | None, typer.Option(help="ImageNet weights: torchvision's or timm's resnet18.")] = None,
    train_only: Annotated[bool, typer.Option("--train-only", help="Write no cache.")] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of weights, order and augmentation.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load data; 0 loads between the steps.")] = 1,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one.")] = Device.auto,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training, then with the cache.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
) -> None:
    """Train a teacher that sees lidar, and write what it says about every keyframe to a cache.

    A cache that was stopped goes on where it was. On many GPUs: torchrun --nproc-per-node=8 -m bevdeploy teach ...
    """
    from bevdeploy.cli.console import write_report
    from bevdeploy.cli.options import teacher_arguments
    from bevdeploy.cli.training_progress import first_process
    from bevdeploy.jobs.teach import TeachOptions
    from bevdeploy.jobs.teach import teach as taught
    from bevdeploy.train import load_train_config
    from bevdeploy.train.config import with_overrides
    from bevdeploy.train.teacher_caching import CacheContent

    trained = Path(teacher).is_file()
    if trained and option:
        raise typer.BadParameter(f"leave out --option: {teacher} is trained already")
    settings = with_overrides(load_train_config(config or preset), steps=steps, batch=batch)
    options = TeachOptions(
        teacher,
        data,
        output,
        settings,
        {} if trained else teacher_arguments(teacher, option or []),
        CacheContent(tuple(name for name in (features or "").split(",") if name), dtype.value, chunk),
        version=version,
        split=split,
        sweeps=sweeps,
        virtual_points=_virtual_points(virtual_points),
        backbone=backbone,
        train_only=train_only,
        resume=resume,
        seed=seed,
        workers=workers,
        device=device.value,
    )
    with ExitStack() as shown:
        report = taught(options, _told(shown, None if trained else settings.steps))
    if first_process():
        _say(report)
        write_report(json_file, report)


def _virtual_points(text: str | None) -> VirtualPoints | None:
    if text is None or text == "annotations":
        return "annotations" if text else None
    return Path(text)


def _told(shown: ExitStack, steps: int | None) -> Told:
    """Progress of the training, where there is one, then of the cache: one bar at a time."""
    from bevdeploy.cli.console import bar
    from bevdeploy.cli.training_progress import first_process, training_progress
    from bevdeploy.jobs.teach import Told

    training = shown.enter_context(ExitStack())
    advance, written = None, 0

    def on_plan(plan: CachePlan) -> None:
        nonlocal advance, written
        training.close()
        typer.echo(_plan(plan), err=True)
        advance, written = shown.enter_context(bar("writing", plan.keyframes)), plan.written
        on_keyframes(0)

    def on_keyframes(more: int) -> None:
        nonlocal written
        written += more
        if advance is not None:
            advance(written)

    if steps is None or not first_process():
        return Told(on_plan=on_plan, on_keyframes=on_keyframes)
    return Told(training.enter_context(training_progress(steps)), on_plan, on_keyframes)


def _plan(plan: CachePlan) -> str:
    sizes = ", ".join(f"{name} {list(shape)}" for name, (_, shape) in plan.tensors.items())
    there = f", {plan.written} of them written before" if plan.written else ""
    return f"{plan.keyframes} keyframes of {plan.keyframe_bytes / 1e6:.2f} MB, {plan.size} in all{there}: {sizes}"


def _say(report: TeachReport) -> None:
    from bevdeploy.cli.console import say

    training, plan = report.training, report.plan
    if training is not None:
        resumed = f", {training.resumed_from} of them before" if training.resumed_from else ""
        say(
            f"{report.checkpoint}: {report.teacher}, {training.steps} steps{resumed} on {report.keyframes} keyframes "
            f"of {report.split}, {training.seconds:.0f} s, {training.keyframes_per_s:.1f} keyframes/s on "
            f"{report.processes} x {report.device}"
        )
        terms = ", ".join(f"{key.removesuffix('_loss')} {v:.3g}" for key, v in training.last.items() if "_loss" in key)
        if terms:
            say(f"loss {training.last.get('loss', 0):.3g}: {terms}")
        if training.passed_over:
            say(f"{len(training.passed_over)} damaged keyframes were passed over, the first: {training.passed_over[0]}")
        say(f"log {training.log}" + (f", curves {training.curves}" if training.curves else ""))
    if report.skipped:
        say(f"left out: {report.skipped} keyframes of {report.split} whose images or lidar are not there")
    if plan is not None:
        say(
            f"{report.cache}: {plan.keyframes} keyframes of {report.split}, {plan.size}, "
            f"{plan.keyframes - plan.written} written now in {report.seconds:.0f} s"
        )
        say(f"next: bevdeploy distill METHOD --teacher {report.cache} --data ...")
