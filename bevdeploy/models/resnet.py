"""ResNet-18 with torchvision's parameter names, so that torchvision's and timm's ImageNet weights load as they are.

Ours rather than theirs because torchvision demands one exact torch build, which a Jetson takes from its vendor.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from bevdeploy.models.blocks import stage

STRIDE_C4 = 16


class ResNet18(nn.Module):
    """Stem and four stages (He et al., 2016); `width` 64 is the published size."""

    depth = 18

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = stage(width, width)
        self.layer2 = stage(width, 2 * width, 2)
        self.layer3 = stage(2 * width, 4 * width, 2)
        self.layer4 = stage(4 * width, 8 * width, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, H, W] to C4 [B, 4*width, H/16, W/16] and C5 [B, 8*width, H/32, W/32], sizes rounded up."""
        x = F.relu(self.bn1(self.conv1(images)))  # [B, width, H/2, W/2]
        x = F.max_pool2d(x, 3, 2, 1)  # [B, width, H/4, W/4]
        c4 = self.layer3(self.layer2(self.layer1(x)))
        return c4, self.layer4(c4)
