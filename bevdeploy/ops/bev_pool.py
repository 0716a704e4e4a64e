"""BEVPool for training: depth distribution and context features to a BEV map, in plain ranks, with gradients.

The sum over a cell's points is an embedding bag: cells are bags, feature pixels are the table, depth probabilities
are the weights. Its backward with respect to features is the same bag over the points sorted by pixel, so no gradient
is scattered. The idea of pooling by precomputed ranks is BEVPoolv2's (Huang and Huang, arXiv 2211.17111).
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bevdeploy.errors import GeometryError
from bevdeploy.ops.pool_ranks import PoolRanks


def bev_pool(depth: Tensor, feat: Tensor, ranks: PoolRanks) -> Tensor:
    """Sum of depth times features per BEV cell.

    Args:
        depth: [B, N, D, Hf, Wf] depth distribution.
        feat: [B, N, Hf, Wf, C] context features, same dtype and device.
        ranks: kept points of the same batch, on the same device.

    Returns:
        [B, Z*C, Y, X]; a tall grid folds z as `z*C + c`. Half types are summed in float32.

    Raises:
        GeometryError: shapes, dtypes or devices do not fit together.
    """
    _check(depth, feat, ranks)
    b, z, y, x = ranks.grid
    channels = feat.shape[-1]
    flat_depth, flat_feat = depth.reshape(-1), feat.reshape(-1, channels)  # [B*N*D*Hf*Wf], [B*N*Hf*Wf, C]
    if feat.dtype.itemsize == 2:
        flat_depth, flat_feat = flat_depth.float(), flat_feat.float()
    differentiated = torch.is_grad_enabled() and (depth.requires_grad or feat.requires_grad)
    if differentiated or torch.compiler.is_compiling():
        summed = torch.ops.bevdeploy.bev_pool(flat_depth, flat_feat, *ranks.tensors())  # [B*Z*Y*X, C]
    else:  # the operator's Python dispatch takes a tenth of a small pool
        summed = _bag(flat_feat, ranks.ranks_feat, ranks.cell_offsets, flat_depth.index_select(0, ranks.ranks_depth))
    bev: Tensor = summed.reshape(b, z, y, x, channels).permute(0, 1, 4, 2, 3)  # [B, Z, C, Y, X]
    return bev.reshape(b, z * channels, y, x).to(feat.dtype)


@torch.library.custom_op("bevdeploy::bev_pool", mutates_args=())
def _bev_pool(
    depth: Tensor,
    feat: Tensor,
    ranks_depth: Tensor,
    ranks_feat: Tensor,
    ranks_bev: Tensor,
    cell_offsets: Tensor,
    pixel_ranks_depth: Tensor,
    pixel_ranks_bev: Tensor,
    pixel_offsets: Tensor,
) -> Tensor:
    return _bag(feat, ranks_feat, cell_offsets, depth.index_select(0, ranks_depth))  # [B*Z*Y*X, C]


@_bev_pool.register_fake
def _(depth: Tensor, feat: Tensor, *ranks: Tensor) -> Tensor:
    return feat.new_empty(ranks[3].shape[0] - 1, feat.shape[1])


@torch.library.custom_op("bevdeploy::bev_pool_backward", mutates_args=())
def _bev_pool_backward(
    grad_bev: Tensor,
    depth: Tensor,
    feat: Tensor,
    ranks_depth: Tensor,
    ranks_feat: Tensor,
    ranks_bev: Tensor,
    cell_offsets: Tensor,
    pixel_ranks_depth: Tensor,
    pixel_ranks_bev: Tensor,
    pixel_offsets: Tensor,
) -> tuple[Tensor, Tensor]:
    weights = depth.index_select(0, pixel_ranks_depth)  # [P]
    grad_feat = _bag(grad_bev, pixel_ranks_bev, pixel_offsets, weights)  # [B*N*Hf*Wf, C]
    grad_points = _dots(grad_bev, feat, ranks_feat, ranks_bev, cell_offsets)
    return torch.zeros_like(depth).scatter_(0, ranks_depth.long(), grad_points), grad_feat  # no depth index twice


@_bev_pool_backward.register_fake
def _(grad_bev: Tensor, depth: Tensor, feat: Tensor, *ranks: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(depth), torch.empty_like(feat)


def _setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad_bev: Tensor) -> tuple[Tensor | None, ...]:
    grad_depth, grad_feat = torch.ops.bevdeploy.bev_pool_backward(grad_bev.contiguous(), *ctx.saved_tensors)
    return (grad_depth, grad_feat, *[None] * 7)


_bev_pool.register_autograd(_backward, setup_context=_setup_context)


def _bag(table: Tensor, rows: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
    return F.embedding_bag(
        rows, table, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )  # [len(offsets) - 1, C]


def _dots(cells: Tensor, pixels: Tensor, ranks_feat: Tensor, ranks_bev: Tensor, cell_offsets: Tensor) -> Tensor:
    """Dot product of every point's cell and pixel: [P]."""
    if cells.device.type != "cpu":
        dots: Tensor = torch.ops.aten._embedding_bag_per_sample_weights_backward(
            cells, pixels, ranks_feat, cell_offsets[:-1], ranks_bev, 0, -1
        )
        return dots
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support", category=UserWarning)
        points = torch.sparse_csr_tensor(
            cell_offsets,
            ranks_feat,
            cells.new_zeros(len(ranks_feat)),
            size=(len(cells), len(pixels)),
            check_invariants=False,
        )  # one entry per point; the sampled product takes 0.4 of the embedding bag's time
    sampled: Tensor = torch.sparse.sampled_addmm(points, cells, pixels.t(), beta=0.0)
    return sampled.values()


def _check(depth: Tensor, feat: Tensor, ranks: PoolRanks) -> None:
    if depth.dim() != 5 or feat.dim() != 5:
        raise GeometryError(
            f"bev_pool: expected depth [B, N, D, Hf, Wf] and feat [B, N, Hf, Wf, C], "
            f"got {tuple(depth.shape)} and {tuple(feat.shape)}"
        )
    b, n, _, hf, wf = depth.shape
    if feat.shape[:4] != (b, n, hf, wf):
        raise GeometryError(f"bev_pool: feat: expected ({b}, {n}, {hf}, {wf}, C), got {tuple(feat.shape)}")
    if depth.dtype != feat.dtype or not depth.dtype.is_floating_point:
        raise GeometryError(
            f"bev_pool: depth is {depth.dtype}, feat is {feat.dtype}; one floating-point type is needed"
        )
    if b != ranks.grid[0] or ranks.pixel_offsets.shape[0] != b * n * hf * wf + 1:
        raise GeometryError(
            f"bev_pool: the ranks are for a batch of {ranks.grid[0]} and {ranks.pixel_offsets.shape[0] - 1} feature "
            f"pixels, depth and feat have a batch of {b} and {b * n * hf * wf}"
        )
    if not depth.device == feat.device == ranks.ranks_depth.device:
        raise GeometryError(
            f"bev_pool: depth is on {depth.device}, feat on {feat.device}, the ranks on {ranks.ranks_depth.device}"
        )
