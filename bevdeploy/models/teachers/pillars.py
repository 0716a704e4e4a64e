"""Lidar points to pillar features: PointPillars' encoder (Lang et al., 2019) with every point kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bevdeploy.errors import ContractError
from bevdeploy.geometry import BEVGrid
from bevdeploy.models.teachers.inputs import LidarPoints

OFFSETS = 5
"""Numbers added to each point: offset from its pillar's mean point (3) and from its centre (2)."""


class PillarEncoder(nn.Module):
    """One linear layer per point, then the maximum over each pillar; pillars without points are zero."""

    lower_m: Tensor
    cell_m: Tensor

    def __init__(self, grid: BEVGrid, point_features: int, channels: int) -> None:
        super().__init__()
        self.columns, self.rows, _ = grid.count
        self.point_features = point_features
        self.channels = channels
        self.z_m = grid.lower_m[2], grid.upper_m[2]
        self.linear = nn.Linear(point_features + OFFSETS, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels)
        self.register_buffer("lower_m", torch.tensor(grid.lower_m[:2]), persistent=False)
        self.register_buffer("cell_m", torch.tensor(grid.cell_m[:2]), persistent=False)

    def forward(self, lidar: LidarPoints) -> Tensor:
        """Points [P, F] to [B, channels, Y, X] over the grid; float32, whatever the convolutions compute in.

        Raises:
            ContractError: points have another number of features.
        """
        if lidar.values.shape[1] != self.point_features:
            raise ContractError(
                f"the pillar encoder takes {self.point_features} numbers per point, got {lidar.values.shape[1]}"
            )
        with torch.autocast(lidar.values.device.type, enabled=False):  # metres do not fit eight bits of mantissa
            return self._pillars(lidar)

    def _pillars(self, lidar: LidarPoints) -> Tensor:
        points, pillar = self._kept(lidar)
        pillars = lidar.batch * self.rows * self.columns
        bev = points.new_zeros(pillars, self.channels)
        if len(points):
            with torch.autocast(points.device.type, enabled=False):  # bfloat16 has 0.1 m at 25 m
                features = F.relu(self.norm(self.linear(self._decorated(points, pillar, pillars))))  # [P, channels]
            index = pillar[:, None].expand_as(features)
            bev = bev.scatter_reduce(0, index, features, "amax", include_self=True)  # features are not negative
        return bev.reshape(lidar.batch, self.rows, self.columns, self.channels).permute(0, 3, 1, 2).contiguous()

    def _kept(self, lidar: LidarPoints) -> tuple[Tensor, Tensor]:
        """Points inside the grid, and the flat pillar [P] of each."""
        cell = ((lidar.values[:, :2] - self.lower_m) / self.cell_m).floor().long()  # [P, 2] x, y
        z = lidar.values[:, 2]
        inside = (cell >= 0).all(1) & (cell[:, 0] < self.columns) & (cell[:, 1] < self.rows)
        inside &= (z >= self.z_m[0]) & (z < self.z_m[1])
        cell, sample = cell[inside], lidar.sample[inside]
        return lidar.values[inside], (sample * self.rows + cell[:, 1]) * self.columns + cell[:, 0]

    def _decorated(self, points: Tensor, pillar: Tensor, pillars: int) -> Tensor:
        """[P, F + 5]."""
        count = points.new_zeros(pillars).index_add(0, pillar, torch.ones_like(points[:, 0]))
        total = points.new_zeros(pillars, 3).index_add(0, pillar, points[:, :3])
        mean = (total / count.clamp(min=1)[:, None])[pillar]  # [P, 3]
        cell = torch.stack([pillar % self.columns, pillar // self.columns % self.rows], 1)  # [P, 2]
        centre = self.lower_m + (cell + 0.5) * self.cell_m
        return torch.cat([points, points[:, :3] - mean, points[:, :2] - centre], 1)
