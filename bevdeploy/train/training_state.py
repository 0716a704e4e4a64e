"""The training state file `NAME.train.pt`: everything that a training needs to go on as if it had never stopped.

{"format": "bevdeploy.training/1", "step": steps done, "config": digest, "data": digest, "seed": int,
 "trained": state dict of student and objective, "optimiser": state dict, "average": state dict or None,
 "random": torch's generator state, "random_gpu": the device's or None, "scaler": of the loss, in float16, or None}
"""

from __future__ import annotations

import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bevdeploy.errors import TrainingError
from bevdeploy.paths import replacing

STATE_FORMAT = "bevdeploy.training/1"


@dataclass(frozen=True, eq=False)
class TrainingState:
    """A training between two steps."""

    step: int
    """Steps done."""
    config: str
    """`TrainConfig.digest`."""
    data: str
    """`loading.data_digest`."""
    student: str
    """Name and arguments of the builder."""
    seed: int
    processes: int
    """The order of the data depends on how many train together."""
    trained: dict[str, Tensor]
    optimiser: dict[str, Any]
    average: dict[str, Tensor] | None
    random: Tensor
    random_gpu: Tensor | None
    scaler: dict[str, Any] | None


def state_path(checkpoint: Path) -> Path:
    """`out/s.pth` goes on from `out/s.train.pt`."""
    return checkpoint.with_suffix(".train.pt")


def save_state(path: Path, state: TrainingState) -> None:
    """Write a training state, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as part:
        try:
            torch.save({"format": STATE_FORMAT, **vars(state)}, part)
        except RuntimeError as error:  # torch's zip writer reports a full disk as a RuntimeError
            raise OSError("torch could not write all of it, is the disk full?") from error


def load_state(path: Path) -> TrainingState:
    """Read a training state; nothing in the file is executed.

    Raises:
        TrainingError: the file is missing, damaged or of another kind.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the errors below say it
            document = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: no such file, there is nothing to go on from; leave out --resume") from error
    except pickle.UnpicklingError as error:
        raise TrainingError(f"{path}: refused: reading it would need more than numbers and names") from error
    except Exception as error:  # torch's readers raise many types on damaged files
        raise TrainingError(f"{path}: cannot be read as a training state ({type(error).__name__}); {_ANEW}") from error
    if not isinstance(document, dict) or document.pop("format", None) != STATE_FORMAT:
        raise TrainingError(f"{path}: not a training state of this version; {_ANEW}")
    names = set(TrainingState.__dataclass_fields__)
    if set(document) != names:
        raise TrainingError(f"{path}: damaged training state: holds {sorted(document)}; {_ANEW}")
    return TrainingState(**document)


def check_continues(path: Path, state: TrainingState, **expected: str | int) -> None:
    """Refuse to go on with another training than the one that was begun.

    Raises:
        TrainingError: what differs.
    """
    differing = [
        f"{name} {getattr(state, name)} (now {value})"
        for name, value in expected.items()
        if getattr(state, name) != value
    ]
    if differing:
        raise TrainingError(
            f"{path}: was begun with {', '.join(differing)}; give the same command and files, or {_ANEW}"
        )


_ANEW = "start anew without --resume"
