"""The file of a checkpoint, of a student or a teacher: weights, a builder's name and arguments; nothing is executed.

{"format": ..., "student" or "teacher": name, "arguments": {...}, "weights": state dict, "note": text}
"""

from __future__ import annotations

import inspect
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from bevdeploy.errors import BevDeployError, CheckpointError
from bevdeploy.paths import replacing

Argument = bool | int | float | str
Model = TypeVar("Model")


@dataclass(frozen=True)
class CheckpointKind:
    """What tells the files of students and of teachers apart."""

    word: str
    """Key of the builder's name."""
    format: str
    begin: str
    """How to come by such a file, as the end of a message."""


STUDENT = CheckpointKind("student", "bevdeploy.checkpoint/1", "start from one: bevdeploy init STUDENT -o FILE")
TEACHER = CheckpointKind(
    "teacher", "bevdeploy.teacher_checkpoint/1", "train one: bevdeploy teach TEACHER DATA -o CACHE"
)


def built(
    kind: CheckpointKind, builders: Mapping[str, Callable[..., Model]], name: str, arguments: Mapping[str, Argument]
) -> Model:
    """What a named builder returns.

    Raises:
        CheckpointError: the name or an argument is unknown, or a value does not fit.
    """
    if name not in builders:
        own = (
            "; a module of your own is exported with bevdeploy export CHECKPOINT --builder package.module:function"
            if kind is STUDENT
            else ""
        )
        raise CheckpointError(f"unknown {kind.word} {name!r}; known are {', '.join(builders)}{own}")
    parameters = inspect.signature(builders[name]).parameters
    for key, value in arguments.items():
        if key not in parameters:
            raise CheckpointError(f"{name} takes no option {key!r}; it takes {', '.join(parameters)}")
        default = parameters[key].default
        if type(value) is not type(default) and not (isinstance(default, float) and type(value) is int):
            raise CheckpointError(f"{name}: {key} must be {type(default).__name__}, got {value!r}")
    try:
        return builders[name](**arguments)
    except (BevDeployError, ValueError, OverflowError) as error:  # the latter two: numbers beyond float arithmetic
        raise CheckpointError(f"{name} with {dict(arguments)}: {error}") from error


def write_checkpoint(
    path: Path,
    kind: CheckpointKind,
    name: str,
    model: nn.Module,
    arguments: Mapping[str, Argument],
    note: str,
    **more: Argument,
) -> None:
    """Write a checkpoint, whole or not at all; `more` are entries of this kind of file alone.

    Raises:
        OutputError: the file cannot be written.
    """
    document = {
        "format": kind.format,
        kind.word: name,
        "arguments": dict(arguments),
        "weights": model.state_dict(),
        "note": note,
        **more,
    }
    with replacing(path) as part:
        try:
            torch.save(document, part)
        except RuntimeError as error:  # torch's zip writer reports a full disk as a RuntimeError
            raise OSError("torch could not write all of it, is the disk full?") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The document of a file of any kind; nothing in it is executed.

    Raises:
        CheckpointError: the file is missing, damaged, or needs more than weights to be read.
    """
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


def parts(path: Path, document: Mapping[str, Any], kind: CheckpointKind) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Builder's name, arguments and weights of a document.

    Raises:
        CheckpointError: it is of another kind, or damaged.
    """
    other = TEACHER if kind is STUDENT else STUDENT
    if document.get("format") == other.format:
        raise CheckpointError(
            f"{path}: a {other.word}'s checkpoint ({document.get(other.word)}), where a {kind.word}'s is needed; "
            f"{kind.begin}"
        )
    if document.get("format") != kind.format:
        what = "checkpoint" if kind is STUDENT else "teacher's checkpoint"
        raise CheckpointError(
            f'{path}: not a bevdeploy {what} ("format" is {document.get("format")!r}, not {kind.format!r}); '
            f"{kind.begin}"
        )
    name, arguments, weights = document.get(kind.word), document.get("arguments"), document.get("weights")
    if not isinstance(name, str) or not isinstance(arguments, dict) or not isinstance(weights, dict):
        raise CheckpointError(f"{path}: damaged checkpoint: {kind.word}, arguments or weights are missing")
    return name, arguments, weights


def load_weights(path: Path, name: str, model: nn.Module, weights: Mapping[str, Any]) -> None:
    """Copy a file's weights into a model that was built for them.

    Raises:
        CheckpointError: names or shapes are others, or a value is not finite.
    """
    want = model.state_dict()
    missing, unknown = sorted(set(want) - set(weights)), sorted(map(str, set(weights) - set(want)))
    if missing or unknown:
        raise CheckpointError(
            f"{path}: weights do not fit {name}: {len(missing)} missing{_some(missing)}, "
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
    model.load_state_dict(numbers)


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


def _is_plain(value: torch.Tensor) -> bool:
    """Not sparse, quantised, complex or without data, as some tensors are that torch reads as weights."""
    stored = value.device.type == "cpu" and value.layout == torch.strided
    return stored and not value.is_quantized and not value.is_complex()


def _some(names: list[str]) -> str:
    return f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names else ""
