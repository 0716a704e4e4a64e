"""Loss of the ego plan: distance to the driven path, and overlap with what stands or drives in the way.

After UniAD's planning head (Hu et al., 2023): boxes are enlarged by three margins, overlaps weighted 2.5, 1.0 and 0.25.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bevdeploy.train.batch import TargetTensors

EGO_LENGTH_M, EGO_WIDTH_M = 4.084, 1.85
EGO_CENTRE_M = 0.985
"""The vehicle's centre ahead of the ego origin, which nuScenes puts on the rear axle."""
MARGINS_M = (0.0, 0.5, 1.0)
MARGIN_WEIGHTS = (2.5, 1.0, 0.25)


def planning_loss(plans: Tensor, targets: TargetTensors) -> Tensor:
    """Mean distance, metres, between the plan of the driven command and the driven path, over known steps.

    Args:
        plans: [B, commands, steps, 2], metres.
        targets: plan, its validity and the command.

    Returns:
        A scalar; 0 without a known step.
    """
    plan = commanded(plans, targets.command)  # [B, steps, 2]
    squared = ((plan - targets.plan_m) ** 2).sum(-1)  # [B, steps]
    distance_m = (squared + 1e-6).sqrt()  # [B, steps]: 1 mm keeps the gradient finite at 0
    return (distance_m * targets.plan_valid).sum() / targets.plan_valid.sum().clamp(min=1)


def collision_loss(plans: Tensor, targets: TargetTensors) -> Tensor:
    """Overlap of the commanded plan with the true boxes at the same steps, m2, averaged over samples and steps.

    Boxes keep the heading they have now and move with their future; overlap is that of the axis-parallel hulls, whose
    gradient pushes the plan out along x and y. The ego vehicle's heading is that of the ego frame, as its plan has
    no other.

    Args:
        plans: [B, commands, steps, 2], metres.
        targets: boxes, futures and the command.

    Returns:
        A scalar.
    """
    plan = commanded(plans, targets.command)  # [B, steps, 2]
    steps = min(plan.shape[1], targets.futures_m.shape[2])
    ego = plan[:, :steps] + plan.new_tensor([EGO_CENTRE_M, 0.0])  # [B, steps, 2]
    boxes = targets.boxes
    sine, cosine = boxes[..., 6].sin().abs(), boxes[..., 6].cos().abs()  # [B, n] each
    width, length = boxes[..., 3], boxes[..., 4]
    half = torch.stack([cosine * length + sine * width, sine * length + cosine * width], -1) / 2  # [B, n, 2]
    centre = boxes[:, None, :, :2] + targets.futures_m[:, :, :steps].transpose(1, 2)  # [B, steps, n, 2]
    there = targets.futures_valid[:, :, :steps].transpose(1, 2)  # [B, steps, n]
    reach = half[:, None] + plan.new_tensor([EGO_LENGTH_M, EGO_WIDTH_M]) / 2  # [B, 1, n, 2]
    gap = (ego[:, :, None] - centre).abs()  # [B, steps, n, 2]
    total = plan.new_zeros(())
    for margin_m, weight in zip(MARGINS_M, MARGIN_WEIGHTS, strict=True):
        overlap = (reach + margin_m - gap).clamp(min=0).prod(-1)  # [B, steps, n]
        total = total + weight * (overlap * there).sum()
    return total / (plan.shape[0] * steps)


def commanded(plans: Tensor, command: Tensor) -> Tensor:
    """The plan [B, steps, 2] of each sample's command."""
    return plans[torch.arange(len(plans), device=plans.device), command]
