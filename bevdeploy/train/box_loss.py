"""L1 loss of box codes at true centres and the cells beside them (CenterPoint, Yin et al., 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

CODE_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.2, 0.2)
"""Offset, height, size, rotation, velocity; velocity at 0.2 as in CenterPoint's nuScenes configurations."""


def box_loss(box_codes: Tensor, cells: Tensor, codes: Tensor, weights: Tensor) -> Tensor:
    """Sum over groups of each group's weighted mean over its trained cells of the weighted sum over codes.

    Args:
        box_codes: [B, G, 10, Y, X].
        cells: [M] index into [B*G*Y*X].
        codes: [M, 10]; NaN where unknown, which trains nothing.
        weights: [M].

    Returns:
        A scalar.
    """
    batch, groups, channels, rows, columns = box_codes.shape
    plane = rows * columns
    map_index, cell = cells // plane, cells % plane  # [M] each
    predicted = box_codes.reshape(batch * groups, channels, plane)[map_index, :, cell]  # [M, 10]
    known = codes.isfinite()
    error = (predicted - torch.where(known, codes, predicted.detach())).abs()  # [M, 10]
    of_cell = (error * known * codes.new_tensor(CODE_WEIGHTS)).sum(1) * weights  # [M]
    group = map_index % groups
    summed = of_cell.new_zeros(groups).index_add(0, group, of_cell)  # [G]
    total = weights.new_zeros(groups).index_add(0, group, weights)  # [G]
    return (summed / total.clamp(min=1)).sum()
