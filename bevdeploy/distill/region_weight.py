"""Region weights of TinyBEV: cells near what the teacher sees, and near its plan, count more.

Inspired by the abstract of TinyBEV (arXiv 2509.18372), which names adaptive region-aware supervision; the formula is
ours:

    W = (1 + 4 O + 1 M + 2 E) (1 + b r), divided by its mean

O: highest of score * Gaussian over the teacher's boxes; M: highest map probability; E: exp(-d^2 / (2 * 4 m^2)) at d
metres from the teacher's plan; r: how far the student's features still are from the teacher's, at most 1; b rises over
the training.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bevdeploy.distill.planes import Plane

OBJECTS, MAP, PLAN = 4.0, 1.0, 2.0
PLAN_VARIANCE_M2 = 4.0


def normalised(weight: Tensor) -> Tensor:
    """Weight [B, 1, Y, X] with mean 1 over each sample's cells."""
    return weight / weight.mean((2, 3), keepdim=True).clamp(min=1e-6)


@torch.no_grad()
def teacher_regions(
    plane: Plane, objects: Tensor | None, maps: Tensor | None, paths_m: Tensor | None
) -> Tensor | float:
    """The first factor of the weight, [B, 1, Y, X], or 1 without any region.

    Args:
        plane: the cells.
        objects: [B, classes, Y, X] heat map of score * Gaussian.
        maps: [B, map classes, Y, X] probabilities.
        paths_m: [B, paths, steps, 2] plans.
    """
    weight: Tensor | float = 1.0
    if objects is not None:
        weight = weight + OBJECTS * objects.amax(1, keepdim=True)
    if maps is not None:
        weight = weight + MAP * maps.amax(1, keepdim=True)
    if paths_m is not None:
        squared = path_distance_m(plane, paths_m) ** 2  # [B, 1, Y, X]
        weight = weight + PLAN * torch.exp(-squared / (2 * PLAN_VARIANCE_M2))
    return weight


@torch.no_grad()
def disagreement(student: Tensor, teacher: Tensor) -> Tensor:
    """Distance of features [B, C, Y, X] per cell over its mean, at most 1; to [B, 1, Y, X]."""
    gap: Tensor = (student.float() - teacher.float()).norm(dim=1, keepdim=True)  # [B, 1, Y, X]
    return (gap / gap.mean((2, 3), keepdim=True).clamp(min=1e-6)).clamp(max=1)


def path_distance_m(plane: Plane, paths_m: Tensor) -> Tensor:
    """Distance [B, 1, Y, X] of cell centres to the nearest path [B, paths, steps, 2]; paths start at the origin."""
    x, y = (torch.as_tensor(plane.centres_m(axis), dtype=paths_m.dtype, device=paths_m.device) for axis in (0, 1))
    cells = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)  # [Y, X, 2]
    starts = torch.cat([torch.zeros_like(paths_m[:, :, :1]), paths_m[:, :, :-1]], 2).flatten(1, 2)  # [B, S, 2]
    steps = paths_m.flatten(1, 2) - starts  # [B, S, 2]
    nearest = paths_m.new_full((len(paths_m), *plane.size), torch.inf)
    for start, step in zip(starts.unbind(1), steps.unbind(1), strict=True):  # [B, 2] each
        offset = cells - start[:, None, None]  # [B, Y, X, 2]
        length2 = (step**2).sum(-1).clamp(min=1e-6)[:, None, None]  # [B, 1, 1]
        share = ((offset * step[:, None, None]).sum(-1) / length2).clamp(0, 1)  # [B, Y, X]
        gap = (offset - share[..., None] * step[:, None, None]).norm(dim=-1)  # [B, Y, X]
        nearest = torch.minimum(nearest, gap)
    return nearest[:, None]  # [B, 1, Y, X]
