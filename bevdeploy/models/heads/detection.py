"""CenterHead (Yin et al., 2021): class heat maps and box codes per class group; peaks and box centres."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bevdeploy.models.blocks import conv_bn_relu
from bevdeploy.tasks import NOT_A_PEAK

CODE_CHANNELS = {"offset": 2, "height": 1, "size": 3, "rotation": 2, "velocity": 2}
"""Regression branches in code order."""
CODES = sum(CODE_CHANNELS.values())
HEATMAP_BIAS = -2.19
"""Logit of probability 0.1, CenterNet's start."""


class DetectionHead(nn.Module):
    """A shared convolution, then per class group five regression branches and one heat map."""

    def __init__(self, inputs: int, groups: Sequence[Sequence[str]], shared: int = 64) -> None:
        super().__init__()
        self.shared = conv_bn_relu(inputs, shared)
        self.groups = nn.ModuleList(_group(shared, len(classes)) for classes in groups)

    def forward(self, bev: Tensor) -> tuple[Tensor, Tensor]:
        """[B, inputs, Y, X] to heat map logits [B, classes, Y, X] and box codes [B, G, 10, Y, X]."""
        shared = self.shared(bev)  # [B, shared, Y, X]
        heatmaps, codes = [], []
        for group in self.groups:
            assert isinstance(group, nn.ModuleDict)
            heatmaps.append(group["heatmap"](shared))
            codes.append(torch.cat([group[name](shared) for name in CODE_CHANNELS], 1))  # [B, 10, Y, X]
        return torch.cat(heatmaps, 1), torch.stack(codes, 1)


def _group(shared: int, classes: int) -> nn.ModuleDict:
    group = nn.ModuleDict({name: _branch(shared, channels) for name, channels in CODE_CHANNELS.items()})
    group["heatmap"] = _branch(shared, classes)
    nn.init.constant_(_last_bias(group["heatmap"]), HEATMAP_BIAS)
    return group


def _last_bias(branch: nn.Module) -> Tensor:
    *_, last = branch.children()
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    return last.bias


def _branch(shared: int, channels: int) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(shared, shared), nn.Conv2d(shared, channels, 3, padding=1))


def peaks(heatmap: Tensor, count: int) -> Tensor:
    """The `count` highest logits that no neighbour exceeds: flat indices [B, count] into classes*Y*X, best first.

    A peak is the maximum of its 3x3 neighbourhood (CenterNet's stand-in for non-maximum suppression).
    """
    highest = F.max_pool2d(heatmap, 3, 1, 1)
    peaked = torch.where(heatmap >= highest, heatmap, torch.full_like(heatmap, NOT_A_PEAK))
    return peaked.flatten(1).topk(count).indices


def divided(index: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Quotient and remainder of non-negative indices; without `%`, which not every TensorRT parser takes."""
    quotient = index // size
    return quotient, index - quotient * size


def gathered_codes(box_codes: Tensor, agents: Tensor, group_of_class: Tensor) -> Tensor:
    """Box codes [B, K, 10] of agents [B, K]; `group_of_class` [classes] names each class's branch set."""
    cells = box_codes.shape[-2] * box_codes.shape[-1]
    label, cell = divided(agents, cells)
    group = group_of_class[label]  # [B, K]
    channels = torch.arange(CODES, device=agents.device)
    index = (group[..., None] * CODES + channels) * cells + cell[..., None]  # [B, K, 10]
    codes = box_codes.flatten(1).gather(1, index.flatten(1))  # [B, K*10]
    return codes.reshape(index.shape)  # [B, K, 10]


def cell_positions(agents: Tensor, codes: Tensor, columns: int, rows: int) -> Tensor:
    """Box centres [B, K, 2] along x, y in cells from the grid's lower corner."""
    _, cell = divided(agents, rows * columns)
    y, x = divided(cell, columns)
    corner = torch.stack([x, y], -1).to(codes.dtype)  # [B, K, 2]
    return corner + codes[..., :2]
