"""PoolRanks: the indices of a batch as tensors, in both orders that forward and backward need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bevdeploy.errors import GeometryError
from bevdeploy.geometry.frustum import ViewGeometry
from bevdeploy.geometry.ranks import BEVPoolIndices, Int32


class PoolRanks(NamedTuple):
    """Kept points of a batch of B samples, int32, sorted by BEV cell; and the same points sorted by feature pixel."""

    ranks_depth: Tensor
    """[P] index into the flat depth distribution [B*N*D*Hf*Wf]."""
    ranks_feat: Tensor
    """[P] row of the flat context features [B*N*Hf*Wf, C]."""
    ranks_bev: Tensor
    """[P] cell of the flat grid [B*Z*Y*X], non-decreasing."""
    cell_offsets: Tensor
    """[B*Z*Y*X + 1] first point of every cell, empty ones included."""
    pixel_ranks_depth: Tensor
    """[P] `ranks_depth`, points sorted by feature pixel."""
    pixel_ranks_bev: Tensor
    """[P] `ranks_bev`, points sorted by feature pixel."""
    pixel_offsets: Tensor
    """[B*N*Hf*Wf + 1] first point of every feature pixel in that order."""
    grid: tuple[int, int, int, int]
    """B, Z, Y, X."""

    def to(self, device: torch.device | str) -> PoolRanks:
        """The same ranks on another device."""
        return self._replace(**{name: getattr(self, name).to(device) for name in self._fields if name != "grid"})

    def tensors(self) -> tuple[Tensor, ...]:
        """The seven index tensors, in the operator's order."""
        return self[:7]


def pool_ranks(batch: Sequence[BEVPoolIndices], geometry: ViewGeometry, cameras: int) -> PoolRanks:
    """Collate the indices of B samples; each sample's are shifted behind those of the sample before it.

    Raises:
        GeometryError: the batch is empty or too large for 32-bit indices.
    """
    if not batch:
        raise GeometryError("pool_ranks: the batch has no sample")
    depth_size = geometry.depth_size(cameras)
    pixels = cameras * geometry.feature_hw[0] * geometry.feature_hw[1]
    z, y, x = geometry.pool_grid.shape_zyx
    if len(batch) * depth_size >= 2**31:
        raise GeometryError(f"{len(batch)} samples of {depth_size} frustum points do not fit 32-bit indices")
    ranks_depth = _shifted([sample.ranks_depth for sample in batch], depth_size)
    ranks_feat = _shifted([sample.ranks_feat for sample in batch], pixels)
    ranks_bev = _shifted([sample.ranks_bev for sample in batch], z * y * x)
    by_pixel = np.argsort(ranks_feat, kind="stable")
    return PoolRanks(
        ranks_depth=torch.from_numpy(ranks_depth),
        ranks_feat=torch.from_numpy(ranks_feat),
        ranks_bev=torch.from_numpy(ranks_bev),
        cell_offsets=_offsets(ranks_bev, len(batch) * z * y * x),
        pixel_ranks_depth=torch.from_numpy(ranks_depth[by_pixel]),
        pixel_ranks_bev=torch.from_numpy(ranks_bev[by_pixel]),
        pixel_offsets=_offsets(ranks_feat[by_pixel], len(batch) * pixels),
        grid=(len(batch), z, y, x),
    )


def _shifted(samples: list[Int32], step: int) -> Int32:
    shifted: Int32 = np.concatenate([ranks + np.int32(k * step) for k, ranks in enumerate(samples)])
    return shifted


def _offsets(sorted_ranks: Int32, size: int) -> Tensor:
    """First position of every value 0..size in a sorted array: [size + 1]."""
    counts = np.bincount(sorted_ranks, minlength=size)
    return torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
