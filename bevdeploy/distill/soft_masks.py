"""Losses of mask logits against a teacher's probabilities, weighted by cell; float32 throughout."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def weighted_cross_entropy(logits: Tensor, probabilities: Tensor, weight: Tensor) -> Tensor:
    """Mean of weight * binary cross-entropy.

    Args:
        logits: [B, C, Y, X].
        probabilities: [B, C, Y, X].
        weight: [B, 1 or C, Y, X], of mean 1.

    Returns:
        A float32 scalar.
    """
    losses = F.binary_cross_entropy_with_logits(logits.float(), probabilities.float(), reduction="none")
    return (losses * weight).mean()


def soft_dice(logits: Tensor, probabilities: Tensor) -> Tensor:
    """1 - Dice against soft masks, mean over classes; 0 where both are equal.

    Squares in the denominator (Milletari et al., 2016) make a soft mask its own best match.

    Args:
        logits: [B, C, Y, X].
        probabilities: [B, C, Y, X].

    Returns:
        A float32 scalar.
    """
    ours, theirs = logits.float().sigmoid(), probabilities.float()
    overlap = (ours * theirs).sum((0, 2, 3))  # [C]
    squares = (ours**2).sum((0, 2, 3)) + (theirs**2).sum((0, 2, 3))  # [C]
    return (1 - (2 * overlap + 1) / (squares + 1)).mean()
