"""A teacher trained on the annotations of a split; its checkpoint, log, state and curves as a student's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lightning_fabric import Fabric
from torch import Tensor

from bevdeploy.errors import TrainingError
from bevdeploy.jobs.teacher_samples import TeacherSamples
from bevdeploy.jobs.training_curves import drawn_curves
from bevdeploy.models import load_backbone_weights
from bevdeploy.models.checkpoint_file import Argument
from bevdeploy.models.teachers import Teacher, build_teacher, save_teacher
from bevdeploy.train import Progress, RunFiles, StepRow, TrainConfig, fit
from bevdeploy.train.teacher_objective import TeacherObjective
from bevdeploy.train.training_state import state_path


@dataclass(frozen=True)
class TeacherTraining:
    """A training that has ended."""

    resumed_from: int
    """Steps that were done before; 0 for a training begun anew."""
    steps: int
    """Steps done in all."""
    seconds: float
    """Of the steps done now."""
    keyframes_per_s: float
    last: Mapping[str, float]
    """The last row of the log."""
    passed_over: tuple[str, ...]
    """One line for each damaged keyframe that another one stood in for."""
    log: Path
    curves: Path | None
    """None where Pillow is not installed."""


def train_teacher(
    fabric: Fabric,
    teacher: Teacher,
    arguments: Mapping[str, Argument],
    source: TeacherSamples,
    path: Path,
    config: TrainConfig,
    *,
    note: str,
    sweeps: int,
    seed: int = 0,
    workers: int = 0,
    resume: bool = False,
    backbone: Path | None = None,
    on_row: Callable[[StepRow], None] = lambda row: None,
) -> tuple[Teacher, TeacherTraining]:
    """Train a teacher; the one that is returned has the averaged weights, as its checkpoint, and is on the CPU.

    Args:
        fabric: launched.
        teacher: untrained; holds the last weights afterwards.
        arguments: of its builder.
        source: its keyframes.
        path: checkpoint to write; log, state and curves beside.
        config: the training.
        note: where the weights come from; the number of steps is added.
        sweeps: lidar files per keyframe, which the checkpoint remembers.
        seed: of the order of the data and their augmentation.
        workers: processes that load data.
        resume: go on from the training state beside the checkpoint.
        backbone: ImageNet weights for the image backbone.
        on_row: called after every logged step, on the first process.

    Raises:
        TrainingError: as `train.fit`, or the backbone's weights are for a teacher without cameras.
        CheckpointError: the backbone's weights cannot be used.
        OutputError: a file cannot be written.
    """
    if backbone is not None:
        if teacher.camera is None:
            raise TrainingError(f"{teacher.spec.name} sees no camera; leave out --backbone {backbone}")
        load_backbone_weights(teacher.camera, backbone)
    rows: list[StepRow] = []

    def keep(row: StepRow) -> None:
        rows.append(row)
        on_row(row)

    def save(step: int, weights: Mapping[str, Tensor]) -> Teacher:
        saved = build_teacher(teacher.spec.name, arguments)
        saved.load_state_dict(weights)
        if fabric.is_global_zero:
            save_teacher(path, saved, arguments, f"{note}, {step} steps", sweeps)
        return saved.eval()

    def on_save(step: int, weights: Mapping[str, Tensor]) -> None:
        save(step, weights)

    began_s = time.perf_counter()
    done = fit(
        fabric,
        teacher,
        TeacherObjective(config.weights),
        source,
        config,
        seed=seed,
        workers=workers,
        files=RunFiles(state_path(path), path.with_suffix(".log.csv"), path.with_suffix(".tensorboard")),
        resume=resume,
        identity=f"{teacher.spec.name} {dict(sorted(arguments.items()))} {sweeps} sweeps",
        progress=Progress(on_row=keep, on_save=on_save),
    )
    seconds = time.perf_counter() - began_s
    trained = save(config.steps, done.weights)  # a training resumed at its end has saved nothing
    trained_now = config.steps - done.first_step
    return trained, TeacherTraining(
        resumed_from=done.first_step,
        steps=config.steps,
        seconds=seconds,
        keyframes_per_s=trained_now * config.batch * fabric.world_size / seconds,
        last=rows[-1].columns() if rows else {},
        passed_over=done.passed_over,
        log=path.with_suffix(".log.csv"),
        curves=drawn_curves(path, f"{teacher.spec.name}, {note}") if fabric.is_global_zero else None,
    )
