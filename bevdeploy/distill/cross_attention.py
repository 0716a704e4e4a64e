"""Cross-attention projector of DualDistill's AOA: learned queries read the student's BEV map.

Re-implementation following the public code (`CAP`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bevdeploy.errors import TrainingError


class CrossAttentionProjector(nn.Module):
    """Every output cell is a mixture of the student's cells, since no residual passes around the attention.

    Keys and values are the student's features behind a 3x3 convolution, plus a learned position map that starts at 0;
    queries are learned and do not depend on the input. A feed-forward net with an identity shortcut follows.

    Raises:
        TrainingError: the heads do not divide the channels.
    """

    def __init__(self, channels: int, size: tuple[int, int], heads: int = 8) -> None:
        super().__init__()
        if channels % heads:
            raise TrainingError(f"{heads} attention heads do not divide {channels} channels; set attention_heads")
        self.attention_heads = heads
        rows, columns = size
        self.convolution = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.position = nn.Parameter(torch.zeros(1, channels, rows, columns))
        self.table = nn.Parameter(torch.randn(rows * columns, channels))
        self.query = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.ReLU())
        self.to_query, self.to_key = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.to_value, self.out = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.ReLU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, *size] to [B, C, *size]."""
        normed: Tensor = self.norm(self.out(self.mixed(self.tokens(x))))  # [B, Y*X, C]
        read: Tensor = normed + self.feed_forward(normed)
        read = read.transpose(1, 2)  # [B, C, Y*X]
        return read.reshape(x.shape)  # [B, C, Y, X]

    def tokens(self, x: Tensor) -> Tensor:
        """[B, C, Y, X] to what is attended to, [B, Y*X, C]."""
        placed: Tensor = self.convolution(x) + self.position  # [B, C, Y, X]
        return placed.flatten(2).transpose(1, 2)

    def mixed(self, tokens: Tensor) -> Tensor:
        """Tokens [B, S, C] to each head's mixture of its values, side by side [B, Y*X, C]; scale (C / heads)^-0.5."""
        queries, keys, values = self._heads(self._queries()), self._heads(self.to_key(tokens)), self.values(tokens)
        queries = queries.to(keys.dtype).expand(len(tokens), -1, -1, -1)  # [B, heads, Y*X, C/heads]
        mixture = F.scaled_dot_product_attention(queries, keys, values)  # [B, heads, Y*X, C/heads]
        return mixture.transpose(1, 2).flatten(2)

    def values(self, tokens: Tensor) -> Tensor:
        """Tokens [B, S, C] to the values of each head, [B, heads, S, C/heads]."""
        return self._heads(self.to_value(tokens))

    def _queries(self) -> Tensor:
        embedding = self.table.T.reshape(self.position.shape)  # [1, C, Y, X]
        queries: Tensor = self.to_query(self.query(embedding).flatten(2).transpose(1, 2))  # [1, Y*X, C]
        return queries

    def _heads(self, x: Tensor) -> Tensor:
        heads = x.reshape(*x.shape[:2], self.attention_heads, -1)  # [B, S, heads, C/heads]
        return heads.transpose(1, 2)  # [B, heads, S, C/heads]
