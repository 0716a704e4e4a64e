"""Loss of the HD-map masks: cross-entropy, as BEVFusion trains them, and Dice for the thin classes."""

from __future__ import annotations

from torch import Tensor

from bevdeploy.train.mask_loss import cross_entropy, dice


def map_loss(logits: Tensor, masks: Tensor, valid: Tensor | None = None, dice_weight: float = 1.0) -> Tensor:
    """Sum over classes of the mean cross-entropy over cells, plus `dice_weight` times 1 - Dice.

    BEVFusion (Liu et al., 2023) sums a focal loss of every class in its code; cross-entropy is that loss with gamma 0.

    Args:
        logits: [B, map classes, Y, X].
        masks: [B, map classes, Y, X], 0 or 1.
        valid: [B], False for samples without a map, which do not count; None where all have one.
        dice_weight: 0 leaves Dice out.

    Returns:
        A scalar; 0 without a valid sample.
    """
    if valid is not None:
        logits, masks = logits[valid], masks[valid]  # [Bv, map classes, Y, X]
        if not len(logits):
            return logits.sum()
    return (cross_entropy(logits, masks).mean((0, 2, 3)) + dice_weight * dice(logits, masks)).sum()
