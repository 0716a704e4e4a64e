"""The student's plans against the teacher's plans and occupancy. Inspired by TinyBEV's abstract, the form is ours."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bevdeploy.distill.planes import Plane
from bevdeploy.tasks import TaskSpec

EGO_LENGTH_M, EGO_WIDTH_M = 4.084, 1.85
"""The vehicle of nuScenes, as in UniAD's collision check."""
EGO_CENTRE_M = 0.985
"""The vehicle's centre ahead of the ego origin, which nuScenes puts on the rear axle."""
STILL_M = 0.1
"""A step shorter than this keeps the heading of the ego frame."""


def plan_error(plans: Tensor, taught: Tensor) -> Tensor:
    """Mean absolute error of plans [B, commands, steps, 2] in metres, a float32 scalar."""
    return (plans.float() - taught.float()).abs().mean()


def occupied_share(plans: Tensor, occupancy: Tensor, plane: Plane, tasks: TaskSpec) -> Tensor:
    """Occupancy under the planned vehicle, mean over nine points of it and the steps that both know; a float32 scalar.

    Args:
        plans: [B, commands, steps, 2], metres; gradients move them out of occupied cells.
        occupancy: [B, occupancy steps, Y, X] probabilities.
        plane: their cells.
        tasks: step times.
    """
    plans = plans.float()
    times_s = [tasks.step_s * (step + 1) for step in range(plans.shape[2])]
    known = {round(time_s, 3): index for index, time_s in enumerate(tasks.occupancy_steps_s)}
    pairs = [(step, known[round(time_s, 3)]) for step, time_s in enumerate(times_s) if round(time_s, 3) in known]
    if not pairs:
        return plans.sum() * 0
    points_m = ego_points_m(plans)  # [B, commands, steps, 9, 2]
    lower, upper = plans.new_tensor(plane.lower_m), plans.new_tensor(plane.upper_m)
    place = 2 * (points_m - lower) / (upper - lower) - 1  # [B, commands, steps, 9, 2] in -1..1
    under = [
        F.grid_sample(occupancy[:, known_step, None].float(), place[:, :, step], align_corners=False)
        for step, known_step in pairs
    ]  # [B, 1, commands, 9] each
    return torch.stack(under).mean()


def ego_points_m(plans: Tensor) -> Tensor:
    """Nine points of the vehicle's footprint at each step of [B, commands, steps, 2]; to [B, commands, steps, 9, 2]."""
    before = torch.cat([torch.zeros_like(plans[:, :, :1]), plans[:, :, :-1]], 2)
    step = (plans - before).detach()  # [B, commands, steps, 2]
    length = step.norm(dim=-1, keepdim=True)
    ahead = torch.where(length > STILL_M, step / length.clamp(min=1e-6), step.new_tensor([1.0, 0.0]))
    left = torch.stack([-ahead[..., 1], ahead[..., 0]], -1)  # [B, commands, steps, 2]
    along, across = torch.meshgrid(
        plans.new_tensor([-0.5, 0.0, 0.5]) * EGO_LENGTH_M + EGO_CENTRE_M,
        plans.new_tensor([-0.5, 0.0, 0.5]) * EGO_WIDTH_M,
        indexing="ij",
    )
    offsets = along.flatten()[:, None] * ahead[..., None, :] + across.flatten()[:, None] * left[..., None, :]
    return plans[..., None, :] + offsets
