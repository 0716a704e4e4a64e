"""Images to image features at stride 16, from all four stages of a ResNet-50."""

from __future__ import annotations

from torch import Tensor, nn

from bevdeploy.models.resnet50 import ResNet50
from bevdeploy.models.second_fpn import SecondFPN

SIDE_MULTIPLE = 32
"""Image sides are multiples of it, or the maps of the four stages would not meet at stride 16."""


class PyramidEncoder(nn.Module):
    """ResNet-50, then SECOND's pyramid over C2 to C5 (BEVDepth's image encoder)."""

    def __init__(self, width: int, channels: int) -> None:
        """`width` of the backbone; `channels` of the features, a quarter of them from each stage."""
        super().__init__()
        self.backbone = ResNet50(width)
        self.neck = SecondFPN(self.backbone.channels, (0.25, 0.5, 1, 2), channels // 4)

    def forward(self, images: Tensor) -> Tensor:
        """[B*N, 3, H, W] to [B*N, channels, H/16, W/16]."""
        features: Tensor = self.neck(self.backbone(images))
        return features
