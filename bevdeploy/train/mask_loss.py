"""Losses of masks that may overlap: binary cross-entropy and soft Dice (Milletari et al., 2016)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy of [B, C, Y, X] against masks in 0..1, unreduced."""
    return F.binary_cross_entropy_with_logits(logits, masks, reduction="none")


def dice(logits: Tensor, masks: Tensor) -> Tensor:
    """1 - Dice of each mask of [B, C, Y, X]; to [C].

    Numerator and denominator are summed over the batch, so that a sample without the class does not count as a miss;
    the 1 added to both makes an empty mask that is left empty cost nothing.
    """
    probabilities = logits.sigmoid()
    overlap = (probabilities * masks).sum((0, 2, 3))  # [C]
    total = probabilities.sum((0, 2, 3)) + masks.sum((0, 2, 3))  # [C]
    return 1 - (2 * overlap + 1) / (total + 1)


def hardest(losses: Tensor, share: float) -> Tensor:
    """Mean of the largest `share` of each row of [R, S]; to [R]. UniAD's top-k cross-entropy takes a quarter."""
    count = max(1, round(share * losses.shape[1]))
    return torch.topk(losses, count, dim=1, sorted=False).values.mean(1)
