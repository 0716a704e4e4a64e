"""PartialSet: one moment of a stream of frames, in which a camera may have failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FaultKind = Literal["no frame", "damaged", "wrong size", "ended"]


@dataclass(frozen=True)
class Fault:
    """Why a camera has no frame in a set."""

    kind: FaultKind
    detail: str
    """What happened, with file and values, on one line."""


@dataclass(frozen=True, eq=False)
class PartialSet:
    """What the cameras delivered for one moment."""

    token: str
    """File stem, or number of the frame."""
    timestamp_us: int | None
    """Time in microseconds; None where the source has no clock."""
    frames: tuple[NDArray[np.uint8] | Fault, ...]
    """RGB images [Hraw, Wraw, 3] of the sizes of the rig, or faults; one per camera in rig order."""
