"""Orthogonal projector of DualDistill's AOA: a linear map per cell whose weight keeps orthonormal rows or columns.

Re-implementation following the public code (`OrthogonalLinear`), on PyTorch's parametrisation. One thing differs: the
code takes PyTorch's default map, for such shapes Householder's, which truncates a diagonal of +-1 to whole numbers. The
first step of an optimiser with weight decay leaves 0.9999 there, and the whole weight becomes 0. Cayley's map gives
orthonormal rows as well and has no such diagonal.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal


class OrthogonalProjector(nn.Module):
    """W x, then a learned gain (from 1) and bias (from 0) per channel; W W^T = I, or W^T W = I where channels grow.

    Always in float32: orthogonality does not survive half precision.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = orthogonal(nn.Linear(inputs, outputs, bias=False), orthogonal_map="cayley")
        self.gain = nn.Parameter(torch.ones(outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, Y, X] to float32 [B, outputs, Y, X]."""
        with torch.autocast(x.device.type, enabled=False):
            return self.project(x.float()) * self.gain[:, None, None] + self.bias[:, None, None]

    def project(self, x: Tensor) -> Tensor:
        """Float32 [B, inputs, Y, X] to W x, [B, outputs, Y, X]."""
        projected: Tensor = self.linear(x.movedim(1, -1)).movedim(-1, 1)
        return projected
