"""An earlier BEV map, seen from where the ego vehicle is now."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bevdeploy.geometry import BEVGrid


def warped_bev(bev: Tensor, previous_from_current: Tensor, grid: BEVGrid) -> Tensor:
    """Bilinear between cell centres, zero beyond the grid.

    Coordinates are float32 products and sums without a matrix product, which mixed precision would round.

    Args:
        bev: [B, C, Y, X] float32, in the earlier ego frame.
        previous_from_current: [B, 2, 3] float32, as `geometry.plane_motion`; metres.
        grid: of both.

    Returns:
        [B, C, Y, X] in the present ego frame.
    """
    x_m, y_m = (torch.tensor(grid.centres_m(axis), dtype=torch.float32, device=bev.device) for axis in (0, 1))
    x_m, y_m = x_m[None, None, :], y_m[None, :, None]  # [1, 1, X], [1, Y, 1]
    places = []
    for axis in (0, 1):
        along_x, along_y, shift_m = previous_from_current[:, axis, :, None, None].unbind(1)  # [B, 1, 1] each
        then_m = along_x * x_m + along_y * y_m + shift_m  # [B, Y, X]
        extent_m = grid.upper_m[axis] - grid.lower_m[axis]
        places.append((then_m - grid.lower_m[axis]) * (2 / extent_m) - 1)  # -1 and 1 are the grid's outer edges
    return F.grid_sample(bev, torch.stack(places, -1), "bilinear", "zeros", align_corners=False)
