"""Loss of motion forecasts at the student's own detections: best mode by distance, and which mode it was.

The winner-takes-all form is MTP's (Cui et al., 2019); smooth L1 on displacements, cross-entropy on modes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bevdeploy.train.batch import TargetTensors

MATCH_M = 2.0
"""An agent farther than this from every true box is no one: nuScenes' matching distance for true positives."""


def motion_loss(offsets: Tensor, logits: Tensor, positions_m: Tensor, targets: TargetTensors) -> tuple[Tensor, Tensor]:
    """Regression and mode loss, each the mean over matched agents.

    Every agent takes the true box nearest to it, so several agents may train on one box: early in training, when peaks
    are blunt, that is most of the signal. Futures are compared relative to each one's own centre now, so that the error
    of a detection is not asked to be mended by its motion.

    Args:
        offsets: [B, K, M, T, 2] displacement of each step, metres.
        logits: [B, K, M].
        positions_m: [B, K, 2] centres of the student's boxes.
        targets: boxes and futures.

    Returns:
        Two scalars; 0 without a matched agent.
    """
    future_m, valid = matched_futures(positions_m, targets)  # [B, K, T, 2], [B, K, T]
    steps = valid.sum(-1)  # [B, K]
    agent = steps > 0  # [B, K]
    paths_m = offsets.cumsum(3)  # [B, K, M, T, 2]
    gap_m = (paths_m.detach() - future_m[:, :, None]).norm(dim=-1)  # [B, K, M, T]
    average_m = (gap_m * valid[:, :, None]).sum(-1) / steps.clamp(min=1)[..., None]  # [B, K, M]
    best = average_m.argmin(-1)  # [B, K]
    index = best[..., None, None, None].expand(-1, -1, 1, *paths_m.shape[3:])  # [B, K, 1, T, 2]
    nearest_m = paths_m.gather(2, index)[:, :, 0]  # [B, K, T, 2]
    error = F.smooth_l1_loss(nearest_m, future_m, reduction="none").sum(-1)  # [B, K, T]
    regression = (error * valid).sum(-1) / steps.clamp(min=1)  # [B, K]
    modes = F.cross_entropy(logits.flatten(0, 1), best.flatten(), reduction="none").reshape(best.shape)  # [B, K]
    count = agent.sum().clamp(min=1)
    return (regression * agent).sum() / count, (modes * agent).sum() / count


def matched_futures(positions_m: Tensor, targets: TargetTensors) -> tuple[Tensor, Tensor]:
    """The future [B, K, T, 2] of the true box nearest to each position [B, K, 2], and which of its steps count.

    A box counts when it lies within `MATCH_M` and one of its steps is known.
    """
    known = targets.futures_valid.any(-1)  # [B, n]
    distance_m = torch.cdist(positions_m.detach(), targets.boxes[..., :2])  # [B, K, n]
    distance_m = distance_m.masked_fill(~known[:, None], float("inf"))
    nearest_m, box = distance_m.min(-1)  # [B, K] each
    rows = torch.arange(len(box), device=box.device)[:, None]  # [B, 1]
    valid = targets.futures_valid[rows, box] & (nearest_m <= MATCH_M)[..., None]  # [B, K, T]
    return targets.futures_m[rows, box], valid
