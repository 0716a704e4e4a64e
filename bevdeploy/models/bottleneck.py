"""Residual block of three convolutions, as deep ResNets have them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

EXPANSION = 4
"""Output channels per inner channel."""


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 (He et al., 2016; the stride where torchvision has it), names as in torchvision."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, 4*width, H/stride, W/stride]."""
        residual = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))  # [B, width, H/stride, W/stride]
        return F.relu(self.bn3(self.conv3(x)) + residual)
