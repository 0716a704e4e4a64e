"""BEVFusion's LSSTransform (Liu et al., 2023): a pool of fine cells, then convolutions to the cells of the BEV grid."""

from __future__ import annotations

from torch import Tensor, nn

from bevdeploy.models.blocks import conv_bn_relu
from bevdeploy.models.view_transform import ViewTransform
from bevdeploy.ops import PoolRanks, PoolTableTensors

POOL_PER_CELL = 2
"""Cells of the pool along each side of a BEV cell."""


class LSSTransform(ViewTransform):
    """Depth and context from one 1x1 convolution; three 3x3 convolutions behind the pool, the second of stride 2."""

    def __init__(self, inputs: int, depth_bins: int, channels: int) -> None:
        super().__init__(inputs, depth_bins, channels)
        self.depth_context = nn.Sequential(nn.Conv2d(inputs, depth_bins + channels, 1))
        self.down = nn.Sequential(
            conv_bn_relu(channels, channels),
            conv_bn_relu(channels, channels, stride=POOL_PER_CELL),
            conv_bn_relu(channels, channels),
        )

    def splat(self, depth: Tensor, feat: Tensor, pool: PoolRanks | PoolTableTensors) -> Tensor:
        """Depth [B, N, D, Hf, Wf] and feat [B, N, Hf, Wf, C] to BEV [B, C, Y, X] of the BEV grid."""
        bev: Tensor = self.down(super().splat(depth, feat, pool))  # [B, C, 2*Y, 2*X] to [B, C, Y, X]
        return bev
