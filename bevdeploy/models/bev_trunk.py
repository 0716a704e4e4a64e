"""BEV features to BEV features, BEVDepth's way: a ResNet-18-like trunk and SECOND's pyramid over all its strides."""

from __future__ import annotations

from torch import Tensor, nn

from bevdeploy.models.blocks import conv_bn_relu, stage
from bevdeploy.models.second_fpn import SecondFPN

SIDE_MULTIPLE = 8
"""Rows and columns are multiples of it: the pyramid doubles what the trunk has halved."""


class BEVTrunk(nn.Module):
    """Stages at strides 2, 4, 8; the first begins with a 7x7 convolution, without the pooling of image backbones."""

    def __init__(self, inputs: int, width: int, channels: int) -> None:
        """`width` of the first stage, doubled by each of the others; a quarter of `channels` comes from each stride."""
        super().__init__()
        self.channels = channels
        self.stage1 = nn.Sequential(conv_bn_relu(inputs, width, 7, 2), *stage(width, width))
        self.stage2 = stage(width, 2 * width, 2)
        self.stage3 = stage(2 * width, 4 * width, 2)
        self.neck = SecondFPN((inputs, width, 2 * width, 4 * width), (1, 2, 4, 8), channels // 4)

    def forward(self, bev: Tensor) -> Tensor:
        """[B, inputs, Y, X] to [B, channels, Y, X]."""
        half = self.stage1(bev)  # [B, width, Y/2, X/2]
        quarter = self.stage2(half)  # [B, 2*width, Y/4, X/4]
        eighth = self.stage3(quarter)  # [B, 4*width, Y/8, X/8]
        out: Tensor = self.neck((bev, half, quarter, eighth))
        return out
