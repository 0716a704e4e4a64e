"""Distiller: what every method is. It surrounds the student, never enters it.

A distiller owns what only training needs (adapters, an assistant) and sees of both networks nothing but their taps. The
teacher is no part of it: neither saved nor optimised with it, and run by whoever trains, in evaluation mode and without
gradients. A trainer adds the terms to its own:

    with StudentTaps(student) as tapping:
        outputs = student(inputs)
    terms = distiller(tapping.taps(outputs), teacher_taps, truth, progress)
    loss = distiller.task_weight(progress) * task_loss + sum(terms.values())

and optimises the parameters of both. The student that is saved is the plain student.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bevdeploy.distill.planes import Plane, Resample, check_covered, over_extent, plane_of
from bevdeploy.distill.taps import TapForm, Taps
from bevdeploy.errors import TrainingError


class DistillTruth(NamedTuple):
    """What distillers read of the annotations, in the BEV frame of the student's (augmented) inputs; n boxes each."""

    boxes: Tensor
    """[B, n, 9], columns of `tasks.BOX_FIELDS`."""
    labels: Tensor
    """[B, n] index into `tasks.classes`; -1 beyond a sample's boxes."""
    map_masks: Tensor
    """[B, map classes, Y, X], 0 or 1."""
    command: Tensor
    """[B] index into `tasks.plan_commands`."""


class Distiller(nn.Module, ABC):
    """A method of distillation, built for one student and one teacher.

    Raises:
        TrainingError: the teacher lacks what the method reads, or its grid or tasks do not fit the student's.
    """

    readings: dict[str, Tensor]
    """Detached scalars of the last call, to watch; no part of the loss."""

    def __init__(
        self, student: TapForm, teacher: TapForm, features: Iterable[str] = (), outputs: Iterable[str] = ()
    ) -> None:
        super().__init__()
        self.student_form = student
        self.teacher_form = _without_head(teacher)
        self.features, self.outputs = tuple(dict.fromkeys(features)), tuple(dict.fromkeys(outputs))
        self.readings = {}
        for who, form in (("student", student), ("teacher", teacher)):
            missing = [name for name in self.features if name not in form.features]
            missing += [name for name in self.outputs if name not in form.outputs]
            if missing:
                raise TrainingError(
                    f"{type(self).__name__} reads {', '.join(missing)} of the {who}, which taps "
                    f"{', '.join((*form.features, *sorted(form.outputs)))}; name others in the settings"
                )
        if self.features or self.outputs:
            check_covered(plane_of(student.grid), plane_of(teacher.grid))
            _check_tasks(student, teacher, self.outputs)

    @abstractmethod
    def terms(self, student: Taps, teacher: Taps, truth: DistillTruth, progress: float) -> dict[str, Tensor]:
        """Weighted loss terms by the names that logs show, float32 scalars. No name is that of a task's own loss.

        Args:
            student: with gradients.
            teacher: of the same samples under the same BEV augmentation.
            truth: annotations of the same samples.
            progress: share of the training that is done, 0 to 1.
        """

    def forward(self, student: Taps, teacher: Taps, truth: DistillTruth, progress: float) -> dict[str, Tensor]:
        """`terms`, with the teacher's tensors detached; wrappers of modules go through here."""
        for name in self.features:
            _check_shape("student", name, student.feature(name), self.student_form)
            _check_shape("teacher", name, teacher.feature(name), self.teacher_form)
        return self.terms(student, teacher.detached(), truth, progress)

    def task_weight(self, progress: float) -> float:
        """What the task losses are multiplied by at this moment; 1 but for methods that begin without them."""
        return 1.0

    def student_plane(self, name: str | None = None) -> Plane:
        """Cells of a student's feature, or of its grid."""
        return plane_of(self.student_form.grid, self.student_form.features[name][1:] if name else None)

    def teacher_plane(self, name: str | None = None) -> Plane:
        """Cells of a teacher's feature, or of its grid."""
        return plane_of(self.teacher_form.grid, self.teacher_form.features[name][1:] if name else None)

    def shared_plane(self, name: str) -> Plane:
        """Cells of a teacher's feature over the student's extent."""
        return over_extent(self.teacher_plane(name), self.student_plane())

    def teacher_on_student(self, name: str) -> Resample:
        """A teacher's feature on the cells of the student's feature of that name."""
        return Resample(self.teacher_plane(name), self.student_plane(name))


def total(terms: dict[str, Tensor]) -> Tensor:
    """The sum of all terms, a float32 scalar; 0 without any."""
    return torch.stack([term.float() for term in terms.values()]).sum() if terms else torch.zeros(())


def _without_head(form: TapForm) -> TapForm:
    """A form that holds no network."""
    return TapForm(form.features, form.outputs, form.grid, form.tasks)


def _check_shape(who: str, name: str, value: Tensor, form: TapForm) -> None:
    if tuple(value.shape[1:]) != tuple(form.features[name]):
        raise TrainingError(
            f"{who}'s {name}: expected [B, {', '.join(map(str, form.features[name]))}], got {list(value.shape)}; build "
            "the distiller with the form of this network"
        )


def _check_tasks(student: TapForm, teacher: TapForm, outputs: Iterable[str]) -> None:
    """Class orders, modes and steps must agree for outputs to be compared."""
    read = {
        "heatmap": ("detection_tasks",),
        "box_codes": ("detection_tasks",),
        "map_logits": ("map_classes",),
        "occupancy_logits": ("occupancy_steps_s",),
        "trajectory_offsets": ("motion_steps", "step_s"),
        "plans": ("plan_commands", "plan_steps", "step_s"),
    }
    for output in outputs:
        for field in read.get(output, ()):
            ours, theirs = getattr(student.tasks, field), getattr(teacher.tasks, field)
            if ours != theirs:
                raise TrainingError(
                    f"{output}: the student's {field} is {ours}, the teacher's {theirs}; translate the teacher's "
                    "outputs to the student's tasks where they are made"
                )
