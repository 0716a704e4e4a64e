"""Loss of the depth distribution against lidar, and the tap that reads it without changing the student's graph.

BEVDepth (Li et al., AAAI 2023) takes binary cross-entropy of every bin; the student's depth is a softmax, for which the
cross-entropy of the true bin is the likelihood.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from bevdeploy.models import Student
from bevdeploy.models.teachers.teacher import CameraBranch


def depth_loss(logits: Tensor, bins: Tensor) -> Tensor:
    """Mean cross-entropy over feature pixels whose depth is known.

    Args:
        logits: [B*N, D, Hf, Wf].
        bins: [B, N, Hf, Wf] index of the true bin, -1 where unknown.

    Returns:
        A scalar; 0 without a known pixel.
    """
    true_bin = bins.flatten(0, 1).long()  # [B*N, Hf, Wf]
    summed = F.cross_entropy(logits.float(), true_bin, ignore_index=-1, reduction="sum")
    return summed / (true_bin >= 0).sum().clamp(min=1)


@contextmanager
def tapped_depth(student: Student | CameraBranch) -> Iterator[list[Tensor]]:
    """The depth logits [B*N, D, Hf, Wf] of every forward inside the block, in order; gradients flow through them."""
    taken: list[Tensor] = []
    bins = student.view_transform.depth_bins

    def take(module: nn.Module, inputs: Any, output: Tensor) -> None:
        taken.append(output[:, :bins])  # [B*N, D, Hf, Wf]

    handle = student.view_transform.depth_context.register_forward_hook(take)
    try:
        yield taken
    finally:
        handle.remove()
