"""Motion forecasting: several futures for each of the K strongest detections."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bevdeploy.models.heads.decoder import BEVDecoder, sine_positions
from bevdeploy.models.heads.detection import CODES


class MotionHead(nn.Module):
    """An agent is the BEV feature at its centre and its state; it attends to the other agents and to the map."""

    def __init__(self, channels: int, heads: int, hidden: int, modes: int, steps: int) -> None:
        super().__init__()
        self.modes = modes
        self.steps = steps
        self.query = nn.Sequential(nn.Linear(channels + CODES + 1, channels), nn.ReLU(), nn.Linear(channels, channels))
        self.decoder = BEVDecoder(channels, heads, hidden)
        self.out = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, modes * (2 * steps + 1)))

    def forward(
        self, bev: Tensor, memory: Tensor, positions: Tensor, codes: Tensor, scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Offsets [B, K, modes, steps, 2] in metres and mode logits [B, K, modes].

        Args:
            bev: [B, C, Y, X].
            memory: [B, S, C] tokens of `bev`.
            positions: [B, K, 2] box centres along x, y in 0..1 of the grid.
            codes: [B, K, 10] box codes.
            scores: [B, K] class probabilities.
        """
        sampled = F.grid_sample(bev, 2 * positions[:, None] - 1, align_corners=False)  # [B, C, 1, K]
        features = sampled[:, :, 0].transpose(1, 2)  # [B, K, C]
        queries = self.query(torch.cat([features, codes, scores[..., None]], -1))  # [B, K, C]
        queries = queries + sine_positions(positions, queries.shape[-1])
        out = self.out(self.decoder(queries, memory))  # [B, K, modes * (2*steps + 1)]
        offsets, logits = out.split([self.modes * self.steps * 2, self.modes], -1)
        return offsets.unflatten(-1, (self.modes, self.steps, 2)), logits
