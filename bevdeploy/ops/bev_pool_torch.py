"""BEVPool in plain torch: the slow, differentiable twin of both pool ops."""

from __future__ import annotations

import torch
from torch import Tensor

from bevdeploy.ops.bev_pool_node import PoolTableTensors
from bevdeploy.ops.pool_ranks import PoolRanks


def bev_pool_torch(depth: Tensor, feat: Tensor, ranks: PoolRanks) -> Tensor:
    """`ops.bev_pool` as one gather, one product and one `index_add_`; arguments and result as there."""
    b, z, y, x = ranks.grid
    channels = feat.shape[-1]
    points = feat.reshape(-1, channels)[ranks.ranks_feat.long()]  # [P, C]
    points = points * depth.reshape(-1)[ranks.ranks_depth.long(), None]
    bev = feat.new_zeros(b * z * y * x, channels).index_add(0, ranks.ranks_bev.long(), points)  # [B*Z*Y*X, C]
    return bev.reshape(b, z, y, x, channels).permute(0, 1, 4, 2, 3).reshape(b, z * channels, y, x)


def bev_pool_node_torch(depth: Tensor, feat: Tensor, tables: PoolTableTensors) -> Tensor:
    """`ops.bev_pool_node`, step by step as the node's ONNX body; arguments and result as there."""
    channels = feat.shape[-1]
    flat_depth = torch.cat([depth.reshape(-1), depth.new_zeros(1)])  # [N*D*Hf*Wf + 1]
    flat_feat = feat.reshape(-1, channels)  # [N*Hf*Wf, C]
    rows = flat_depth[tables.row_depth.long()][:, None] @ flat_feat[tables.row_feat.long()]  # [R, 1, C]
    partials = torch.cat([feat.new_zeros(1, channels), rows[:, 0]])  # [1 + R, C]
    partials = torch.cat([partials, partials[tables.sum1.long()].sum(1)])  # [1 + R + S1, C]
    partials = torch.cat([partials, partials[tables.sum2.long()].sum(1)])  # [1 + R + S1 + S2, C]
    return partials[tables.cell_row.long()].permute(2, 0, 1)[None]  # [1, C, Y, X]
