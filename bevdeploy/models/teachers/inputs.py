"""TeacherInputs: what a teacher takes, which may see more than cameras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bevdeploy.batch import StudentInputs
from bevdeploy.errors import ContractError


class LidarPoints(NamedTuple):
    """Points of a batch, one after the other."""

    values: Tensor
    """[P, F]: x, y, z (m, BEV frame), intensity, age (s); virtual points add labels."""
    sample: Tensor
    """[P] int64, which sample of the batch each belongs to."""
    batch: int
    """B; a sample may have no point."""

    def to(self, device: torch.device | str) -> LidarPoints:
        """The same points on another device."""
        return LidarPoints(self.values.to(device), self.sample.to(device), self.batch)


class TeacherInputs(NamedTuple):
    """One batch of a teacher."""

    cameras: StudentInputs | None
    """Images, index tables and ego state; None for a teacher that sees lidar alone and does not plan."""
    lidar: LidarPoints


def lidar_points(samples: Sequence[NDArray[np.float32]]) -> LidarPoints:
    """Collate the points [P_b, F] of B samples.

    Raises:
        ContractError: there is no sample, or their numbers per point differ.
    """
    widths = {points.shape[1] for points in samples if points.ndim == 2}
    if len(widths) != 1 or any(points.ndim != 2 for points in samples):
        raise ContractError(
            f"lidar points must be [points, F] with one F for all samples, got {[points.shape for points in samples]}"
        )
    counts = torch.tensor([len(points) for points in samples])
    values = torch.from_numpy(np.concatenate(list(samples)).astype(np.float32))  # [P, F]
    return LidarPoints(values, torch.repeat_interleave(torch.arange(len(samples)), counts), len(samples))
