"""Boxes drawn for a CenterHead: Gaussian heat maps, centre cells and box codes, as tensors on any device.

Gaussians and their radius are CornerNet's and CenterNet's, numbers (overlap 0.1, radius from 2 cells) CenterPoint's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bevdeploy.distill.planes import Plane
from bevdeploy.tasks import LOG_SIZE_RANGE, TaskSpec

OVERLAP = 0.1
MIN_RADIUS = 2


class CenterTargets(NamedTuple):
    """M boxes with their centre on the plane."""

    heatmap: Tensor
    """[B, classes, Y, X], the highest of weight * Gaussian."""
    centres: Tensor
    """[B, classes, Y, X], a box's weight at its centre cell, 0 elsewhere."""
    cells: Tensor
    """[M] index into flat box maps [B*G*Y*X]."""
    codes: Tensor
    """[M, 10]."""
    weights: Tensor
    """[M]."""
    groups: Tensor
    """[M] index of the class group."""


@torch.no_grad()
def center_targets(boxes: Tensor, labels: Tensor, weights: Tensor, plane: Plane, tasks: TaskSpec) -> CenterTargets:
    """Targets of a batch.

    Args:
        boxes: [B, n, 9], columns of `tasks.BOX_FIELDS`.
        labels: [B, n]; -1 for no box.
        weights: [B, n] height of each peak, 0..1.
        plane: cells of the heat map.
        tasks: class order and groups.
    """
    columns, rows = plane.count
    lower, cell_m = boxes.new_tensor(plane.lower_m), boxes.new_tensor(plane.cell_m)
    position = (boxes[..., :2] - lower) / cell_m  # [B, n, 2] in cells
    cell = position.floor()
    inside = ((cell >= 0) & (cell < boxes.new_tensor(plane.count))).all(-1) & (labels >= 0) & (weights > 0)  # [B, n]
    sample, box = inside.nonzero(as_tuple=True)  # [M] each
    boxes, label, weight = boxes[sample, box], labels[sample, box].long(), weights[sample, box]
    position, cell = position[sample, box], cell[sample, box]  # [M, 2] each
    column, row = cell.long().unbind(1)  # [M] each

    shape = (len(labels), len(tasks.classes), rows, columns)
    radius = gaussian_radius(boxes[:, 4] / cell_m[0], boxes[:, 3] / cell_m[1]).clamp(min=MIN_RADIUS)  # [M]
    reach = int(radius.max()) if len(radius) else 0
    step = torch.arange(-reach, reach + 1, device=boxes.device)  # [W]
    y, x = row[:, None, None] + step[:, None], column[:, None, None] + step  # [M, W, 1], [M, 1, W]
    sigma = ((2 * radius + 1) / 6)[:, None, None]
    peak = weight[:, None, None] * torch.exp(-(step[:, None] ** 2 + step**2) / (2 * sigma**2))  # [M, W, W]
    near = (step.abs()[:, None] <= radius[:, None, None]) & (step.abs() <= radius[:, None, None])  # [M, W, W]
    drawn = near & (y >= 0) & (y < rows) & (x >= 0) & (x < columns)  # [M, W, W]
    plane_index = (sample * shape[1] + label)[:, None, None]  # [M, 1, 1]
    index = (plane_index * rows + y) * columns + x  # [M, W, W]
    heatmap = boxes.new_zeros(shape).flatten().scatter_reduce_(0, index[drawn], peak[drawn], "amax")
    at_centre = ((sample * shape[1] + label) * rows + row) * columns + column  # [M]
    centres = boxes.new_zeros(shape).flatten().scatter_reduce_(0, at_centre, weight, "amax")

    group = torch.tensor(tasks.group_of_class, device=boxes.device)[label]  # [M]
    cells = ((sample * len(tasks.detection_tasks) + group) * rows + row) * columns + column  # [M]
    codes = codes_of_boxes(boxes, position - cell)
    return CenterTargets(heatmap.reshape(shape), centres.reshape(shape), cells, codes, weight, group)


def codes_of_boxes(boxes: Tensor, offsets: Tensor) -> Tensor:
    """Boxes [M, 9] and the offsets [M, 2] of their centres from the cell's lower corner; to box codes [M, 10]."""
    sizes = boxes[:, 3:6].clamp(min=1e-6).log().clamp(*LOG_SIZE_RANGE)  # [M, 3]
    yaw = boxes[:, 6:7]
    return torch.cat([offsets, boxes[:, 2:3], sizes, yaw.sin(), yaw.cos(), boxes[:, 7:9]], 1)


def boxes_of_codes(codes: Tensor, rows: Tensor, columns: Tensor, plane: Plane) -> Tensor:
    """Box codes [..., 10] at cells [...]; to boxes [..., 9] in metres and radians."""
    corner = torch.stack([columns, rows], -1).to(codes.dtype)  # [..., 2]
    centre = (corner + codes[..., :2]) * codes.new_tensor(plane.cell_m) + codes.new_tensor(plane.lower_m)
    yaw = torch.atan2(codes[..., 6:7], codes[..., 7:8])  # [..., 1]
    return torch.cat([centre, codes[..., 2:3], codes[..., 3:6].clamp(*LOG_SIZE_RANGE).exp(), yaw, codes[..., 8:]], -1)


def gaussian_radius(length: Tensor, width: Tensor, overlap: float = OVERLAP) -> Tensor:
    """Whole radius in cells of boxes [M] in cells, at which a shifted box still overlaps by `overlap`.

    The smallest of CornerNet's three cases, each root as its code takes it: (b + sqrt(b^2 - 4ac)) / 2, not / 2a.
    """
    total, area = length + width, length * width
    cases = (
        (1.0, total, area * (1 - overlap) / (1 + overlap)),
        (4.0, 2 * total, (1 - overlap) * area),
        (4 * overlap, -2 * overlap * total, (overlap - 1) * area),
    )
    roots = [(b + (b**2 - 4 * a * c).clamp(min=0).sqrt()) / 2 for a, b, c in cases]
    return torch.stack(roots).amin(0).floor()
