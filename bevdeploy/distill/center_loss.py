"""CenterHead's loss against drawn boxes: Gaussian focal loss of heat maps, L1 of box codes, per class group.

Focal form of CornerNet (alpha 2, beta 4), code weights of CenterPoint. A peak of weight s trains its centre with s and
spares what lies beside it by (1 - s * Gaussian)^4; with weights of 1 it is the published loss.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bevdeploy.distill.center_targets import CenterTargets
from bevdeploy.tasks import TaskSpec

ALPHA, BETA = 2, 4
CODE_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.2, 0.2)
"""Offset, height, size, rotation; velocity at 0.2."""


def heatmap_loss(logits: Tensor, targets: CenterTargets, tasks: TaskSpec) -> Tensor:
    """Sum over class groups of each group's loss over the weights of its centres, a float32 scalar.

    Args:
        logits: [B, classes, Y, X].
        targets: on the same cells.
        tasks: class groups.
    """
    losses = focal(logits, targets.heatmap, targets.centres).sum((0, 2, 3))  # [classes]
    weight = targets.centres.sum((0, 2, 3))  # [classes]
    groups = [len(names) for names in tasks.detection_tasks]
    shares = zip(torch.split(losses, groups), torch.split(weight, groups), strict=True)
    return torch.stack([loss.sum() / found.sum().clamp(min=1) for loss, found in shares]).sum()


def focal(logits: Tensor, heatmap: Tensor, centres: Tensor) -> Tensor:
    """Gaussian focal loss, unreduced, all [B, classes, Y, X]; `centres` is a peak's weight, 0 elsewhere."""
    logits = logits.float()
    log_p, log_q = F.logsigmoid(logits), F.logsigmoid(-logits)
    positive = -centres * log_q.exp() ** ALPHA * log_p
    negative = -((1 - heatmap) ** BETA) * log_p.exp() ** ALPHA * log_q
    return torch.where(centres > 0, positive, negative)


def box_loss(box_codes: Tensor, targets: CenterTargets, tasks: TaskSpec) -> Tensor:
    """Sum over class groups of the weighted mean over their boxes of the summed code errors, a float32 scalar.

    Args:
        box_codes: [B, G, 10, Y, X].
        targets: on the same cells; codes that are no number train nothing.
        tasks: class groups.
    """
    plane = box_codes.shape[-2] * box_codes.shape[-1]
    maps, cells = targets.cells // plane, targets.cells % plane  # [M] each
    predicted = box_codes.flatten(0, 1).flatten(2)[maps, :, cells].float()  # [M, 10]
    known = targets.codes.isfinite()
    error = (predicted - torch.where(known, targets.codes, predicted.detach())).abs()  # [M, 10]
    of_box = (error * predicted.new_tensor(CODE_WEIGHTS)).sum(1) * targets.weights  # [M]
    count = len(tasks.detection_tasks)
    summed = of_box.new_zeros(count).index_add(0, targets.groups, of_box)  # [G]
    weight = of_box.new_zeros(count).index_add(0, targets.groups, targets.weights)  # [G]
    return (summed / weight.clamp(min=1)).sum()
