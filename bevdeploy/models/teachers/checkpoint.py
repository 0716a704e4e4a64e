"""Checkpoints of teachers: as a student's, but of a format of their own, so that neither is taken for the other.

{"format": "bevdeploy.teacher_checkpoint/1", "teacher": name, "arguments": {...}, "weights": state dict, "note": text,
 "sweeps": lidar files per sample that it was trained with}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bevdeploy.errors import CheckpointError
from bevdeploy.models.checkpoint_file import (
    TEACHER,
    Argument,
    built,
    load_weights,
    parts,
    read_checkpoint,
    write_checkpoint,
)
from bevdeploy.models.teachers.builders import TEACHERS
from bevdeploy.models.teachers.teacher import Teacher

SWEEPS = 10
"""Lidar files per sample, the keyframe's own among them: half a second, nuScenes' usual number."""
MOST_SWEEPS = 11
"""That an index holds of a keyframe."""


@dataclass(frozen=True, eq=False)
class SavedTeacher:
    """What a teacher's checkpoint holds."""

    teacher: Teacher
    """In evaluation mode, on the CPU."""
    arguments: Mapping[str, Argument]
    """Of its builder."""
    note: str
    """Where the weights come from."""
    sweeps: int
    """Lidar files per sample that it was trained with."""


def build_teacher(name: str, arguments: Mapping[str, Argument]) -> Teacher:
    """A teacher by its builder's name and arguments, with fresh weights.

    Raises:
        CheckpointError: the name or an argument is unknown, or a value does not fit.
    """
    return built(TEACHER, TEACHERS, name, arguments)


def save_teacher(
    path: Path, teacher: Teacher, arguments: Mapping[str, Argument], note: str = "", sweeps: int = SWEEPS
) -> None:
    """Write a teacher's checkpoint, whole or not at all.

    Args:
        path: of the file.
        teacher: whose weights are written.
        arguments: of its builder.
        note: where the weights come from.
        sweeps: lidar files per sample that it was trained with.

    Raises:
        OutputError: the file cannot be written.
    """
    write_checkpoint(path, TEACHER, teacher.spec.name, teacher, arguments, note, sweeps=sweeps)


def load_teacher(path: Path) -> Teacher:
    """The teacher of a checkpoint, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: the file is missing, damaged, a student's, needs more than weights to be read, or does not fit
            its builder.
    """
    return saved_teacher(path).teacher


def saved_teacher(path: Path) -> SavedTeacher:
    """All of a teacher's checkpoint.

    Raises:
        CheckpointError: as `load_teacher`.
    """
    document = read_checkpoint(path)
    name, arguments, weights = parts(path, document, TEACHER)
    try:
        teacher = build_teacher(name, arguments)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    load_weights(path, name, teacher, weights)
    sweeps = document.get("sweeps", SWEEPS)
    if not isinstance(sweeps, int) or not 1 <= sweeps <= MOST_SWEEPS:
        raise CheckpointError(f"{path}: damaged checkpoint: sweeps must be from 1 to {MOST_SWEEPS}, got {sweeps!r}")
    return SavedTeacher(teacher.eval(), arguments, str(document.get("note", "")), sweeps)
