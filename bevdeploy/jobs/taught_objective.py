"""What a METHOD minimises: the annotations alone, or a distiller around a teacher that runs or was cached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bevdeploy.declaration import nearest
from bevdeploy.distill.methods import DISTILLERS, build_distiller
from bevdeploy.distill.taps import student_form
from bevdeploy.errors import TrainingError
from bevdeploy.models import Student
from bevdeploy.models.teachers.builders import LIDAR_FEATURES
from bevdeploy.models.teachers.checkpoint import saved_teacher
from bevdeploy.train import Objective, TaskObjective, TrainConfig
from bevdeploy.train.distill_objective import DistillObjective
from bevdeploy.train.taught import CachedTeacher, LiveTeacher, TeacherSource, check_augmentation
from bevdeploy.train.teacher_cache import TeacherCache

ALONE = "none"
"""The method that has no teacher."""


@dataclass(frozen=True, eq=False)
class TaughtBy:
    """A method and its teacher, ready for students."""

    method: str
    teacher: TeacherSource | None
    cache: TeacherCache | None
    name: str
    """Of the teacher and where it comes from; empty without one."""
    sweeps: int = 0
    """Lidar sweeps that the batches must bring along for the teacher."""

    def objective(self, student: Student, config: TrainConfig) -> Objective:
        """What is minimised for a student.

        Raises:
            TrainingError: the teacher does not fit the student or the method.
        """
        if self.teacher is None:
            return TaskObjective(config.weights)
        table = config.distill.get(self.method, {})
        distiller = build_distiller(self.method, student_form(student), self.teacher.form, table)
        return DistillObjective(distiller, self.teacher, config.weights)

    def check_covers(self, tokens: tuple[str, ...]) -> None:
        """Refuse a cache that lacks keyframes of the training.

        Raises:
            DataSetError: it does.
        """
        if self.cache is not None:
            self.cache.check_holds(tokens)


def taught_by(method: str, teacher: Path | None, config: TrainConfig) -> TaughtBy:
    """Open what a method needs.

    Args:
        method: of `DISTILLERS`.
        teacher: a cache's folder, or a teacher's checkpoint.
        config: whose augmentation a cache must allow.

    Raises:
        TrainingError: an unknown method, a teacher too many or too few, or an augmentation that a cache has not seen.
        CheckpointError: the teacher's checkpoint cannot be used.
        DataSetError: the cache cannot be used.
    """
    if method not in DISTILLERS:
        raise TrainingError(
            f"unknown method {method!r}{nearest(method, tuple(DISTILLERS))}; there are {', '.join(DISTILLERS)}"
        )
    if method == ALONE:
        if teacher is not None:
            raise TrainingError(
                f"method {ALONE} has no teacher, but --teacher {teacher} was given; name another method"
            )
        return TaughtBy(method, None, None, "")
    if teacher is None:
        raise TrainingError(
            f"method {method} needs a teacher: --teacher CACHE or --teacher CHECKPOINT; bevdeploy teach TEACHER DATA "
            "-o CACHE makes one"
        )
    if teacher.is_dir():
        cache = TeacherCache(teacher)
        check_augmentation(config, teacher)
        return TaughtBy(method, CachedTeacher(cache), cache, f"{cache.header.teacher}, cache {cache.header.data}")
    saved = saved_teacher(teacher)
    if saved.teacher.pillars.point_features != LIDAR_FEATURES:
        raise TrainingError(
            f"{teacher}: {saved.teacher.spec.name} sees virtual points, which a training does not load; write its "
            "cache (bevdeploy teach --virtual-points) and give that as --teacher"
        )
    name = f"{saved.teacher.spec.name}, {saved.note}"
    return TaughtBy(method, LiveTeacher(saved.teacher), None, name, saved.sweeps)
