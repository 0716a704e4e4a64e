"""Attention maps of features: where, and in which channels, activations are strong (Yang et al., 2022, FGD).

As in the public code of DistillBEV and DualDistill: softmax of the mean absolute activation over a temperature, times
the number of entries, so that its mean is 1.
"""

from __future__ import annotations

from torch import Tensor

TEMPERATURE = 0.5


def spatial_attention(x: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """[B, C, Y, X] to float32 [B, 1, Y, X], mean 1 over the cells of each sample."""
    strength = x.float().abs().mean(1, keepdim=True)  # [B, 1, Y, X]
    cells = strength.shape[-2] * strength.shape[-1]
    return cells * (strength.flatten(1) / temperature).softmax(1).reshape(strength.shape)


def channel_attention(x: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """[B, C, Y, X] to float32 [B, C, 1, 1], mean 1 over the channels of each sample."""
    strength = x.float().abs().mean((2, 3), keepdim=True)  # [B, C, 1, 1]
    return strength.shape[1] * (strength / temperature).softmax(1)
