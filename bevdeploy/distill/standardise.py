"""Standardise: a teacher's features with mean 0 and deviation 1 per channel, by statistics that soon stand still."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

FRAMES = 1000
"""Samples that the statistics are taken from."""
FLOOR = 0.1
"""Deviation, as a share of the channels' mean deviation, that no channel falls below: one that is almost always 0 would
otherwise be blown up where it is not."""


class Standardise(nn.Module):
    """Per channel and without weights to learn: with those, both sides of a loss could shrink to a constant.

    While training, mean and variance are pooled over the first `frames` samples, those of all processes that train
    together, then fixed.
    """

    mean: Tensor
    variance: Tensor
    seen: Tensor
    samples: Tensor

    def __init__(self, channels: int, frames: int = FRAMES) -> None:
        super().__init__()
        self.frames = frames
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("seen", torch.zeros((), dtype=torch.float64))  # values per channel
        self.register_buffer("samples", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """[B, C, Y, X] to float32 [B, C, Y, X], without gradient."""
        x = x.float()
        if self.training:
            self._observe(x)
        deviation = self.variance.sqrt()
        deviation = deviation.clamp(min=float(FLOOR * deviation.mean()) or 1.0)
        return (x - self.mean[:, None, None]) / deviation[:, None, None]

    def _observe(self, x: Tensor) -> None:
        if int(self.samples) >= self.frames:
            return
        # Chan, Golub and LeVeque (1983): two sets' means and variances make those of their union.
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)  # [C] each
        count, samples = x.numel() / x.shape[1], len(x)
        if dist.is_available() and dist.is_initialized():
            count, samples, mean, variance = _of_all_processes(count, samples, mean, variance)
        share = (count / (self.seen + count)).float()
        gap = mean - self.mean
        self.variance += share * (variance - self.variance) + share * (1 - share) * gap**2
        self.mean += share * gap
        self.seen += count
        self.samples += samples


def _of_all_processes(count: float, samples: int, mean: Tensor, variance: Tensor) -> tuple[float, int, Tensor, Tensor]:
    """Values per channel, samples, and mean and variance [C] of the union of all processes' values."""
    sums = torch.cat([mean.new_tensor([count, samples]), count * mean]).double()  # [2 + C]
    dist.all_reduce(sums)
    every, union = float(sums[0]), (sums[2:] / sums[0]).to(mean.dtype)  # [C]
    spread = (count * (variance + (mean - union) ** 2)).double()  # [C]
    dist.all_reduce(spread)
    return every, int(sums[1]), union, (spread / every).to(mean.dtype)
