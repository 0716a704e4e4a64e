"""Queries that read the BEV map: a small transformer decoder over pooled BEV features with sine positions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POOL = 4
"""BEV features are averaged over 4x4 cells before they are attended to."""


class BEVDecoder(nn.Module):
    """Self-attention among queries, cross-attention to the BEV map, feed-forward; `layers` times."""

    def __init__(self, channels: int, heads: int, hidden: int, layers: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(channels, heads, hidden, dropout=0.0, batch_first=True) for _ in range(layers)
        )

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """Queries [B, Q, C] and memory [B, S, C] to [B, Q, C]."""
        for layer in self.layers:
            queries = layer(queries, memory)
        return queries


def bev_memory(bev: Tensor) -> Tensor:
    """[B, C, Y, X] to tokens [B, (Y/4)*(X/4), C] that carry their position."""
    pooled = F.avg_pool2d(bev, POOL)  # [B, C, Y/4, X/4]
    channels, rows, columns = pooled.shape[1:]
    y, x = torch.meshgrid(
        (torch.arange(rows, device=bev.device) + 0.5) / rows,
        (torch.arange(columns, device=bev.device) + 0.5) / columns,
        indexing="ij",
    )
    positions = torch.stack([x.flatten(), y.flatten()], -1).to(bev.dtype)  # [S, 2]
    return pooled.flatten(2).transpose(1, 2) + sine_positions(positions, channels)


def sine_positions(positions: Tensor, channels: int) -> Tensor:
    """Positions [..., 2] in 0..1 of the grid to [..., channels]: sines and cosines, half of them along each axis."""
    count = channels // 4
    exponents = torch.arange(count, device=positions.device, dtype=positions.dtype) / count
    frequency = 2 * math.pi * torch.pow(torch.full_like(exponents, 64.0), exponents)  # 1 .. 64 periods per grid
    angles = positions[..., None] * frequency  # [..., 2, channels/4]
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


def running_sum(steps: int, like: Tensor) -> Tensor:
    """Lower triangle of ones [steps, steps]: a cumulative sum as a product, which every engine fuses."""
    return torch.ones(steps, steps, device=like.device, dtype=like.dtype).tril()
