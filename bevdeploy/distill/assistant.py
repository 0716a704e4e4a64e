"""The teacher assistant of BridgeTA: a small network that reads both networks' BEV features, for training only.

The published idea (a light network on both BEV features, arXiv 2508.09599); layers, sizes and levels are ours. Two
forms: `ChainAssistant` decodes its second level from its first, `FuserAssistant` fuses anew at each level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bevdeploy.models.blocks import BasicBlock, conv_bn_relu, resized


class Levels(NamedTuple):
    """Of an assistant: two feature levels and dense outputs."""

    low: Tensor
    """[B, width, Y, X]."""
    high: Tensor
    """[B, width, Y, X]."""
    outputs: dict[str, Tensor]
    """Output name to logits [B, C, Y, X]."""


class Entry(nn.Module):
    """Both networks' features to one width each, side by side."""

    def __init__(self, teacher: int, student: int, width: int) -> None:
        super().__init__()
        self.of_teacher, self.of_student = conv_bn_relu(teacher, width, 1), conv_bn_relu(student, width, 1)

    def forward(self, teacher: Tensor, student: Tensor) -> Tensor:
        """[B, Ct, Y, X] and [B, Cs, Y, X] to [B, 2 * width, Y, X]."""
        return torch.cat([self.of_teacher(teacher), self.of_student(student)], 1)


class ChainAssistant(nn.Module):
    """Fused at the low level, then a small BEV encoder of its own; 2.5 M parameters at width 128."""

    def __init__(self, low: tuple[int, int], high: tuple[int, int], width: int, outputs: Mapping[str, int]) -> None:
        super().__init__()
        self.entry = Entry(*low, width)
        self.fuse = nn.Sequential(conv_bn_relu(2 * width, width), BasicBlock(width, width))
        self.to_half = BasicBlock(width, width, 2)
        self.to_quarter = BasicBlock(width, 2 * width, 2)
        self.neck = nn.Sequential(conv_bn_relu(3 * width, width, 1), conv_bn_relu(width, width))
        self.out = conv_bn_relu(width, width)
        self.heads = _heads(width, outputs)

    def forward(self, teacher: tuple[Tensor, Tensor], student: tuple[Tensor, Tensor]) -> Levels:
        """Low and high features of both, [B, C, Y, X] of equal Y, X; the high ones are not read."""
        low = self.fuse(self.entry(teacher[0], student[0]))  # [B, width, Y, X]
        half = self.to_half(low)  # [B, width, Y/2, X/2]
        quarter = self.to_quarter(half)  # [B, 2 * width, Y/4, X/4]
        joined = self.neck(torch.cat([resized(quarter, _size(half)), half], 1))  # [B, width, Y/2, X/2]
        high = self.out(resized(joined, _size(low)))  # [B, width, Y, X]
        return Levels(low, high, {name: head(high) for name, head in self.heads.items()})


class FuserAssistant(nn.Module):
    """Two convolutions on both networks' features at each level; 1.3 M parameters at width 128."""

    def __init__(self, low: tuple[int, int], high: tuple[int, int], width: int, outputs: Mapping[str, int]) -> None:
        super().__init__()
        self.low_entry, self.high_entry = Entry(*low, width), Entry(*high, width)
        self.low_fuse, self.high_fuse = _fuser(width), _fuser(width)
        self.heads = _heads(width, outputs)

    def forward(self, teacher: tuple[Tensor, Tensor], student: tuple[Tensor, Tensor]) -> Levels:
        """Low and high features of both, [B, C, Y, X] of equal Y, X."""
        low = self.low_fuse(self.low_entry(teacher[0], student[0]))  # [B, width, Y, X]
        high = self.high_fuse(self.high_entry(teacher[1], student[1]))  # [B, width, Y, X]
        return Levels(low, high, {name: head(high) for name, head in self.heads.items()})


ASSISTANTS: dict[str, type[ChainAssistant] | type[FuserAssistant]] = {
    "chain": ChainAssistant,
    "fusers": FuserAssistant,
}


def _fuser(width: int) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(2 * width, width), conv_bn_relu(width, width))


def _heads(width: int, outputs: Mapping[str, int]) -> nn.ModuleDict:
    """The form of the student's map head for each output: two convolutions, then one logit per class."""
    return nn.ModuleDict(
        {
            name: nn.Sequential(conv_bn_relu(width, width), conv_bn_relu(width, width), nn.Conv2d(width, classes, 1))
            for name, classes in outputs.items()
        }
    )


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]
