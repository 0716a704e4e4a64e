"""SECOND's 2-D backbone and neck (Yan et al., 2018), as CenterPoint and BEVFusion use them on BEV features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bevdeploy.errors import GeometryError
from bevdeploy.models.blocks import conv_bn_relu


class SecondBackbone(nn.Module):
    """Stages of a strided convolution and `layers` more; all stage outputs."""

    def __init__(self, inputs: int, widths: Sequence[int], layers: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        stages = []
        for width, count, stride in zip(widths, layers, strides, strict=True):
            more = [conv_bn_relu(width, width) for _ in range(count)]
            stages.append(nn.Sequential(conv_bn_relu(inputs, width, stride=stride), *more))
            inputs = width
        self.stages = nn.ModuleList(stages)

    def forward(self, bev: Tensor) -> tuple[Tensor, ...]:
        """[B, inputs, Y, X] to [B, width, Y/s, X/s] for each stage, s its stride so far."""
        outputs = []
        for stage in self.stages:
            bev = stage(bev)
            outputs.append(bev)
        return tuple(outputs)


class SecondFPN(nn.Module):
    """Every stage brought to one resolution and `width` channels, joined."""

    def __init__(self, inputs: Sequence[int], strides: Sequence[int], out_stride: int, width: int) -> None:
        """`strides` of the stages and `out_stride` of the output count from the backbone's input.

        Raises:
            GeometryError: a stage's stride and the output's are no multiples of each other.
        """
        super().__init__()
        self.channels = width * len(inputs)
        self.branches = nn.ModuleList(
            _branch(channels, width, stride, out_stride) for channels, stride in zip(inputs, strides, strict=True)
        )

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Stage outputs to [B, stages * width, Y/out, X/out]."""
        return torch.cat([branch(stage) for branch, stage in zip(self.branches, stages, strict=True)], 1)


def _branch(inputs: int, outputs: int, stride: int, out_stride: int) -> nn.Sequential:
    if stride % out_stride == 0:
        factor = stride // out_stride
        up = nn.ConvTranspose2d(inputs, outputs, factor, factor, bias=False)
        return nn.Sequential(up, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
    if out_stride % stride == 0:
        factor = out_stride // stride
        down = nn.Conv2d(inputs, outputs, factor, factor, bias=False)
        return nn.Sequential(down, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
    raise GeometryError(f"a stage at stride {stride} cannot be brought to stride {out_stride}")
