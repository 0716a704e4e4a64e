"""Checkpoints: weights plus the builder's name and arguments; nothing in the file is executed when it is read.

{"format": "bevdeploy.checkpoint/1", "student": name, "arguments": {...}, "weights": state dict, "note": text}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from bevdeploy.errors import CheckpointError
from bevdeploy.models.builders import STUDENTS
from bevdeploy.models.checkpoint_file import STUDENT, built, load_weights, parts, read_checkpoint, write_checkpoint
from bevdeploy.models.checkpoint_file import Argument as Argument
from bevdeploy.models.own_builder import own_student
from bevdeploy.models.student import Student

CHECKPOINT_FORMAT = STUDENT.format


def build_student(name: str, arguments: Mapping[str, Argument]) -> Student:
    """A student by its builder's name and arguments, with fresh weights.

    Raises:
        CheckpointError: the name or an argument is unknown, or a value does not fit.
    """
    return built(STUDENT, STUDENTS, name, arguments)


def save_checkpoint(path: Path, student: Student, arguments: Mapping[str, Argument], note: str = "") -> None:
    """Write a student's checkpoint, whole or not at all; `note` says where the weights come from.

    Raises:
        OutputError: the file cannot be written.
    """
    write_checkpoint(path, STUDENT, student.spec.name, student, arguments, note)


def load_checkpoint(path: Path, builder: str | None = None) -> Student:
    """The student of a checkpoint, in evaluation mode, on the CPU.

    With the `package.module:function` of a builder, that one is called in place of the named one, and the file may also
    be a bare state dict. Importing it runs its code.

    Raises:
        CheckpointError: the file is missing, damaged, needs more than weights to be read, or does not fit its builder;
            or the builder cannot be used.
    """
    document = read_checkpoint(path)
    if builder is not None and document and all(isinstance(value, torch.Tensor) for value in document.values()):
        document = {"format": CHECKPOINT_FORMAT, "student": builder, "arguments": {}, "weights": document}
    name, arguments, weights = parts(path, document, STUDENT)
    try:
        student = build_student(name, arguments) if builder is None else own_student(builder, arguments)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    load_weights(path, student.spec.name, student, weights)
    return student.eval()


def checkpoint_note(path: Path) -> str:
    """Where the weights of a checkpoint, of a student or a teacher, come from, as its writer put it.

    Raises:
        CheckpointError: as `load_checkpoint`.
    """
    return str(read_checkpoint(path).get("note", ""))
