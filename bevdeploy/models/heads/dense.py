"""HD-map segmentation and occupancy: convolutions on the shared BEV features."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bevdeploy.geometry import BEVGrid
from bevdeploy.models.blocks import conv_bn_relu


class MapHead(nn.Module):
    """Independent logits per map class, so that classes may overlap.

    Where the map has its own grid, features are resampled onto it before the convolutions, as in BEVFusion's head.
    """

    along_x: Tensor
    along_y: Tensor

    def __init__(
        self, inputs: int, hidden: int, classes: int, grid: BEVGrid | None = None, onto: BEVGrid | None = None
    ) -> None:
        """`grid` of the features and `onto` of the map; without them, or where they agree, nothing is resampled."""
        super().__init__()
        self.layers = nn.Sequential(
            conv_bn_relu(inputs, hidden), conv_bn_relu(hidden, hidden), nn.Conv2d(hidden, classes, 1)
        )
        self.resamples = grid is not None and onto is not None and grid != onto
        if grid is not None and onto is not None and self.resamples:
            for axis, name in enumerate(("along_x", "along_y")):
                weights = resample_matrix(grid, axis, onto.upper_m[axis], onto.count[axis])
                self.register_buffer(name, torch.from_numpy(weights), persistent=False)

    def forward(self, bev: Tensor) -> Tensor:
        """[B, inputs, Y, X] to logits [B, classes, Y, X] on the map's grid."""
        if self.resamples:
            bev = self.along_y @ (bev @ self.along_x.T)  # [B, inputs, Y, X] of the map
        logits: Tensor = self.layers(bev)
        return logits


class OccupancyHead(nn.Module):
    """Logits of vehicle occupancy now and at future steps, on UniAD's grid of +-50 m in 0.5 m cells."""

    along_x: Tensor
    along_y: Tensor

    def __init__(self, inputs: int, hidden: int, steps: int, grid: BEVGrid, half_extent_m: float, side: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv_bn_relu(inputs, hidden), conv_bn_relu(hidden, hidden // 2), nn.Conv2d(hidden // 2, steps, 1)
        )
        for axis, name in enumerate(("along_x", "along_y")):
            weights = resample_matrix(grid, axis, half_extent_m, side)
            self.register_buffer(name, torch.from_numpy(weights), persistent=False)

    def forward(self, bev: Tensor) -> Tensor:
        """[B, inputs, Y, X] to logits [B, steps, side, side]."""
        logits = self.layers(bev).float()  # [B, steps, Y, X]
        resampled: Tensor = self.along_y @ (logits @ self.along_x.T)  # [B, steps, side, side]
        return resampled


def resample_matrix(grid: BEVGrid, axis: int, half_extent_m: float, side: int) -> NDArray[np.float32]:
    """Linear interpolation [side, count] from the grid's cell centres to `side` centres over +-half_extent_m."""
    targets_m = (np.arange(side) + 0.5) * (2 * half_extent_m / side) - half_extent_m
    position = (targets_m - grid.lower_m[axis]) / grid.cell_m[axis] - 0.5  # in cells, 0 at the first centre
    position = position.clip(0, grid.count[axis] - 1)
    lower = np.minimum(position.astype(int), max(grid.count[axis] - 2, 0))
    upper = np.minimum(lower + 1, grid.count[axis] - 1)
    weights = np.zeros((side, grid.count[axis]), np.float32)
    rows = np.arange(side)
    np.add.at(weights, (rows, lower), 1 - (position - lower))
    np.add.at(weights, (rows, upper), position - lower)
    return weights
