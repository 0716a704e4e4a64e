"""Loss of vehicle occupancy now and later: hard-cell cross-entropy and Dice, after UniAD's occupancy head."""

from __future__ import annotations

import torch
from torch import Tensor

from bevdeploy.train.mask_loss import cross_entropy, dice, hardest

HARD_SHARE = 0.25
"""Of the cells: UniAD averages the worst quarter."""
DISCOUNT = 0.95
"""Each later step counts this much less, as in UniAD."""


def occupancy_loss(logits: Tensor, occupancy: Tensor, valid: Tensor, dice_weight: float = 1.0) -> Tensor:
    """Weighted mean over known steps of the hard-cell cross-entropy plus `dice_weight` times 1 - Dice.

    Args:
        logits: [B, steps, side, side].
        occupancy: [B, steps, side, side], 0 or 1.
        valid: [B, steps]; False where the scene has ended.
        dice_weight: 0 leaves Dice out.

    Returns:
        A scalar; 0 without a known step.
    """
    batch, steps = valid.shape
    cells = cross_entropy(logits, occupancy).flatten(2)  # [B, steps, side*side]
    entropy = hardest(cells.flatten(0, 1), HARD_SHARE).reshape(batch, steps)  # [B, steps]
    step_weight = DISCOUNT ** torch.arange(steps, device=logits.device)  # [steps]
    weight = valid * step_weight  # [B, steps]
    loss = (entropy * weight).sum() / weight.sum().clamp(min=1e-6)
    known = valid[..., None, None]
    overlaps = dice(logits.masked_fill(~known, -1e4), occupancy * known)  # [steps]
    known_step = valid.any(0) * step_weight  # [steps]
    return loss + dice_weight * (overlaps * known_step).sum() / known_step.sum().clamp(min=1e-6)
