"""`bevdeploy distill`: train a student on an indexed data set; a checkpoint, a log and a picture of the curves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from bevdeploy.data.index import SampleIndex, open_index
from bevdeploy.data.samples import Samples
from bevdeploy.errors import DataSetError, TrainingError
from bevdeploy.jobs.taught_objective import taught_by
from bevdeploy.jobs.training_curves import drawn_curves
from bevdeploy.models import Student, build_student, load_backbone_weights, load_checkpoint, save_checkpoint
from bevdeploy.models.checkpoint import Argument
from bevdeploy.models.untrained import untrained_student
from bevdeploy.paths import check_writable
from bevdeploy.train import Progress, RunFiles, StepRow, TrainConfig, fabric_of, fit
from bevdeploy.train.training_state import state_path


@dataclass(frozen=True)
class TrainReport:
    """What was trained and written."""

    checkpoint: Path
    student: str
    method: str
    teacher: str
    """Its name and where it comes from; empty without one."""
    parameters: int
    """Of the student; the distiller's are not among them."""
    split: str
    keyframes: int
    """Of the split, without those that lack files."""
    skipped: int
    """Keyframes of the split that lack files."""
    resumed_from: int
    """Steps that were done before; 0 for a training begun anew."""
    steps: int
    """Steps done in all."""
    seconds: float
    """Of the steps done now."""
    keyframes_per_s: float
    device: str
    processes: int
    last: Mapping[str, float] = field(default_factory=dict)
    """The last row of the log."""
    passed_over: tuple[str, ...] = ()
    """One line for each damaged keyframe that another one stood in for."""
    log: Path | None = None
    curves: Path | None = None
    """None where Pillow is not installed."""


def train_student(
    method: str,
    data: Path,
    name: str,
    path: Path,
    config: TrainConfig,
    arguments: Mapping[str, Argument] | None = None,
    *,
    teacher: Path | None = None,
    version: str | None = None,
    split: str | None = None,
    seed: int = 0,
    workers: int = 0,
    device: str = "auto",
    resume: bool = False,
    start: Path | None = None,
    backbone: Path | None = None,
    on_row: Callable[[StepRow], None] = lambda row: None,
) -> TrainReport:
    """Train a student and write its checkpoint, which `export` takes; under torchrun the first process writes.

    Beside `out/s.pth` lie `s.train.pt` (the training state), `s.log.csv`, `s.curves.png` and, where TensorBoard is
    installed, the folder `s.tensorboard`.

    Args:
        method: of `distill.DISTILLERS`; `none` is supervised training.
        data: nuScenes root with an index, or an index folder.
        name: of the student's builder.
        path: checkpoint to write.
        config: the training.
        arguments: of the student's builder.
        teacher: folder of a teacher's cache, or a teacher's checkpoint, for every method but `none`.
        version: of the data set, where the root has several.
        split: or scene; None takes `train`, or `mini_train` of a mini set.
        seed: of the first weights, the order of the data and their augmentation.
        workers: processes that load data.
        device: auto, cpu or cuda.
        resume: go on from the training state beside the checkpoint.
        start: checkpoint whose weights are the first ones; fresh ones without.
        backbone: ImageNet weights for the image backbone.
        on_row: called after every logged step, on the first process.

    Raises:
        TrainingError: an unknown method, a teacher that is missing or does not fit, or as `train.fit`.
        CheckpointError: the student, an option or a file of weights cannot be used.
        DataSetError: the data cannot be used.
        OutputError: a file cannot be written.
    """
    check_writable(path)
    taught = taught_by(method, teacher, config)
    arguments = arguments or {}
    student = _begun_student(name, arguments, seed, start, backbone)
    objective = taught.objective(student, config)
    index = open_index(data, version)
    split = split or default_train_split(index)
    source = Samples(
        index,
        student.spec.tasks,
        student.spec.geometry,
        split=split,
        lidar_sweeps=max(taught.sweeps, 1 if config.weights.depth or taught.teacher else 0),
        augmentation=config.augmentation,
        seed=seed,
        previous=student.spec.temporal,
    )
    taught.check_covers(source.tokens)
    files = RunFiles(state_path(path), path.with_suffix(".log.csv"), path.with_suffix(".tensorboard"))
    fabric = fabric_of(config, device)
    rows: list[StepRow] = []
    by = f" by {taught.name}" if taught.name else ""
    note = f"{method}{by} on {index.version} {split}, {len(source)} keyframes, seed {seed}"

    def keep(row: StepRow) -> None:
        rows.append(row)
        on_row(row)

    def save(step: int, weights: Mapping[str, Tensor]) -> None:
        saved = build_student(name, arguments)
        saved.load_state_dict(weights)
        save_checkpoint(path, saved, arguments, f"{note}, {step} steps")

    began_s = time.perf_counter()
    settings = f" {dict(config.distill.get(method, {}))}{by}" if by else ""
    identity = f"{method} {name} {dict(sorted(arguments.items()))}{settings}"
    progress = Progress(on_row=keep, on_save=save)
    done = fit(
        fabric,
        student,
        objective,
        source,
        config,
        seed=seed,
        workers=workers,
        files=files,
        recall=taught.cache,
        resume=resume,
        identity=identity,
        progress=progress,
    )
    seconds = time.perf_counter() - began_s
    trained_now = config.steps - done.first_step
    return TrainReport(
        checkpoint=path,
        student=name,
        method=method,
        teacher=taught.name,
        parameters=sum(parameter.numel() for parameter in student.parameters()),
        split=split or "all",
        keyframes=len(source),
        skipped=source.skipped,
        resumed_from=done.first_step,
        steps=config.steps,
        seconds=seconds,
        keyframes_per_s=trained_now * config.batch * fabric.world_size / seconds,
        device=str(fabric.device) if fabric.device.type == "cpu" else torch.cuda.get_device_name(fabric.device),
        processes=fabric.world_size,
        passed_over=done.passed_over,
        last=rows[-1].columns() if rows else {},
        log=files.log,
        curves=drawn_curves(path, note) if fabric.is_global_zero else None,
    )


def default_train_split(index: SampleIndex) -> str | None:
    """`mini_train` of a mini set, `train` of any other; None, all scenes, where they are of no split.

    Raises:
        DataSetError: the scenes are of other splits.
    """
    for name in ("mini_train", "train"):  # scenes of a mini set are in both
        if name in index.splits:
            return name
    if index.splits:
        raise DataSetError(
            f"{index.root}: no scene of {index.version} is in train; name one of {', '.join(index.splits)} with --split"
        )
    return None


def _begun_student(
    name: str, arguments: Mapping[str, Argument], seed: int, start: Path | None, backbone: Path | None
) -> Student:
    student = untrained_student(name, arguments, seed)
    if start is not None:
        begun = load_checkpoint(start)
        if begun.spec != student.spec:
            raise TrainingError(
                f"{start}: holds {begun.spec.name} of other sizes than {name} with {dict(arguments)}; give the options "
                "it was made with (--option)"
            )
        student.load_state_dict(begun.state_dict())
    if backbone is not None:
        load_backbone_weights(student, backbone)
    return student
