"""Squared errors of features under a mask, summed in float32: half precision overflows over 384 x 128 x 128 entries."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """(student - teacher)^2 of [B, C, Y, X] each, float32 [B, C, Y, X]; one pass over memory each way."""
    return F.mse_loss(student.float(), teacher.float(), reduction="none")


def masked_sum(squared: Tensor, weight: Tensor) -> Tensor:
    """Sum of weight times squared errors over channels and cells, divided by the batch.

    Args:
        squared: [B, C, Y, X], or its sum over channels [B, 1, Y, X].
        weight: [B, 1, Y, X], or [B, C, Y, X]; no gradient passes it.

    Returns:
        A float32 scalar.
    """
    return (squared * weight.detach().float()).sum() / len(squared)


def attended_sum(squared: Tensor, cells: Tensor, channels: Tensor) -> Tensor:
    """`masked_sum` under the product of weights [B, 1, Y, X] and [B, C, 1, 1], which is never made.

    Args:
        squared: [B, C, Y, X].
        cells: [B, 1, Y, X]; no gradient passes it.
        channels: [B, C, 1, 1]; no gradient passes it.
    """
    by_channel = squared.flatten(2) @ cells.detach().float().flatten(2).transpose(1, 2)  # [B, C, 1]
    return (by_channel * channels.detach().float().flatten(2)).sum() / len(squared)


def mean_squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean of (a - b)^2, a float32 scalar."""
    return F.mse_loss(a.float(), b.float())
