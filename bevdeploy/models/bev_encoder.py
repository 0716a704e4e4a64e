"""BEV features to BEV features: three residual stages and a neck back to full resolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bevdeploy.models.blocks import conv_bn_relu, resized, stage


class BEVEncoder(nn.Module):
    """Stages at strides 2, 4, 4; the neck joins strides 4 and 2 and upsamples (BEVDet's LSSFPN form)."""

    def __init__(self, inputs: int, widths: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        self.channels = channels
        first, second, third = widths
        self.stage1 = stage(inputs, first, 2)
        self.stage2 = stage(first, second, 2)
        self.stage3 = stage(second, third)
        self.neck = nn.Sequential(conv_bn_relu(third + first, channels, 1), conv_bn_relu(channels, channels))
        self.out = conv_bn_relu(channels, channels)

    def forward(self, bev: Tensor) -> Tensor:
        """[B, inputs, Y, X] to [B, channels, Y, X]."""
        half = self.stage1(bev)  # [B, first, Y/2, X/2]
        quarter = self.stage3(self.stage2(half))  # [B, third, Y/4, X/4]
        up = resized(quarter, (half.shape[-2], half.shape[-1]))  # [B, third, Y/2, X/2]
        joined = self.neck(torch.cat([up, half], 1))  # [B, channels, Y/2, X/2]
        out: Tensor = self.out(resized(joined, (bev.shape[-2], bev.shape[-1])))
        return out
