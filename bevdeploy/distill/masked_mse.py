"""Squared errors of features under a mask, summed in float32: half precision overflows over 384 x 128 x 128 entries."""

from __future__ import annotations

from torch import Tensor


def masked_squared_error(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Sum of weight * (student - teacher)^2 over channels and cells, divided by the batch.

    Args:
        student: [B, C, Y, X].
        teacher: [B, C, Y, X].
        weight: [B, 1, Y, X], or [B, C, Y, X]; no gradient passes it.

    Returns:
        A float32 scalar.
    """
    squared = (student.float() - teacher.float()) ** 2  # [B, C, Y, X]
    return (squared * weight.detach().float()).sum() / len(student)


def mean_squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean of (a - b)^2, a float32 scalar."""
    return ((a.float() - b.float()) ** 2).mean()
