"""ResNet-50 with torchvision's parameter names, so that torchvision's and timm's ImageNet weights load as they are."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from bevdeploy.models.bottleneck import EXPANSION, Bottleneck

BLOCKS = (3, 4, 6, 3)
"""Of each stage."""


class ResNet50(nn.Module):
    """Stem and four stages (He et al., 2016); `width` 64 is the published size."""

    depth = 50

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.channels = tuple(EXPANSION * width * 2**level for level in range(4))
        """Of C2 to C5."""
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _layer(width, width, BLOCKS[0], 1)
        self.layer2 = _layer(self.channels[0], 2 * width, BLOCKS[1], 2)
        self.layer3 = _layer(self.channels[1], 4 * width, BLOCKS[2], 2)
        self.layer4 = _layer(self.channels[2], 8 * width, BLOCKS[3], 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[B, 3, H, W] to C2 .. C5: [B, channels[k], H/s, W/s] at strides s of 4, 8, 16, 32, sizes rounded up."""
        x = F.relu(self.bn1(self.conv1(images)))  # [B, width, H/2, W/2]
        c2 = self.layer1(F.max_pool2d(x, 3, 2, 1))  # [B, 4*width, H/4, W/4]
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return c2, c3, c4, self.layer4(c4)


def _layer(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (Bottleneck(EXPANSION * width, width) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(inputs, width, stride), *rest)
