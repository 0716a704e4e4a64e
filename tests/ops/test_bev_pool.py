"""The training op and the pool node against their slow twins, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import (
    BEVGrid,
    BEVPoolIndices,
    CameraRig,
    DepthBins,
    ViewGeometry,
    bev_pool_numpy,
    indices_from_rig,
    surround_rig,
    tables_from_rig,
)
from bevdeploy.ops import (
    PoolRanks,
    bev_pool,
    bev_pool_node,
    bev_pool_node_torch,
    bev_pool_torch,
    pool_ranks,
    pool_table_tensors,
)

RTOL_FP32 = 2e-6
"""Relative L2. Cells sum up to some 600 products in another order; worst seen 4e-7 on a CPU."""


def geometry(z_count: int = 1) -> ViewGeometry:
    grid = BEVGrid((-24.0, -16.0, -5.0), (1.6, 1.6, 8.0 / z_count), (30, 20, z_count))
    return ViewGeometry(grid, DepthBins(1.0, 25.0, 2.0), (128, 352), (8, 22))


def batch_of(view: ViewGeometry, batch: int, channels: int, dtype: torch.dtype, cameras: int = 6):
    generator = torch.Generator().manual_seed(3)
    hf, wf = view.feature_hw
    depth = torch.rand(batch, cameras, view.depth_bins.count, hf, wf, generator=generator, dtype=dtype)
    feat = torch.randn(batch, cameras, hf, wf, channels, generator=generator, dtype=dtype)
    rig = CameraRig(surround_rig().cameras[:cameras])
    indices = [indices_from_rig(CameraRig(rig.cameras[k:] + rig.cameras[:k]), view) for k in range(batch)]
    return depth, feat, indices, pool_ranks(indices, view, cameras)


def relative(got: torch.Tensor, want: torch.Tensor) -> float:
    got, want = got.detach().double(), want.detach().double()
    return float((got - want).norm() / want.norm())


def test_four_points_by_hand() -> None:
    """Cell 0 gets 0.5*1 + 0.25*3 = 1.25, cell 2 gets 2*10 = 20 and 1*1 = 1; cells 1 and 3 stay zero."""
    view = ViewGeometry(BEVGrid((0, 0, 0), (1, 1, 1), (2, 2, 1)), DepthBins(1, 3, 1), (1, 3), (1, 3))
    indices = BEVPoolIndices(
        *(np.array(a, np.int32) for a in ([0, 2, 4, 3], [0, 2, 1, 0], [0, 0, 2, 2], [0, 2], [2, 2]))
    )
    depth = torch.tensor([0.5, 9.0, 0.25, 1.0, 2.0, 9.0]).reshape(1, 1, 2, 1, 3)
    feat = torch.tensor([1.0, 10.0, 3.0]).reshape(1, 1, 1, 3, 1)
    bev = bev_pool(depth, feat, pool_ranks([indices], view, 1))
    assert bev.reshape(-1).tolist() == [1.25, 0.0, 21.0, 0.0]


@pytest.mark.parametrize("z_count", [1, 3])
@pytest.mark.parametrize("batch", [1, 3])
def test_forward_and_backward_equal_the_twin(batch: int, z_count: int) -> None:
    depth, feat, _, ranks = batch_of(geometry(z_count), batch, 7, torch.float32)
    weight = torch.randn(batch, z_count * 7, 20, 30, generator=torch.Generator().manual_seed(1))
    grads = []
    for pool in (bev_pool, bev_pool_torch):
        d, f = depth.clone().requires_grad_(), feat.clone().requires_grad_()
        bev = pool(d, f, ranks)
        (bev * weight).sum().backward()
        grads.append((bev, d.grad, f.grad))
    for got, want in zip(*grads, strict=True):
        assert got.shape == want.shape
        assert relative(got, want) < RTOL_FP32


def test_equals_the_numpy_loops() -> None:
    view = geometry(2)
    depth, feat, indices, ranks = batch_of(view, 1, 5, torch.float64)
    want = bev_pool_numpy(depth.numpy(), feat.numpy(), indices[0], view.grid.shape_zyx)
    np.testing.assert_allclose(bev_pool(depth, feat, ranks).numpy(), want, rtol=1e-12, atol=1e-12)


def test_gradcheck() -> None:
    view = ViewGeometry(BEVGrid((-8, -8, -5), (4, 4, 8), (4, 4, 1)), DepthBins(1, 9, 4), (32, 64), (2, 4))
    depth, feat, _, ranks = batch_of(view, 2, 3, torch.float64, cameras=2)
    assert len(ranks.ranks_depth) > 8
    assert torch.autograd.gradcheck(lambda d, f: bev_pool(d, f, ranks), (depth.requires_grad_(), feat.requires_grad_()))


def test_opcheck() -> None:
    depth, feat, _, ranks = batch_of(geometry(), 1, 4, torch.float64)
    arguments = (depth.reshape(-1).requires_grad_(), feat.reshape(-1, 4).requires_grad_(), *ranks[:7])
    torch.library.opcheck(torch.ops.bevdeploy.bev_pool.default, arguments)
    tables = pool_table_tensors(tables_from_rig(surround_rig(), geometry()))
    torch.library.opcheck(torch.ops.bevdeploy.bev_pool_node.default, (depth.detach(), feat.detach(), *tables))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_summed_in_float32(dtype: torch.dtype) -> None:
    depth, feat, _, ranks = batch_of(geometry(), 1, 8, torch.float32)
    bev = bev_pool(depth.to(dtype), feat.to(dtype), ranks)
    assert bev.dtype == dtype
    exact = bev_pool_torch(depth.to(dtype).double(), feat.to(dtype).double(), ranks)
    assert relative(bev, exact) < torch.finfo(dtype).eps  # one rounding, of the result


def test_no_kept_point_gives_zeros_and_zero_gradients() -> None:
    view = ViewGeometry(BEVGrid((900, 900, 0), (1, 1, 1), (4, 4, 1)), DepthBins(1, 9, 4), (32, 64), (2, 4))
    depth, feat, _, ranks = batch_of(view, 1, 3, torch.float32, cameras=2)
    bev = bev_pool(depth.requires_grad_(), feat.requires_grad_(), ranks)
    bev.sum().backward()
    assert bev.shape == (1, 3, 4, 4)
    assert not bev.any() and not depth.grad.any() and not feat.grad.any()


@pytest.mark.parametrize("headroom", [1.0, 1.25])
def test_node_equals_its_twin_and_the_training_op(headroom: float) -> None:
    from bevdeploy.geometry.pool_tables import sizes_of_need

    view = geometry()
    depth, feat, indices, ranks = batch_of(view, 1, 6, torch.float32)
    tables = pool_table_tensors(tables_from_rig(surround_rig(), view, sizes_of_need(indices[0]).grown(headroom)))
    node = bev_pool_node(depth, feat, tables)
    assert relative(node, bev_pool_node_torch(depth, feat, tables)) < RTOL_FP32
    assert relative(node, bev_pool(depth, feat, ranks)) < RTOL_FP32


def test_compiles_without_a_graph_break() -> None:
    depth, feat, _, ranks = batch_of(geometry(), 1, 4, torch.float32)
    compiled = torch.compile(lambda d, f: bev_pool(d, f, ranks).relu(), fullgraph=True, backend="aot_eager")
    assert relative(compiled(depth, feat), bev_pool(depth, feat, ranks).relu()) < RTOL_FP32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, f, r: (d[0], f, r), "expected depth"),
        (lambda d, f, r: (d, f[:, :, 1:], r), r"feat: expected \(1, 6, 8, 22, C\)"),
        (lambda d, f, r: (d.double(), f, r), "one floating-point type"),
        (lambda d, f, r: (d[:, :5], f[:, :5], r), "the ranks are for a batch of 1 and 1056 feature"),
        (lambda d, f, r: (d.repeat(2, 1, 1, 1, 1), f.repeat(2, 1, 1, 1, 1), r), "have a batch of 2"),
        (lambda d, f, r: (d.to("meta"), f, r), "depth is on meta"),
    ],
)
def test_what_does_not_fit_is_refused(change, message: str) -> None:
    depth, feat, _, ranks = batch_of(geometry(), 1, 4, torch.float32)
    with pytest.raises(GeometryError, match=message):
        bev_pool(*change(depth, feat, ranks))


def test_node_refuses_a_batch() -> None:
    depth, feat, _, _ = batch_of(geometry(), 2, 4, torch.float32)
    tables = pool_table_tensors(tables_from_rig(surround_rig(), geometry()))
    with pytest.raises(GeometryError, match=r"ops\.bev_pool"):
        bev_pool_node(depth, feat, tables)


def test_empty_batch_is_refused() -> None:
    with pytest.raises(GeometryError, match="no sample"):
        pool_ranks([], geometry(), 6)


def test_ranks_move() -> None:
    _, _, _, ranks = batch_of(geometry(), 1, 4, torch.float32)
    moved = ranks.to("meta")
    assert isinstance(moved, PoolRanks) and moved.grid == ranks.grid
    assert all(tensor.device.type == "meta" for tensor in moved[:7])
