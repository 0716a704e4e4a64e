"""Overlap of rotated boxes seen from above, and the suppression of boxes that overlap a better one."""

from __future__ import annotations

import torch
from torch import Tensor

TOLERANCE_M = 1e-6
"""Corners this close outside of an edge count as inside, so that equal boxes overlap wholly."""


def overlaps(boxes: Tensor) -> Tensor:
    """Intersection over union of all pairs of boxes [n, 9] of `tasks.BOX_FIELDS`; to float64 [n, n]."""
    boxes = boxes.double()
    areas = boxes[:, 3] * boxes[:, 4]  # [n]
    corners = box_corners(boxes)  # [n, 4, 2]
    reach = boxes[:, 3:5].norm(dim=1) / 2  # [n]
    gap = (boxes[:, None, :2] - boxes[:, :2]).norm(dim=-1)  # [n, n]
    first, second = (gap <= reach[:, None] + reach).triu(1).nonzero(as_tuple=True)  # [P] each
    shared = intersection(corners[first], corners[second])  # [P]
    union = (areas[first] + areas[second] - shared).clamp(min=1e-12)
    iou = torch.eye(len(boxes), dtype=boxes.dtype, device=boxes.device)
    iou[first, second] = iou[second, first] = shared / union
    return iou


def box_corners(boxes: Tensor) -> Tensor:
    """Boxes [n, 9] to corners [n, 4, 2], counter-clockwise."""
    half = boxes.new_tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * boxes[:, None, [4, 3]] / 2  # [n, 4, 2]
    sine, cosine = boxes[:, 6].sin(), boxes[:, 6].cos()
    turn = torch.stack([torch.stack([cosine, sine], -1), torch.stack([-sine, cosine], -1)], -2)  # [n, 2, 2]
    return half @ turn + boxes[:, None, :2]


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Common area [P] of pairs of convex quadrilaterals [P, 4, 2], counter-clockwise.

    Its corners are those of one inside the other and the crossings of their edges; sorted by angle, they enclose it.
    """
    crossings, crossed = _crossings(a, b)  # [P, 16, 2], [P, 16]
    points = torch.cat([a, b, crossings], 1)  # [P, 24, 2]
    used = torch.cat([_inside(a, b), _inside(b, a), crossed], 1)  # [P, 24]
    centre = (points * used[..., None]).sum(1, keepdim=True) / used.sum(1).clamp(min=1)[:, None, None]  # [P, 1, 2]
    around = (points - centre) * used[..., None]  # [P, 24, 2]
    angle = torch.atan2(around[..., 1], around[..., 0]).masked_fill(~used, torch.inf)  # [P, 24]
    order = angle.argsort(1)
    around = around.gather(1, order[..., None].expand(-1, -1, 2))
    used = used.gather(1, order)
    around = torch.where(used[..., None], around, around[:, :1])  # the rest repeats the first corner: no area
    following = around.roll(-1, 1)
    return (around[..., 0] * following[..., 1] - around[..., 1] * following[..., 0]).sum(1).clamp(min=0) / 2


def kept_boxes(boxes: Tensor, scores: Tensor, overlap: float, most: int) -> Tensor:
    """Indices of boxes [n, 9] that no better kept one overlaps by more than `overlap`, best first, at most `most`."""
    order = scores.argsort(descending=True, stable=True)
    hidden = (overlaps(boxes[order]) > overlap).tolist()  # one transfer, the loop below reads single entries
    kept: list[int] = []
    for candidate in range(len(order)):
        if len(kept) == most:
            break
        if not any(hidden[other][candidate] for other in kept):
            kept.append(candidate)
    return order[torch.tensor(kept, dtype=torch.long, device=order.device)]


def _inside(points: Tensor, polygon: Tensor) -> Tensor:
    """Which points [P, 4, 2] lie in the polygon [P, 4, 2] of their pair, bool [P, 4]."""
    edge = polygon.roll(-1, 1) - polygon  # [P, 4, 2]
    offset = points[:, :, None] - polygon[:, None]  # [P, 4 points, 4 edges, 2]
    side = edge[:, None, :, 0] * offset[..., 1] - edge[:, None, :, 1] * offset[..., 0]  # [P, 4, 4]
    slack: Tensor = TOLERANCE_M * edge.norm(dim=-1)[:, None]  # [P, 1, 4]
    return (side >= -slack).all(-1)


def _crossings(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Where edges of a cross edges of b: points [P, 16, 2], and which of them are any."""
    along_a = (a.roll(-1, 1) - a)[:, :, None]  # [P, 4, 1, 2]
    along_b = (b.roll(-1, 1) - b)[:, None]  # [P, 1, 4, 2]
    gap = b[:, None] - a[:, :, None]  # [P, 4, 4, 2]
    slope = _cross(along_a, along_b)  # [P, 4, 4]
    parallel = slope.abs() < 1e-9
    slope = torch.where(parallel, torch.ones_like(slope), slope)
    on_a, on_b = _cross(gap, along_b) / slope, _cross(gap, along_a) / slope  # [P, 4, 4] each
    crossed = ~parallel & (on_a >= 0) & (on_a <= 1) & (on_b >= 0) & (on_b <= 1)
    points = a[:, :, None] + on_a[..., None] * along_a  # [P, 4, 4, 2]
    return points.flatten(1, 2), crossed.flatten(1)


def _cross(u: Tensor, v: Tensor) -> Tensor:
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
