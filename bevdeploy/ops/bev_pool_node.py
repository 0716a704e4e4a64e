"""The pool node of the deployed graph: one operator on padded tables, in torch and in ONNX.

    bevdeploy::BevPool(depth [1,N,D,H,W], feat [1,N,H,W,C], row_depth [R,16], row_feat [R,16],
                       sum1 [S1,8], sum2 [S2,8], cell_row [Y,X]) -> [1,C,Y,X]

Tables are those of `geometry.pool_tables`; a tall grid has Y*Z rows in `cell_row`. In ONNX the node carries a body of
standard operators (Gather, MatMul, ReduceSum, Concat), so every runtime can run it and a plugin can take it whole.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bevdeploy.errors import GeometryError
from bevdeploy.geometry.pool_tables import PoolTables

DOMAIN = "bevdeploy"
NODE = "BevPool"
NODE_INPUTS = ("depth", "feat", "row_depth", "row_feat", "sum1", "sum2", "cell_row")


class PoolTableTensors(NamedTuple):
    """`geometry.PoolTables` as int32 tensors; shapes as there."""

    row_depth: Tensor
    row_feat: Tensor
    sum1: Tensor
    sum2: Tensor
    cell_row: Tensor


def pool_table_tensors(tables: PoolTables) -> PoolTableTensors:
    """Tensors that share memory with the tables."""
    return PoolTableTensors(*(torch.from_numpy(np.ascontiguousarray(table)) for table in tables.arrays().values()))


def bev_pool_node(depth: Tensor, feat: Tensor, tables: PoolTableTensors) -> Tensor:
    """The pool node. For inference; training uses `ops.bev_pool`, which has gradients and a batch.

    Args:
        depth: [1, N, D, Hf, Wf] depth distribution.
        feat: [1, N, Hf, Wf, C] context features, same dtype; half types are summed in float32.
        tables: index tables, int32.

    Returns:
        [1, C, Y, X] with Y and X those of `cell_row`.

    Raises:
        GeometryError: batch other than 1, or shapes that do not fit together.
    """
    if depth.dim() != 5 or feat.dim() != 5 or depth.shape[0] != 1:
        raise GeometryError(
            f"BevPool: expected depth [1, N, D, Hf, Wf] and feat [1, N, Hf, Wf, C], "
            f"got {tuple(depth.shape)} and {tuple(feat.shape)}; a batch goes through ops.bev_pool"
        )
    _, n, _, hf, wf = depth.shape
    if feat.shape[:4] != (1, n, hf, wf):
        raise GeometryError(f"BevPool: feat: expected (1, {n}, {hf}, {wf}, C), got {tuple(feat.shape)}")
    return torch.ops.bevdeploy.bev_pool_node(depth, feat, *tables)  # type: ignore[no-any-return]


@torch.library.custom_op("bevdeploy::bev_pool_node", mutates_args=())
def _bev_pool_node(
    depth: Tensor,
    feat: Tensor,
    row_depth: Tensor,
    row_feat: Tensor,
    sum1: Tensor,
    sum2: Tensor,
    cell_row: Tensor,
) -> Tensor:
    channels, dtype = feat.shape[-1], feat.dtype
    if dtype.itemsize == 2:  # sums are float32, as in the node's body
        depth, feat = depth.float(), feat.float()
    flat_depth = torch.cat([depth.reshape(-1), depth.new_zeros(1)])  # [N*D*Hf*Wf + 1]
    weights = flat_depth.index_select(0, row_depth.reshape(-1)).reshape(row_depth.shape)  # [R, 16]
    table = feat.reshape(-1, channels)  # [N*Hf*Wf, C]
    rows = F.embedding_bag(row_feat, table, mode="sum", per_sample_weights=weights)  # [R, C]
    partials = torch.cat([feat.new_zeros(1, channels), rows])  # [1 + R, C]
    partials = torch.cat([partials, F.embedding_bag(sum1, partials, mode="sum")])  # [1 + R + S1, C]
    partials = torch.cat([partials, F.embedding_bag(sum2, partials, mode="sum")])  # [1 + R + S1 + S2, C]
    cells = partials.index_select(0, cell_row.reshape(-1))  # [Y*X, C]
    bev = cells.reshape(1, *cell_row.shape, channels).permute(0, 3, 1, 2)  # [1, C, Y, X]
    return bev.to(dtype).contiguous()


@_bev_pool_node.register_fake
def _(depth: Tensor, feat: Tensor, *tables: Tensor) -> Tensor:
    return feat.new_empty(1, feat.shape[-1], *tables[4].shape)
