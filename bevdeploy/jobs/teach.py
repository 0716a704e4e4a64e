"""`bevdeploy teach`: train a teacher, or take a trained one, and write what it says about a split to its cache."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lightning_fabric import Fabric

from bevdeploy import __version__
from bevdeploy.data.index import open_index
from bevdeploy.errors import CheckpointError, OutputError, TrainingError
from bevdeploy.jobs.teacher_samples import TeacherSamples, VirtualPoints, teacher_samples
from bevdeploy.jobs.train_student import default_train_split
from bevdeploy.jobs.train_teacher import TeacherTraining, train_teacher
from bevdeploy.models.checkpoint_file import Argument
from bevdeploy.models.teachers import TEACHERS, save_teacher
from bevdeploy.models.teachers.builders import LIDAR_FEATURES
from bevdeploy.models.teachers.checkpoint import SWEEPS, SavedTeacher, saved_teacher
from bevdeploy.models.teachers.untrained import untrained_teacher
from bevdeploy.paths import check_writable
from bevdeploy.train import StepRow, TrainConfig, fabric_of
from bevdeploy.train.taught import CHECKPOINT
from bevdeploy.train.teacher_cache import HEADER, CacheHeader, TeacherCacheWriter, chunk_path
from bevdeploy.train.teacher_caching import CacheContent, cache_header, fill_cache, keyframe_bytes, weights_digest


@dataclass(frozen=True)
class TeachOptions:
    """What is taught, by whom, and how much of it is kept."""

    teacher: str
    """A builder's name, which is trained first, or the file of a trained teacher."""
    data: Path
    """nuScenes root with an index, or an index folder."""
    cache: Path
    """Folder to write."""
    config: TrainConfig
    """Of the training."""
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    """Of the builder."""
    content: CacheContent = field(default_factory=CacheContent)
    version: str | None = None
    split: str | None = None
    """Or scene; None takes `train`, or `mini_train` of a mini set."""
    sweeps: int | None = None
    """Lidar files per keyframe; None takes those of the checkpoint, or 10."""
    virtual_points: VirtualPoints | None = None
    """As `Samples.virtual_points`, for a teacher that was built for them."""
    backbone: Path | None = None
    """ImageNet weights for the image backbone."""
    train_only: bool = False
    """Write no cache."""
    resume: bool = False
    """Go on from the training state; a cache is always gone on with."""
    seed: int = 0
    workers: int = 0
    """Processes that load data."""
    device: str = "auto"
    """auto, cpu or cuda."""


@dataclass(frozen=True)
class CachePlan:
    """What is about to be written."""

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    """Name to NumPy dtype and the shape of one keyframe."""
    keyframes: int
    written: int
    """Keyframes that are in the cache already."""
    keyframe_bytes: int

    @property
    def size(self) -> str:
        """Of the whole cache, in words."""
        return _in_words(self.keyframes * self.keyframe_bytes)


@dataclass(frozen=True)
class Told:
    """Who hears about it, on the first process."""

    on_row: Callable[[StepRow], None] = lambda row: None
    """After every logged step of the training."""
    on_plan: Callable[[CachePlan], None] = lambda plan: None
    """Before the first keyframe is written."""
    on_keyframes: Callable[[int], None] = lambda written: None
    """With the keyframes of each chunk that is whole."""


@dataclass(frozen=True)
class TeachReport:
    """What was trained and written."""

    cache: Path
    checkpoint: Path
    teacher: str
    note: str
    """Where its weights come from."""
    parameters: int
    split: str
    keyframes: int
    """Of the split, without those that lack files."""
    skipped: int
    """Keyframes of the split that lack an image or the lidar file."""
    sweeps: int
    device: str
    processes: int
    training: TeacherTraining | None
    """None for a teacher that was trained already."""
    plan: CachePlan | None
    """None with `train_only`."""
    seconds: float
    """Of writing the cache."""
    keyframes_per_s: float
    """Of writing the cache, on this process."""


def teach(options: TeachOptions, told: Told = Told()) -> TeachReport:
    """Train a teacher where it is not trained yet, and fill its cache; under torchrun all processes take part.

    The cache's folder also holds `teacher.pth`, and of a training `teacher.train.pt` (the training state),
    `teacher.log.csv`, `teacher.curves.png` and, where TensorBoard is installed, the folder `teacher.tensorboard`.

    Raises:
        TrainingError: options that do not go together, or as `train.fit`.
        CheckpointError: the teacher, an option or a file of weights cannot be used.
        DataSetError: the data cannot be used, a file is damaged, or the folder holds another cache.
        OutputError: a file cannot be written, or the disk has too little room.
    """
    path = options.cache / CHECKPOINT
    check_writable(path)
    saved = _saved(options)
    sweeps = options.sweeps or (SWEEPS if saved is None else saved.sweeps)
    arguments = options.arguments if saved is None else saved.arguments
    teacher = untrained_teacher(options.teacher, arguments, options.seed) if saved is None else saved.teacher
    virtual = teacher.pillars.point_features != LIDAR_FEATURES
    if virtual != (options.virtual_points is not None):
        raise TrainingError(
            f"{teacher.spec.name} was built {'for' if virtual else 'without'} virtual points; "
            + ("say where they come from: --virtual-points" if virtual else "leave out --virtual-points")
        )
    index = open_index(options.data, options.version)
    split = options.split or default_train_split(index)
    config, virtual_points = options.config, options.virtual_points
    source = teacher_samples(index, teacher, split, sweeps, virtual_points, config.augmentation, options.seed)
    fabric = fabric_of(config, options.device)
    training = None
    if saved is None:
        note = (
            f"on {index.version} {split or 'all'}, {len(source.tokens)} keyframes, {sweeps} sweeps, seed {options.seed}"
        )
        trained, training = train_teacher(
            fabric,
            teacher,
            arguments,
            source,
            path,
            config,
            note=note,
            sweeps=sweeps,
            seed=options.seed,
            workers=options.workers,
            resume=options.resume,
            backbone=options.backbone,
            on_row=told.on_row,
        )
        saved = SavedTeacher(trained, arguments, f"{note}, {config.steps} steps", sweeps)
    began_s, plan, written = time.perf_counter(), None, 0
    if not options.train_only:
        where = {"data": f"{index.version} {split or 'all'}", "sweeps": str(sweeps)}
        if virtual_points is not None:
            where["virtual_points"] = str(virtual_points)
        plan, written = _filled(options, fabric, saved, source, where, told)
    seconds = time.perf_counter() - began_s
    return TeachReport(
        cache=options.cache,
        checkpoint=path,
        teacher=teacher.spec.name,
        note=saved.note,
        parameters=sum(parameter.numel() for parameter in teacher.parameters()),
        split=split or "all",
        keyframes=len(source.tokens),
        skipped=source.skipped,
        sweeps=sweeps,
        device=fabric.device.type,
        processes=fabric.world_size,
        training=training,
        plan=plan,
        seconds=seconds,
        keyframes_per_s=written / seconds,
    )


def _saved(options: TeachOptions) -> SavedTeacher | None:
    """The trained teacher; None for one that is to be trained.

    Raises:
        TrainingError: options that make no sense together.
        CheckpointError: the file cannot be used.
    """
    if options.teacher in TEACHERS:
        if (options.cache / HEADER).exists() and not options.resume:
            raise TrainingError(
                f"{options.cache}: holds a cache, which a teacher trained anew would not fit; go on with --resume, "
                f"name another folder, or write what is missing of it: bevdeploy teach {options.cache / CHECKPOINT} ..."
            )
        return None
    path = Path(options.teacher)
    if not path.is_file():
        raise CheckpointError(
            f"{options.teacher}: neither a teacher's name nor a checkpoint; known are {', '.join(TEACHERS)}"
        )
    given = {"--train-only": options.train_only, "--option": bool(options.arguments), "--backbone": options.backbone}
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise TrainingError(
            f"{path} is trained already: {', '.join(wrong)} makes no sense with a checkpoint; leave it out, or name a "
            f"teacher to train: {', '.join(TEACHERS)}"
        )
    return saved_teacher(path)


def _filled(
    options: TeachOptions,
    fabric: Fabric,
    saved: SavedTeacher,
    source: TeacherSamples,
    where: Mapping[str, str],
    told: Told,
) -> tuple[CachePlan, int]:
    """Write what is missing of the cache; its plan, and the keyframes that this process wrote."""
    teacher, content = saved.teacher, options.content
    note = {
        "code": f"bevdeploy {__version__}",
        "checkpoint": saved.note,
        "weights": weights_digest(teacher),
        "arguments": json.dumps(dict(sorted(saved.arguments.items()))),
        **where,
    }
    header = cache_header(teacher, source, content, note, fabric.device)
    writer = TeacherCacheWriter(options.cache, header, source.tokens)
    missing = sum(len(tokens) for _, tokens in writer.missing())
    plan = CachePlan(header.tensors, len(source.tokens), len(source.tokens) - missing, keyframe_bytes(header))
    if fabric.is_global_zero:
        path = options.cache / CHECKPOINT
        if not (path.is_file() and (options.teacher in TEACHERS or path.samefile(options.teacher))):
            save_teacher(path, teacher, saved.arguments, saved.note, saved.sweeps)
        _check_room(options.cache, header, missing)
        told.on_plan(plan)
    written = fill_cache(
        writer,
        teacher,
        source,
        content,
        fabric.device,
        workers=options.workers,
        rank=fabric.global_rank,
        processes=fabric.world_size,
        on_keyframes=told.on_keyframes if fabric.is_global_zero else lambda written: None,
    )
    fabric.barrier()
    return plan, written


def _check_room(folder: Path, header: CacheHeader, missing: int) -> None:
    needed, free = missing * keyframe_bytes(header), shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{chunk_path(folder, 0).parent}: {missing} keyframes need {_in_words(needed)}, the disk has "
            f"{_in_words(free)} left; write fewer features (--features bev_neck), float16, or elsewhere"
        )


def _in_words(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
