"""StudentInputs: what every student takes, in training, in ONNX and in the car."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from bevdeploy.ops import PoolRanks, PoolTableTensors
from bevdeploy.ops import pool_ranks as pool_ranks


class StudentInputs(NamedTuple):
    """One batch. Geometry is data: a student knows of the cameras what these tensors say."""

    images: Tensor
    """[B, N, 3, H, W], normalised."""
    pool: PoolRanks | PoolTableTensors
    """Plain ranks (training, any B) or the pool node's tables (deployment, B = 1)."""
    ego_state: Tensor | None = None
    """[B, 9], for students built with `ego_state=True`: velocity (3), acceleration (3), rotation rate (3), SI units."""
    camera_parameters: Tensor | None = None
    """[B, N, 27] float32, for camera-aware students: columns of `geometry.camera_parameters`."""
    previous_bev: Tensor | None = None
    """[B, C, Y, X] float32, for temporal students: the `bev_state` of an earlier moment, in its own ego frame. Zeros,
    or None, where there is none: the first frame of a drive."""
    previous_from_current: Tensor | None = None
    """[B, 2, 3] float32, with `previous_bev`: where a point of the BEV plane lay in the earlier ego frame, metres, as
    `geometry.plane_motion`."""
