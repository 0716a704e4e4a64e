"""BEVPool in NumPy: slow twins that are obviously right. No torch, so that a runtime can check itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry.pool_tables import PoolTables
from bevdeploy.geometry.ranks import BEVPoolIndices


def bev_pool_numpy(
    depth: NDArray[np.floating[Any]],
    feat: NDArray[np.floating[Any]],
    indices: BEVPoolIndices,
    shape_zyx: tuple[int, int, int],
) -> NDArray[np.float64]:
    """Sum of depth times features per BEV cell, one point at a time, in float64.

    Args:
        depth: [1, N, D, Hf, Wf] depth distribution.
        feat: [1, N, Hf, Wf, C] context features.
        indices: kept points.
        shape_zyx: cells along z, y, x.

    Returns:
        [1, Z*C, Y, X]; a tall grid folds z as `z*C + c`.
    """
    flat_depth = depth.reshape(-1).astype(np.float64)
    flat_feat = feat.reshape(-1, feat.shape[-1]).astype(np.float64)  # [N*Hf*Wf, C]
    z, y, x = shape_zyx
    bev = np.zeros((z * y * x, feat.shape[-1]))
    for start, length in zip(indices.interval_starts, indices.interval_lengths, strict=True):
        cell = indices.ranks_bev[start]
        for point in range(start, start + length):
            bev[cell] += flat_depth[indices.ranks_depth[point]] * flat_feat[indices.ranks_feat[point]]
    return _fold(bev, z, y, x)


def bev_pool_tables_numpy(
    depth: NDArray[np.floating[Any]],
    feat: NDArray[np.floating[Any]],
    tables: PoolTables,
    shape_zyx: tuple[int, int, int],
) -> NDArray[np.float64]:
    """The pool node's meaning, table by table, in float64; arguments and result as `bev_pool_numpy`."""
    channels = feat.shape[-1]
    flat_depth = np.append(depth.reshape(-1).astype(np.float64), 0.0)  # [N*D*Hf*Wf + 1]
    flat_feat = feat.reshape(-1, channels).astype(np.float64)  # [N*Hf*Wf, C]
    rows = np.einsum("rp,rpc->rc", flat_depth[tables.row_depth], flat_feat[tables.row_feat])  # [R, C]
    partials = np.concatenate([np.zeros((1, channels)), rows])
    partials = np.concatenate([partials, partials[tables.sum1].sum(1)])
    partials = np.concatenate([partials, partials[tables.sum2].sum(1)])
    z, y, x = shape_zyx
    return _fold(partials[tables.cell_row.reshape(-1)], z, y, x)


def _fold(bev: NDArray[np.float64], z: int, y: int, x: int) -> NDArray[np.float64]:
    """[Z*Y*X, C] to [1, Z*C, Y, X]."""
    channels = bev.shape[-1]
    return bev.reshape(z, y, x, channels).transpose(0, 3, 1, 2).reshape(1, z * channels, y, x)
