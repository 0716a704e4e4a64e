"""StudentInputs: what every student takes, in training, in ONNX and in the car."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from bevdeploy.ops import PoolRanks, PoolTableTensors
from bevdeploy.ops import pool_ranks as pool_ranks


class StudentInputs(NamedTuple):
    """One batch. Geometry is data: the student never sees a camera matrix."""

    images: Tensor
    """[B, N, 3, H, W], normalised."""
    pool: PoolRanks | PoolTableTensors
    """Plain ranks (training, any B) or the pool node's tables (deployment, B = 1)."""
    ego_state: Tensor | None = None
    """[B, 9], for students built with `ego_state=True`: velocity (3), acceleration (3), rotation rate (3), SI units."""
