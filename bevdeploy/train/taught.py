"""What a teacher says of a batch: from a network that runs beside the student, or from its cache."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch

from bevdeploy.distill.taps import TapForm, Taps
from bevdeploy.distill.teacher_taps import TeacherTaps, teacher_form
from bevdeploy.errors import TrainingError
from bevdeploy.models.teachers.checkpoint import load_teacher
from bevdeploy.models.teachers.teacher import Teacher
from bevdeploy.train.batch import TrainBatch
from bevdeploy.train.config import TrainConfig
from bevdeploy.train.teacher_cache import FEATURE, OUTPUT, TeacherCache
from bevdeploy.train.teacher_inputs import teacher_inputs

CHECKPOINT = "teacher.pth"
"""Beside the chunks of a cache, where its teacher is one of this house."""


class TeacherSource(Protocol):
    """A teacher, whoever runs it."""

    @property
    def form(self) -> TapForm:
        """What it taps."""
        ...

    def taps(self, batch: TrainBatch) -> Taps:
        """Of the batch's samples, without gradients, on the batch's device."""
        ...


class LiveTeacher:
    """A network in evaluation mode. It sees the augmented samples that the student sees."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        self.form = teacher_form(teacher)

    def taps(self, batch: TrainBatch) -> Taps:
        """One forward.

        Raises:
            TrainingError: the batch lacks lidar points, or its cameras are not those the teacher was built for.
        """
        return taps_of(self.teacher, batch)


def taps_of(teacher: Teacher, batch: TrainBatch) -> Taps:
    """One forward of a teacher in evaluation mode, on the batch's device, without gradients.

    Raises:
        TrainingError: the batch lacks lidar points, or its cameras are not those the teacher was built for.
    """
    teacher.to(batch.images.device)
    with torch.no_grad(), TeacherTaps(teacher) as tapping:
        return tapping.taps(teacher(teacher_inputs(batch, teacher)))


class CachedTeacher:
    """A teacher's cache, which the batches bring along (`TrainBatch.taught`)."""

    def __init__(self, cache: TeacherCache) -> None:
        """Read the form off the header; the detection head off the checkpoint beside it, where there is one.

        Raises:
            TrainingError: a feature's shape is not [C, Y, X].
            CheckpointError: the checkpoint beside the cache cannot be read.
        """
        self.cache, header = cache, cache.header
        features: dict[str, tuple[int, int, int]] = {}
        for name, (_, shape) in header.tensors.items():
            if name.startswith(FEATURE):
                if len(shape) != 3:
                    raise TrainingError(f"{cache.folder}: {name} is {list(shape)} per keyframe, features are [C, Y, X]")
                features[name.removeprefix(FEATURE)] = (shape[0], shape[1], shape[2])
        outputs = frozenset(name.removeprefix(OUTPUT) for name in header.tensors if name.startswith(OUTPUT))
        checkpoint = cache.folder / CHECKPOINT
        head = load_teacher(checkpoint).detection if checkpoint.is_file() else None
        self._head = None if head is None else head.eval().requires_grad_(False)
        self.form = TapForm(features, outputs, header.grid, header.tasks, head)

    def taps(self, batch: TrainBatch) -> Taps:
        """What the batch brought.

        Raises:
            TrainingError: the batch was loaded without the cache.
        """
        if batch.taught is None:
            raise TrainingError(f"the batch was loaded without {self.cache.folder}; hand the cache to fit(recall=...)")
        if self._head is not None:
            self._head.to(batch.images.device)
        taught = batch.taught
        return Taps(
            {name: taught[FEATURE + name].float() for name in self.form.features},
            {
                name: value.float() if value.is_floating_point() else value.long()
                for name in sorted(self.form.outputs)
                for value in (taught[OUTPUT + name],)
            },
        )


def check_augmentation(config: TrainConfig, cache: Path) -> None:
    """Refuse a BEV augmentation that a cached teacher has not seen.

    Raises:
        TrainingError: the training turns, flips, scales or moves the BEV frame.
    """
    chosen = config.augmentation
    if chosen is None:
        return
    found = {
        "bev_rotation_deg": chosen.bev_rotation_deg > 0,
        "bev_flip_x": chosen.bev_flip_x,
        "bev_flip_y": chosen.bev_flip_y,
        "bev_scale": chosen.bev_scale != (1.0, 1.0),
        "bev_translation_m": chosen.bev_translation_m > 0,
    }
    if any(found.values()):
        raise TrainingError(
            f"{cache} was written without augmentation, so its BEV maps do not fit a BEV frame that the training "
            f"augments ({', '.join(name for name, on in found.items() if on)}); switch these off in [augmentation], "
            "keeping those of images, or give the teacher's checkpoint as --teacher, which runs it on every batch"
        )
