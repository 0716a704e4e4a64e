"""Focal loss of class heat maps, with less penalty near true centres (CornerNet, Law and Deng, 2018, equation 1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

ALPHA, BETA = 2, 4
"""Exponents of the error and of the distance from the peak, as in CornerNet, CenterNet and CenterPoint."""


def heatmap_loss(logits: Tensor, targets: Tensor, class_groups: Sequence[int]) -> Tensor:
    """Sum over the groups of classes; each group's loss is divided by its number of true centres, as in CenterPoint.

    A group of rare classes then weighs as much as the cars.

    Args:
        logits: [B, classes, Y, X].
        targets: [B, classes, Y, X], 1 at centres, below 1 elsewhere.
        class_groups: number of classes of each group, in order.

    Returns:
        A scalar.
    """
    log_p = F.logsigmoid(logits)  # [B, classes, Y, X]
    log_q = log_p - logits  # log(1 - p)
    centre = targets >= 1
    error = torch.where(centre, log_q, log_p).exp()  # 1 - p at centres, p elsewhere
    losses = -(error**ALPHA) * torch.where(centre, log_p, (1 - targets) ** BETA * log_q)
    per_class = losses.sum((0, 2, 3))  # [classes]
    count = centre.sum((0, 2, 3))  # [classes]
    group = torch.arange(len(class_groups), device=logits.device)
    group = group.repeat_interleave(torch.tensor(class_groups, device=logits.device))  # [classes]
    of_group = per_class.new_zeros(len(class_groups)).index_add(0, group, per_class)  # [G]
    found = count.new_zeros(len(class_groups)).index_add(0, group, count)  # [G]
    return (of_group / found.clamp(min=1)).sum()
