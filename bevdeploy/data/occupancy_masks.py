"""Vehicle occupancy: which cells lie under a vehicle's footprint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

VEHICLES = ("car", "truck", "construction_vehicle", "bus", "trailer", "motorcycle", "bicycle")
"""Classes that occupy space, as UniAD has it."""


def footprint_mask(boxes: NDArray[np.float32], side: int, cell_m: float) -> NDArray[np.bool_]:
    """[side, side] cells of a square grid around the origin whose centres lie in a footprint; rows along y.

    Args:
        boxes: [n, 9], columns of `tasks.BOX_FIELDS`.
        side: cells along each side.
        cell_m: size of a cell.
    """
    mask = np.zeros((side, side), bool)
    centres = (np.arange(side) + 0.5) * cell_m - side * cell_m / 2  # [side]
    for x, y, _, width, length, _, yaw in np.asarray(boxes, np.float64)[:, :7]:
        cosine, sine = np.cos(yaw), np.sin(yaw)
        half_x = (abs(length * cosine) + abs(width * sine)) / 2
        half_y = (abs(length * sine) + abs(width * cosine)) / 2
        left, right = np.searchsorted(centres, [x - half_x, x + half_x])
        low, high = np.searchsorted(centres, [y - half_y, y + half_y])
        dx, dy = centres[None, left:right] - x, centres[low:high, None] - y
        along, across = dx * cosine + dy * sine, dy * cosine - dx * sine  # [rows, columns]
        mask[low:high, left:right] |= (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)
    return mask
