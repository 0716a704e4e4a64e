"""Indices of a rig: against a loop over every point, and their invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
)
from bevdeploy.geometry.frustum import rays_from_rig

SEEDED = settings(max_examples=15, deadline=None, derandomize=True)


def indices_by_loop(rig: CameraRig, view: ViewGeometry) -> list[tuple[int, int, int]]:
    """(cell, depth index, feature index) of every kept point, sorted: the rounding contract, one point at a time."""
    rays = rays_from_rig(rig, view)
    pixels = view.feature_hw[0] * view.feature_hw[1]
    depths_m = view.depth_bins.depths_m()
    columns, rows, layers = view.grid.count
    kept = []
    for n in range(len(rig.cameras)):
        for d, depth_m in enumerate(depths_m):
            for p in range(pixels):
                point = [
                    np.float32(np.float32(r * depth_m) + o)
                    for r, o in zip(rays.direction[n, :, p], rays.origin[n], strict=True)
                ]
                if all(-1 < value < count for value, count in zip(point, (columns, rows, layers), strict=True)):
                    x, y, z = (int(value) for value in point)
                    kept.append((x + columns * (y + rows * z), (n * len(depths_m) + d) * pixels + p, n * pixels + p))
    return sorted(kept)


def check_invariants(indices: BEVPoolIndices, rig: CameraRig, view: ViewGeometry) -> None:
    starts, lengths = indices.interval_starts, indices.interval_lengths
    points = len(indices.ranks_bev)
    assert all(array.dtype == np.int32 for array in vars(indices).values())
    assert (np.diff(indices.ranks_bev) >= 0).all()
    assert (np.diff(starts) > 0).all()
    assert (lengths > 0).all()
    assert int(lengths.sum()) == points
    assert (starts[1:] == (starts + lengths)[:-1]).all()
    assert len(starts) == len(np.unique(indices.ranks_bev))
    assert len(np.unique(indices.ranks_depth)) == points
    if points:
        assert starts[0] == 0
        assert 0 <= indices.ranks_depth.min() <= indices.ranks_depth.max() < view.depth_size(len(rig.cameras))
        assert 0 <= indices.ranks_bev[0] <= indices.ranks_bev[-1] < np.prod(view.grid.count)


@SEEDED
@given(seed=st.integers(0, 2**32 - 1), cameras=st.integers(1, 7))
def test_random_rigs_equal_the_loop(random_rig, random_view, seed: int, cameras: int) -> None:
    rng = np.random.default_rng(seed)
    rig, view = random_rig(rng, cameras), random_view(rng)
    indices = indices_from_rig(rig, view)
    check_invariants(indices, rig, view)
    columns = (indices.ranks_bev, indices.ranks_depth, indices.ranks_feat)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == indices_by_loop(rig, view)


def test_wide_keys_sort_as_narrow_ones() -> None:
    """More than 2**16 cells take the other sort."""
    view = ViewGeometry(BEVGrid.centred(51.2, 0.2, (-5, 3)), DepthBins(1, 50, 3), (256, 704), (4, 11))
    rig = surround_rig()
    indices = indices_from_rig(rig, view)
    assert np.prod(view.grid.count) > 2**16
    check_invariants(indices, rig, view)
    assert indices.ranks_bev.tolist() == [cell for cell, _, _ in indices_by_loop(rig, view)]


def test_a_grid_that_nobody_sees() -> None:
    view = ViewGeometry(BEVGrid((500.0, 500.0, 0.0), (1.0, 1.0, 1.0), (4, 4, 1)), DepthBins(1, 9, 1), (16, 32), (2, 4))
    indices = indices_from_rig(surround_rig(), view)
    assert all(len(array) == 0 for array in vars(indices).values())


def test_too_many_points_for_32_bits() -> None:
    view = ViewGeometry(BEVGrid.centred(8, 1, (-5, 3)), DepthBins(1, 1001, 1), (256, 704), (1024, 1024))
    with pytest.raises(GeometryError, match="32-bit"):
        indices_from_rig(surround_rig(), view)


def test_pooling_keeps_the_mass_of_kept_points(rng: np.random.Generator, small_rig, small_view) -> None:
    indices = indices_from_rig(small_rig, small_view)
    shape = (1, 6, small_view.depth_bins.count, *small_view.feature_hw)
    depth = rng.random(shape)
    feat = np.ones((1, 6, *small_view.feature_hw, 2))
    bev = bev_pool_numpy(depth, feat, indices, small_view.grid.shape_zyx)  # [1, 2, Y, X]
    kept = depth.reshape(-1)[indices.ranks_depth].sum()
    assert len(indices.ranks_depth) > 500
    assert np.allclose(bev.sum((2, 3)), kept)


def test_four_points_by_hand() -> None:
    """Cell 1 gets 0.5 * (1, 2) + 0.25 * (10, 20) = (3, 6), cell 5 of layer 1 gets 2 * (10, 20); the rest is zero."""
    arrays = ([3, 5, 0], [0, 1, 1], [1, 1, 5], [0, 2], [2, 1])
    indices = BEVPoolIndices(*(np.array(array, np.int32) for array in arrays))
    depth = np.array([2.0, 9, 9, 0.5, 9, 0.25]).reshape(1, 1, 3, 1, 2)
    feat = np.array([[1.0, 2], [10, 20]]).reshape(1, 1, 1, 2, 2)
    bev = bev_pool_numpy(depth, feat, indices, (2, 2, 2))  # [1, Z*C, Y, X]
    expected = np.zeros((1, 4, 2, 2))
    expected[0, :2, 0, 1] = 3, 6  # layer 0
    expected[0, 2:, 0, 1] = 20, 40  # layer 1: cell 5 is z 1, y 0, x 1
    assert np.array_equal(bev, expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_moving_the_grid_by_a_cell_moves_the_bev_by_a_cell(small_rig, small_view, axis: int) -> None:
    grid = small_view.grid
    lower_m = list(grid.lower_m)
    lower_m[axis] += grid.cell_m[axis]
    moved = ViewGeometry(
        BEVGrid(tuple(lower_m), grid.cell_m, grid.count),
        small_view.depth_bins,
        small_view.net_hw,
        small_view.feature_hw,
    )
    before, after = points_per_cell(small_rig, small_view), points_per_cell(small_rig, moved)
    before, after = (np.moveaxis(counts, 1 - axis, 0) for counts in (before, after))  # moved axis first
    # The first cells also hold the points of (-1, 0): those of column 0 before lie outside column 1.
    assert np.array_equal(after[1:-1], before[2:])
    assert after[1:-1].sum() > 300


def points_per_cell(rig: CameraRig, view: ViewGeometry) -> np.ndarray:
    """[Y, X]"""
    counts = np.bincount(indices_from_rig(rig, view).ranks_bev, minlength=int(np.prod(view.grid.count)))
    return counts.reshape(view.grid.shape_zyx[1:])
