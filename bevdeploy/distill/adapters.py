"""Adapters: training-only maps from a student's features to a teacher's channels and cells."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from bevdeploy.models.blocks import conv_bn_relu


def pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1x1 convolution with bias: the adapter of the BEV neck in DistillBEV and DualDistill, 256 to 384 there."""
    return nn.Conv2d(inputs, outputs, 1)


class Upsample(nn.Module):
    """Bilinear, with aligned corners as in the public code of DistillBEV and DualDistill."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, y, x] to [B, C, *size]."""
        if tuple(x.shape[-2:]) == self.size:
            return x
        return F.interpolate(x, size=self.size, mode="bilinear", align_corners=True)


class UpsampleConvolutions(nn.Module):
    """DistillBEV's adapter of the backbone stages: upsample, then three 1x1 convolutions with norm and ReLU.

    Hidden width is the student's.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.upsample = Upsample(size)
        self.layers = nn.Sequential(
            conv_bn_relu(inputs, inputs, 1), conv_bn_relu(inputs, inputs, 1), conv_bn_relu(inputs, outputs, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, y, x] to [B, outputs, *size]."""
        adapted: Tensor = self.layers(self.upsample(x))
        return adapted


class UpsamplePointwise(nn.Module):
    """The neck's 1x1 convolution, after an upsampling where the teacher's cells are smaller."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.upsample = Upsample(size)
        self.layer = pointwise(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, y, x] to [B, outputs, *size]."""
        adapted: Tensor = self.layer(self.upsample(x))
        return adapted
