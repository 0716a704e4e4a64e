"""Checkpoints: weights plus the builder's name and arguments; nothing in the file is executed when it is read.

{"format": "bevdeploy.checkpoint/1", "student": name, "arguments": {...}, "weights": state dict, "note": text}
"""

from __future__ import annotations

import inspect
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bevdeploy.errors import BevDeployError, CheckpointError
from bevdeploy.models.builders import STUDENTS
from bevdeploy.models.own_builder import own_student
from bevdeploy.models.student import Student
from bevdeploy.paths import replacing

CHECKPOINT_FORMAT = "bevdeploy.checkpoint/1"
Argument = bool | int | float | str


def build_student(name: str, arguments: Mapping[str, Argument]) -> Student:
    """A student by its builder's name and arguments, with fresh weights.

    Raises:
        CheckpointError: the name or an argument is unknown, or a value does not fit.
    """
    if name not in STUDENTS:
        raise CheckpointError(
            f"unknown student {name!r}; known are {', '.join(STUDENTS)}; a module of your own is exported with "
            "bevdeploy export CHECKPOINT --builder package.module:function"
        )
    parameters = inspect.signature(STUDENTS[name]).parameters
    for key, value in arguments.items():
        if key not in parameters:
            raise CheckpointError(f"{name} takes no option {key!r}; it takes {', '.join(parameters)}")
        default = parameters[key].default
        if type(value) is not type(default) and not (isinstance(default, float) and type(value) is int):
            raise CheckpointError(f"{name}: {key} must be {type(default).__name__}, got {value!r}")
    try:
        return STUDENTS[name](**arguments)
    except (BevDeployError, ValueError, OverflowError) as error:  # the latter two: numbers beyond float arithmetic
        raise CheckpointError(f"{name} with {dict(arguments)}: {error}") from error


def save_checkpoint(path: Path, student: Student, arguments: Mapping[str, Argument], note: str = "") -> None:
    """Write a student's checkpoint, whole or not at all; `note` says where the weights come from.

    Raises:
        OutputError: the file cannot be written.
    """
    document = {
        "format": CHECKPOINT_FORMAT,
        "student": student.spec.name,
        "arguments": dict(arguments),
        "weights": student.state_dict(),
        "note": note,
    }
    with replacing(path) as part:
        try:
            torch.save(document, part)
        except RuntimeError as error:  # torch's zip writer reports a full disk as a RuntimeError
            raise OSError("torch could not write all of it, is the disk full?") from error


def load_checkpoint(path: Path, builder: str | None = None) -> Student:
    """The student of a checkpoint, in evaluation mode, on the CPU.

    With the `package.module:function` of a builder, that one is called in place of the named one, and the file may also
    be a bare state dict. Importing it runs its code.

    Raises:
        CheckpointError: the file is missing, damaged, needs more than weights to be read, or does not fit its builder;
            or the builder cannot be used.
    """
    document = _read(path)
    if builder is not None and document and all(isinstance(value, torch.Tensor) for value in document.values()):
        document = {"format": CHECKPOINT_FORMAT, "student": builder, "arguments": {}, "weights": document}
    name, arguments, weights = document.get("student"), document.get("arguments"), document.get("weights")
    if document.get("format") != CHECKPOINT_FORMAT:
        raise CheckpointError(
            f'{path}: not a bevdeploy checkpoint ("format" is {document.get("format")!r}, not {CHECKPOINT_FORMAT!r}); '
            "start from one: bevdeploy init STUDENT -o FILE"
        )
    if not isinstance(name, str) or not isinstance(arguments, dict) or not isinstance(weights, dict):
        raise CheckpointError(f"{path}: damaged checkpoint: student, arguments or weights are missing")
    try:
        student = build_student(name, arguments) if builder is None else own_student(builder, arguments)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    _load_weights(path, student, weights)
    return student.eval()


def checkpoint_note(path: Path) -> str:
    """Where the weights of a checkpoint come from, as its writer put it.

    Raises:
        CheckpointError: as `load_checkpoint`.
    """
    return str(_read(path).get("note", ""))


def _read(path: Path) -> dict[str, Any]:
    try:
        _check_sums(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the errors below say it
            document = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file; write one: bevdeploy init tinybev_r18 -o {path}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({error.strerror or error})") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused: reading it would need more than weights (code, or a damaged file); a checkpoint holds "
            "tensors, names and numbers only. Save the state dict into one made by: bevdeploy init STUDENT -o FILE"
        ) from error
    except MemoryError as error:
        raise CheckpointError(f"{path}: damaged checkpoint: it asks for more memory than there is") from error
    except Exception as error:  # torch's readers raise many types on damaged files
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint ({type(error).__name__}); it is none, or it is damaged "
            "or truncated: copy it again"
        ) from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: not a bevdeploy checkpoint: it holds a {type(document).__name__}")
    return document


def _check_sums(path: Path) -> None:
    """The checksums that torch writes and never looks at: a flipped bit would be another weight."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for record in archive.infolist():
                if record.compress_type != zipfile.ZIP_STORED:  # torch stores; a megabyte may unpack to all memory
                    raise CheckpointError(f"{path}: damaged checkpoint: {record.filename!r} is compressed")
            damaged = archive.testzip()
        if damaged is not None:
            raise CheckpointError(f"{path}: damaged checkpoint: wrong checksum of {damaged!r}; copy the file again")


def _load_weights(path: Path, student: Student, weights: Mapping[str, Any]) -> None:
    want = student.state_dict()
    missing, unknown = sorted(set(want) - set(weights)), sorted(map(str, set(weights) - set(want)))
    if missing or unknown:
        raise CheckpointError(
            f"{path}: weights do not fit {student.spec.name}: {len(missing)} missing{_some(missing)}, "
            f"{len(unknown)} unknown{_some(unknown)}"
        )
    numbers: dict[str, torch.Tensor] = {}
    for key, value in weights.items():
        if not isinstance(value, torch.Tensor) or value.shape != want[key].shape:
            got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise CheckpointError(f"{path}: {key}: expected {tuple(want[key].shape)}, got {got}")
        if not _is_plain(value):
            raise CheckpointError(
                f"{path}: {key}: expected plain numbers, got {value.dtype} {value.layout} {value.device}"
            )
        numbers[key] = value.detach().to(want[key].dtype)  # beyond float32, a float64 becomes infinity
        if not bool(torch.isfinite(numbers[key]).all()):
            raise CheckpointError(f"{path}: {key} holds NaN or infinity")
    student.load_state_dict(numbers)


def _is_plain(value: torch.Tensor) -> bool:
    """Not sparse, quantised, complex or without data, as some tensors are that torch reads as weights."""
    stored = value.device.type == "cpu" and value.layout == torch.strided
    return stored and not value.is_quantized and not value.is_complex()


def _some(names: list[str]) -> str:
    return f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names else ""
