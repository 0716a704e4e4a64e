"""Lift and splat: image features to a BEV map (Philion and Fidler, 2020), with the pool as one operator."""

from __future__ import annotations

from torch import Tensor, nn

from bevdeploy.models.blocks import conv_bn_relu
from bevdeploy.models.depth_net import DepthNet
from bevdeploy.ops import PoolRanks, PoolTableTensors, bev_pool, bev_pool_node


class ViewTransform(nn.Module):
    """A depth distribution and context features per feature pixel, summed into the cells that the indices name."""

    def __init__(
        self, inputs: int, depth_bins: int, channels: int, z_count: int = 1, depth_context: DepthNet | None = None
    ) -> None:
        """`depth_context` makes depth and context of camera-aware students; two convolutions without it."""
        super().__init__()
        self.depth_bins = depth_bins
        self.channels = channels
        self.z_count = z_count
        self.camera_aware = depth_context is not None
        self.depth_context = depth_context or nn.Sequential(
            conv_bn_relu(inputs, inputs), nn.Conv2d(inputs, depth_bins + channels, 1)
        )

    def lift(self, features: Tensor, cameras: int, camera_parameters: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Features [B*N, inputs, Hf, Wf] to depth [B, N, D, Hf, Wf] and feat [B, N, Hf, Wf, C].

        Camera parameters [B, N, 27] are for those that are camera-aware.
        """
        known = (camera_parameters,) if self.camera_aware else ()
        both = self.depth_context(features, *known)  # [B*N, D + C, Hf, Wf]
        depth, context = both.split([self.depth_bins, self.channels], 1)
        batch, (hf, wf) = features.shape[0] // cameras, both.shape[-2:]
        depth = depth.softmax(1).reshape(batch, cameras, self.depth_bins, hf, wf)  # [B, N, D, Hf, Wf]
        feat = context.permute(0, 2, 3, 1).reshape(batch, cameras, hf, wf, self.channels)  # [B, N, Hf, Wf, C]
        return depth, feat

    def splat(self, depth: Tensor, feat: Tensor, pool: PoolRanks | PoolTableTensors) -> Tensor:
        """Depth [B, N, D, Hf, Wf] and feat [B, N, Hf, Wf, C] to BEV [B, Z*C, Y, X]."""
        if isinstance(pool, PoolRanks):
            return bev_pool(depth, feat, pool)
        bev = bev_pool_node(depth, feat, pool)  # [1, C, Z*Y, X]
        if self.z_count == 1:
            return bev
        rows, columns = bev.shape[2] // self.z_count, bev.shape[3]
        bev = bev.reshape(1, self.channels, self.z_count, rows, columns).transpose(1, 2)  # [1, Z, C, Y, X]
        return bev.reshape(1, self.z_count * self.channels, rows, columns)  # [1, Z*C, Y, X]
