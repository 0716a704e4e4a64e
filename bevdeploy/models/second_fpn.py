"""SECOND's feature pyramid (Yan et al., 2018): feature maps of several strides, each brought to one, joined."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SecondFPN(nn.Module):
    """Strided convolutions shrink, transposed ones enlarge, kernel as large as the stride; norm and ReLU after each."""

    def __init__(self, inputs: Sequence[int], scales: Sequence[float], outputs: int) -> None:
        """`scales`: by which each map grows: 2, 1, 0.5, ... ; `outputs`: channels that each contributes."""
        super().__init__()
        self.levels = nn.ModuleList(
            _level(channels, outputs, scale) for channels, scale in zip(inputs, scales, strict=True)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps [B, inputs[k], H/scales[k], W/scales[k]] to [B, levels*outputs, H, W]."""
        return torch.cat([level(each) for level, each in zip(self.levels, maps, strict=True)], 1)


def _level(inputs: int, outputs: int, scale: float) -> nn.Sequential:
    conv: nn.Module
    if scale > 1:
        conv = nn.ConvTranspose2d(inputs, outputs, int(scale), int(scale), bias=False)
    else:
        stride = round(1 / scale)
        conv = nn.Conv2d(inputs, outputs, stride, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
