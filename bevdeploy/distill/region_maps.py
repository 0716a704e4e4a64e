"""Region maps: which cells are foreground, false alarms of the teacher, or background, and how much each counts.

Re-implementation following the public code of DistillBEV, which DualDistill shares. One thing differs: a cell is
foreground when its centre lies inside a box, where the code tests its lower corner; `point="corner"` does as the code.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from bevdeploy.distill.planes import Plane

Point = Literal["centre", "corner"]


class RegionMaps(NamedTuple):
    """All [B, 1, Y, X] and without gradient. The three masks are disjoint and cover the plane."""

    foreground: Tensor
    """Bool: inside a true box."""
    false_positive: Tensor
    """Bool: not foreground, and the teacher sees something where there is nothing."""
    background: Tensor
    """Bool: all else."""
    scale: Tensor
    """1 / sqrt(cells of the box) in the foreground, 1 / cells of the background there, 0 elsewhere."""
    false_positive_scale: Tensor
    """1 / cells of false alarms there, 0 elsewhere: the code's "average" mode."""


@torch.no_grad()
def region_maps(
    boxes: Tensor, valid: Tensor, plane: Plane, alarms: Tensor | None = None, point: Point = "centre"
) -> RegionMaps:
    """Masks and scales of a batch.

    Args:
        boxes: [B, n, 9], columns of `tasks.BOX_FIELDS`.
        valid: [B, n]; False beyond a sample's boxes.
        plane: the cells.
        alarms: [B, 1, Y, X] bool, where the teacher sees what the annotations do not; None for no such region.
        point: what of a cell must lie inside a box.
    """
    largest = boxes.new_zeros(len(boxes), 1, *plane.size)  # [B, 1, Y, X]
    for sample, (own, there) in enumerate(zip(boxes, valid, strict=True)):
        if there.any():  # one sample at a time: n maps of a whole batch are many
            scales = box_scale(own[there], plane)[:, None, None] * footprints(own[there], plane, point)  # [n, Y, X]
            largest[sample, 0] = scales.amax(0)
    foreground = largest > 0
    alarm = torch.zeros_like(foreground) if alarms is None else alarms & ~foreground
    background = ~foreground & ~alarm
    scale = torch.maximum(largest, _shared(background))
    return RegionMaps(foreground, alarm, background, scale, _shared(alarm))


def footprints(boxes: Tensor, plane: Plane, point: Point = "centre") -> Tensor:
    """Cells inside each rotated box seen from above, bool [n, Y, X], from boxes [n, 9]."""
    shift = 0.0 if point == "centre" else -0.5
    x, y = (
        torch.as_tensor(plane.centres_m(axis) + shift * plane.cell_m[axis], dtype=boxes.dtype, device=boxes.device)
        for axis in (0, 1)
    )
    from_x = x - boxes[:, 0, None]  # [n, X]
    from_y = y - boxes[:, 1, None]  # [n, Y]
    sine, cosine = boxes[:, 6].sin()[:, None, None], boxes[:, 6].cos()[:, None, None]  # [n, 1, 1]
    along = cosine * from_x[:, None] + sine * from_y[..., None]  # [n, Y, X]
    across = cosine * from_y[..., None] - sine * from_x[:, None]  # [n, Y, X]
    half_width, half_length = boxes[:, 3, None, None] / 2, boxes[:, 4, None, None] / 2  # [n, 1, 1]
    return (along.abs() <= half_length) & (across.abs() <= half_width)


def box_scale(boxes: Tensor, plane: Plane) -> Tensor:
    """sqrt(cell area / (width * length)) [n]: a large box counts as the root of its cells, not as all of them."""
    area_m2 = (boxes[:, 3] * boxes[:, 4]).clamp(min=1e-4)  # [n]; 1 cm x 1 cm
    return (plane.cell_area_m2 / area_m2).sqrt()


def _shared(mask: Tensor) -> Tensor:
    """Mask [B, 1, Y, X] divided by each sample's number of cells in it."""
    return mask / mask.sum((1, 2, 3), keepdim=True).clamp(min=1)
