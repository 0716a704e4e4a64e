"""Atrous spatial pyramid pooling (Chen et al., 2017): one feature map seen at several reaches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bevdeploy.models.blocks import conv_bn_relu

DILATIONS = (6, 12, 18)
"""Of the 3x3 branches; a 1x1 branch and the mean over the image stand beside them."""


class ASPP(nn.Module):
    """Five branches, joined by a 1x1 convolution; half of the joined channels are dropped in training."""

    def __init__(self, channels: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.near = conv_bn_relu(channels, channels, 1)
        self.wide = nn.ModuleList(_dilated(channels, dilation) for dilation in DILATIONS)
        self.whole = conv_bn_relu(channels, channels, 1)
        self.join = conv_bn_relu((2 + len(DILATIONS)) * channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, H, W]."""
        whole = self.whole(x.mean((2, 3), keepdim=True)).expand_as(x)  # [B, C, H, W]
        joined = torch.cat([self.near(x), *(branch(x) for branch in self.wide), whole], 1)  # [B, 5*C, H, W]
        out: Tensor = self.dropout(self.join(joined))
        return out


def _dilated(channels: int, dilation: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
