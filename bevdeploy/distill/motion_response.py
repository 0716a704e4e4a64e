"""Forecasts of a student's detections against those of the teacher's detections they mean.

Inspired by the abstract of TinyBEV, the form is ours. Modes of two networks have no common order: each teacher mode
goes to the student's mode with the lowest average displacement error, with its probability.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bevdeploy.distill.taps import Taps
from bevdeploy.distill.teacher_boxes import ScoredBoxes, matched

MATCH_M = 2.0


def motion_terms(student: Taps, teacher: Taps, ours: ScoredBoxes, theirs: ScoredBoxes) -> tuple[Tensor, Tensor]:
    """L1 of displacements and KL divergence of modes, means over matched detections weighted by the teacher's score.

    Args:
        student: trajectories [B, K, M, T, 2] and mode logits [B, K, M].
        teacher: the same, of its own detections and modes.
        ours: the student's detections.
        theirs: the teacher's.

    Returns:
        Two float32 scalars; 0 without a match.
    """
    index, found = matched(ours, theirs, MATCH_M)  # [B, K] each
    rows = torch.arange(len(index), device=index.device)[:, None]  # [B, 1]
    taught = teacher.output("trajectory_offsets").float()[rows, index]  # [B, K, M', T, 2]
    share = teacher.output("trajectory_logits").float()[rows, index].softmax(-1)  # [B, K, M']
    weight = theirs.scores[rows, index] * found  # [B, K]
    steps = student.output("trajectory_offsets").float()  # [B, K, M, T, 2]
    best = nearest_modes(steps.detach(), taught)  # [B, K, M']
    picked = steps.gather(2, best[..., None, None].expand(-1, -1, -1, *steps.shape[3:]))  # [B, K, M', T, 2]
    error = ((picked - taught).abs().mean((-2, -1)) * share).sum(-1)  # [B, K]
    log_p = student.output("trajectory_logits").float().log_softmax(-1)  # [B, K, M]
    target = torch.zeros_like(log_p).scatter_add(-1, best, share)  # [B, K, M]
    divergence = (torch.xlogy(target, target) - target * log_p).sum(-1)  # [B, K]
    total = weight.sum().clamp(min=1e-6)
    return (weight * error).sum() / total, (weight * divergence).sum() / total


def nearest_modes(student: Tensor, teacher: Tensor) -> Tensor:
    """For each teacher mode the student's with the lowest average displacement error.

    Args:
        student: [B, K, M, T, 2] displacements.
        teacher: [B, K, M', T, 2].

    Returns:
        [B, K, M'] index into M.
    """
    ours, theirs = student.cumsum(3), teacher.cumsum(3)
    gap_m: Tensor = (theirs[:, :, :, None] - ours[:, :, None]).norm(dim=-1).mean(-1)  # [B, K, M', M]
    return gap_m.argmin(-1)
