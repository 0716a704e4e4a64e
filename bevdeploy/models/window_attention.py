"""Attention within windows of w x w cells (Liu et al., ICCV 2021), and the windows of a map whose size is fixed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MASKED = -100.0
"""Added to the logit of two cells that only the shift brought together, as in the authors' code."""


class WindowAttention(nn.Module):
    """Multi-head attention among the cells of one window, with a learned bias per head and relative position."""

    index: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (channels // heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.register_buffer("index", relative_positions(window), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, windows, w*w, C] to the same; `mask` [windows, 1, w*w, w*w] is added to the logits."""
        cells, channels = x.shape[2:]
        qkv = self.qkv(x).reshape(*x.shape[:3], 3, self.heads, channels // self.heads)  # [B, windows, w*w, 3, heads, d]
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).unbind()  # [B, windows, heads, w*w, d]
        bias = self.relative_position_bias_table[self.index].reshape(cells, cells, self.heads).permute(2, 0, 1)
        logits = (q * self.scale) @ k.transpose(-2, -1) + bias  # [B, windows, heads, w*w, w*w]
        if mask is not None:
            logits = logits + mask
        weights = logits.float().softmax(-1).to(v.dtype)
        joined = (weights @ v).transpose(2, 3).reshape(x.shape)  # [B, windows, w*w, C]
        out: Tensor = self.proj(joined)
        return out


def relative_positions(window: int) -> Tensor:
    """Row of the bias table [w*w * w*w] for each pair of cells: its offset along y, then x, counted from the least."""
    side = torch.arange(window)
    y, x = (axis.flatten() for axis in torch.meshgrid(side, side, indexing="ij"))  # [w*w]
    dy, dx = (along[:, None] - along[None] + window - 1 for along in (y, x))  # [w*w, w*w], 0 .. 2w-2
    return (dy * (2 * window - 1) + dx).flatten()


def whole_windows(hw: tuple[int, int], window: int) -> tuple[int, int]:
    """Height and width rounded up to whole windows."""
    return -(-hw[0] // window) * window, -(-hw[1] // window) * window


def shifts(padded: tuple[int, int], window: int) -> tuple[int, int]:
    """Half a window along each axis that has more than one."""
    return (window // 2 if padded[0] > window else 0), (window // 2 if padded[1] > window else 0)


def shift_mask(hw: tuple[int, int], window: int) -> Tensor | None:
    """[windows, 1, w*w, w*w] of a map rolled by half a window: `MASKED` between cells from its opposite edges.

    None where the map is a single window, which is not shifted.
    """
    padded = whole_windows(hw, window)
    shift = shifts(padded, window)
    if not any(shift):
        return None
    rows, columns = (_regions(size, window, by) for size, by in zip(padded, shift, strict=True))
    region = 3 * rows[:, None] + columns[None]  # [rows, columns]
    cells = windows_of(region[None, :, :, None], window)[0, :, :, 0]  # [windows, w*w]
    return (cells[:, None, :, None] != cells[:, None, None, :]) * MASKED


def windows_of(x: Tensor, window: int) -> Tensor:
    """[B, rows, columns, C] of whole windows to [B, windows, w*w, C]."""
    batch, rows, columns, channels = x.shape
    x = x.reshape(batch, rows // window, window, columns // window, window, channels)
    return x.transpose(2, 3).reshape(batch, -1, window * window, channels)


def window_rows(x: Tensor, window: int, padded: tuple[int, int]) -> Tensor:
    """[B, windows, w*w, C] back to [B, rows, columns, C]."""
    batch, channels, (rows, columns) = x.shape[0], x.shape[-1], padded
    x = x.reshape(batch, rows // window, columns // window, window, window, channels)
    return x.transpose(2, 3).reshape(batch, rows, columns, channels)


def _regions(size: int, window: int, shift: int) -> Tensor:
    """[size] 0 before the last window of a rolled axis, in it 1 before the seam and 2 behind it."""
    region = torch.zeros(size, dtype=torch.long)
    if shift:
        region[size - window : size - shift] = 1
        region[size - shift :] = 2
    return region
