"""Swin Transformer (Liu et al., ICCV 2021) as a backbone for images of one size.

Parameter names are timm's, without the classifier; `norms` are those of the outputs, which no ImageNet file has. Maps
are padded with zeros to whole windows after a block's first norm, and padding is attended to, as in the authors' code
for detection. Norms and the attention's softmax stay float32 where the rest is float16.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bevdeploy.errors import ContractError
from bevdeploy.models.window_attention import (
    WindowAttention,
    shift_mask,
    shifts,
    whole_windows,
    window_rows,
    windows_of,
)

PATCH = 4
"""Pixels along each side of a patch."""
DEPTHS = (2, 2, 6, 2)
HEADS = (3, 6, 12, 24)
"""Swin-T."""
MLP_RATIO = 4


class Norm(nn.LayerNorm):
    """Layer norm over the last axis, computed in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] to the same shape and type."""
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps).to(x.dtype)


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., 2016): in training a sample's branch is left out with a probability."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """[B, ...] to the same; those that stay are scaled up, so that the mean stays."""
        if not self.training or self.probability == 0:
            return x
        keep = 1 - self.probability
        mask = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(keep)  # [B, 1, ...]
        return x * (mask / keep)


class MLP(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, MLP_RATIO * channels)
        self.fc2 = nn.Linear(MLP_RATIO * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] to [..., C]."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Attention within windows, shifted ones in every other block, and an MLP; both residual."""

    def __init__(
        self, channels: int, heads: int, window: int, hw: tuple[int, int], shifted: bool, drop_path: float
    ) -> None:
        super().__init__()
        self.window = window
        self.hw = hw
        self.padded = whole_windows(hw, window)
        self.shift = shifts(self.padded, window) if shifted else (0, 0)
        self.norm1 = Norm(channels)
        self.attn = WindowAttention(channels, heads, window)
        self.norm2 = Norm(channels)
        self.mlp = MLP(channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, H, W, C] to the same; `mask` [windows, 1, w*w, w*w] belongs to shifted windows."""
        (height, width), (rows, columns) = self.hw, self.padded
        (up, left), shifted = self.shift, any(self.shift)
        y = F.pad(self.norm1(x), (0, 0, 0, columns - width, 0, rows - height))  # [B, rows, columns, C]
        if shifted:
            y = torch.roll(y, (-up, -left), (1, 2))
        y = self.attn(windows_of(y, self.window), mask if shifted else None)  # [B, windows, w*w, C]
        y = window_rows(y, self.window, self.padded)  # [B, rows, columns, C]
        if shifted:
            y = torch.roll(y, (up, left), (1, 2))
        x = x + self.drop_path(y[:, :height, :width])
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class PatchMerging(nn.Module):
    """2x2 neighbours side by side, normalised, to twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = Norm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] to [B, H/2, W/2, 2*C], sizes rounded up."""
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]  # the authors' order
        merged: Tensor = self.reduction(self.norm(torch.cat(corners, -1)))  # [B, H/2, W/2, 2*C]
        return merged


class SwinStage(nn.Module):
    """Merging of patches, except in the first stage, and blocks of one map size."""

    mask: Tensor | None

    def __init__(
        self, channels: int, heads: int, window: int, hw: tuple[int, int], drop_paths: list[float], merges: bool
    ) -> None:
        super().__init__()
        self.downsample = PatchMerging(channels // 2) if merges else nn.Identity()
        self.blocks = nn.ModuleList(
            Block(channels, heads, window, hw, index % 2 == 1, drop) for index, drop in enumerate(drop_paths)
        )
        self.register_buffer("mask", shift_mask(hw, window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] to [B, H', W', C'] of this stage."""
        x = self.downsample(x)
        for block in self.blocks:
            x = block(x, self.mask)
        return x


class PatchEmbed(nn.Module):
    """Patches of 4x4 pixels to normalised vectors."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, PATCH)
        self.norm = Norm(channels)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] to [B, H/4, W/4, C], sizes rounded up."""
        height, width = images.shape[-2:]
        images = F.pad(images, (0, -width % PATCH, 0, -height % PATCH))
        vectors: Tensor = self.norm(self.proj(images).permute(0, 2, 3, 1))  # [B, H/4, W/4, C]
        return vectors


class SwinT(nn.Module):
    """Swin-T; `embed` 96 is the published size, and 3 divides it."""

    def __init__(self, net_hw: tuple[int, int], embed: int = 96, window: int = 7, drop_path: float = 0.0) -> None:
        super().__init__()
        self.net_hw = net_hw
        self.channels = tuple(embed * factor for factor in (2, 4, 8))
        """Of the outputs."""
        self.patch_embed = PatchEmbed(embed)
        drops = torch.linspace(0, drop_path, sum(DEPTHS)).tolist()
        stages, hw = [], (math.ceil(net_hw[0] / PATCH), math.ceil(net_hw[1] / PATCH))
        for index, (depth, heads) in enumerate(zip(DEPTHS, HEADS, strict=True)):
            if index:
                hw = -(-hw[0] // 2), -(-hw[1] // 2)
            stages.append(SwinStage(embed * 2**index, heads, window, hw, drops[:depth], merges=index > 0))
            drops = drops[depth:]
        self.layers = nn.ModuleList(stages)
        self.norms = nn.ModuleList(Norm(channels) for channels in self.channels)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, 3, H, W] to [B, C, Hf, Wf] at strides 8, 16 and 32, sizes rounded up.

        Raises:
            ContractError: the images have another size than the windows were laid out for.
        """
        if tuple(images.shape[-2:]) != self.net_hw:
            raise ContractError(f"Swin was built for images of {self.net_hw}, got {tuple(images.shape[-2:])}")
        x = self.patch_embed(images)
        maps = []
        for index, stage in enumerate(self.layers):
            x = stage(x)
            if index:
                maps.append(self.norms[index - 1](x).permute(0, 3, 1, 2))  # [B, C, Hf, Wf]
        return maps[0], maps[1], maps[2]


def _initialise(module: nn.Module) -> None:
    """As the authors: truncated normal of 0.02 for linear layers, zero biases."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
