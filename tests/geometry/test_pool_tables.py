"""The pool node's tables: by hand, against plain ranks, padding and limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bevdeploy.errors import GeometryError, TableOverflowError
from bevdeploy.geometry import (
    BEVGrid,
    BEVPoolIndices,
    DepthBins,
    PoolTables,
    TableSizes,
    ViewGeometry,
    bev_pool_numpy,
    bev_pool_tables_numpy,
    indices_from_rig,
    tables_from_rig,
)
from bevdeploy.geometry.pool_tables import check_fit, sizes_of_need, tables_from_indices

SEEDED = settings(max_examples=20, deadline=None, derandomize=True)


def indices_of_lengths(lengths: dict[int, int]) -> tuple[BEVPoolIndices, ViewGeometry]:
    """`lengths` points in each cell of a 3 x 2 grid; one camera of one pixel sees them in as many depth bins."""
    points = sum(lengths.values())
    view = ViewGeometry(BEVGrid((0, 0, 0), (1, 1, 1), (3, 2, 1)), DepthBins(1, 1 + points, 1), (1, 1), (1, 1))
    counts = np.array(list(lengths.values()))
    arrays = (
        np.arange(points),
        np.zeros(points),
        np.repeat(list(lengths), counts),
        np.cumsum(counts) - counts,
        counts,
    )
    return BEVPoolIndices(*(np.asarray(array, np.int32) for array in arrays)), view


def test_tables_by_hand() -> None:
    """1, 16, 17 and 129 points: 1, 1, 2 and 9 rows; 17 points need one sum, 129 need two and one of those two."""
    indices, view = indices_of_lengths({0: 1, 1: 16, 2: 17, 4: 129})
    assert sizes_of_need(indices) == TableSizes(13, 3, 1)
    tables = tables_from_indices(indices, view, 1)
    assert tables.cell_row.tolist() == [[1, 2, 14], [0, 17, 0]]  # partials: 0, rows 1-13, sums 14-16, second sum 17
    assert tables.row_depth[0].tolist() == [0] + [163] * 15  # the appended zero is entry 163
    assert tables.row_depth[1].tolist() == list(range(1, 17))
    assert tables.row_depth[3].tolist() == [33] + [163] * 15
    assert tables.sum1.tolist() == [[3, 4, 0, 0, 0, 0, 0, 0], [5, 6, 7, 8, 9, 10, 11, 12], [13, 0, 0, 0, 0, 0, 0, 0]]
    assert tables.sum2.tolist() == [[15, 16, 0, 0, 0, 0, 0, 0]]


def test_larger_tables_shift_the_partials() -> None:
    indices, view = indices_of_lengths({0: 1, 1: 16, 2: 17, 4: 129})
    tables = tables_from_indices(indices, view, 1, TableSizes(20, 10, 5))
    assert [len(table) for table in (tables.row_depth, tables.row_feat, tables.sum1, tables.sum2)] == [20, 20, 10, 5]
    assert tables.cell_row.tolist() == [[1, 2, 21], [0, 31, 0]]
    assert (tables.row_depth[13:] == 163).all()
    assert not tables.sum1[3:].any()
    assert not tables.sum2[1:].any()


@SEEDED
@given(seed=st.integers(0, 2**32 - 1), cameras=st.integers(1, 7), headroom=st.sampled_from([1.0, 1.25, 2.0]))
def test_tables_pool_as_ranks_do(random_rig, random_view, seed: int, cameras: int, headroom: float) -> None:
    rng = np.random.default_rng(seed)
    rig, view = random_rig(rng, cameras), random_view(rng)
    indices = indices_from_rig(rig, view)
    assume(not len(indices.interval_lengths) or indices.interval_lengths.max() <= 1024)
    sizes = sizes_of_need(indices).grown(headroom)
    tables = tables_from_rig(rig, view, sizes)
    check_table_ranges(tables, sizes, view, cameras)
    depth = rng.random((1, cameras, view.depth_bins.count, *view.feature_hw))
    feat = rng.normal(size=(1, cameras, *view.feature_hw, 3))
    expected = bev_pool_numpy(depth, feat, indices, view.grid.shape_zyx)
    z, y, x = view.grid.shape_zyx
    assert expected.shape == (1, z * 3, y, x)
    # float64 sums of at most 1,024 products in another order
    assert np.allclose(bev_pool_tables_numpy(depth, feat, tables, view.grid.shape_zyx), expected, rtol=0, atol=1e-11)


def check_table_ranges(tables: PoolTables, sizes: TableSizes, view: ViewGeometry, cameras: int) -> None:
    z, y, x = view.grid.shape_zyx
    assert [array.shape for array in tables.arrays().values()] == [
        (sizes.rows, 16),
        (sizes.rows, 16),
        (sizes.sums1, 8),
        (sizes.sums2, 8),
        (z * y, x),
    ]
    assert all(array.dtype == np.int32 and array.min() >= 0 for array in tables.arrays().values())
    assert tables.row_depth.max() <= view.depth_size(cameras)
    assert tables.sum1.max() <= sizes.rows
    assert tables.sum2.max() <= sizes.rows + sizes.sums1
    assert tables.cell_row.max() <= sizes.rows + sizes.sums1 + sizes.sums2


def test_sums_of_sums_pool_as_ranks_do(rng: np.random.Generator) -> None:
    """Long cells, up to the limit of 1,024 points, through both levels of sums."""
    indices, view = indices_of_lengths({0: 1024, 1: 128, 2: 129, 3: 15, 5: 500})
    points = view.depth_bins.count
    depth, feat = rng.random((1, 1, points, 1, 1)), rng.normal(size=(1, 1, 1, 1, 4))
    tables = tables_from_indices(indices, view, 1)
    assert len(tables.sum2) == 3
    got = bev_pool_tables_numpy(depth, feat, tables, (1, 2, 3))
    assert np.allclose(got, bev_pool_numpy(depth, feat, indices, (1, 2, 3)), rtol=1e-12)


def test_a_cell_of_too_many_points() -> None:
    indices, view = indices_of_lengths({4: 1025})
    with pytest.raises(GeometryError, match=r"1025 points.*at most 1024"):
        tables_from_indices(indices, view, 1)


@pytest.mark.parametrize(
    ("sizes", "table"),
    [
        (TableSizes(12, 3, 1), "13 rows of 16 points"),
        (TableSizes(13, 2, 1), "3 first sums"),
        (TableSizes(13, 3, 0), "1 second sums"),
    ],
)
def test_a_rig_that_exceeds_the_tables(sizes: TableSizes, table: str) -> None:
    indices, view = indices_of_lengths({0: 1, 1: 16, 2: 17, 4: 129})
    with pytest.raises(TableOverflowError, match=rf"needs {table}.*--table-headroom"):
        tables_from_indices(indices, view, 1, sizes)


def test_sizes_grow_upwards() -> None:
    assert TableSizes(8, 3, 0).grown(1.25) == TableSizes(10, 19, 16), "a share of a handful is no room"
    assert TableSizes(800, 300, 100).grown(1.25) == TableSizes(1000, 375, 125)
    assert TableSizes(0, 0, 0).grown(1.0) == TableSizes(1, 1, 1)
    check_fit(TableSizes(10, 4, 1), TableSizes(10, 4, 1))


def test_a_grid_that_nobody_sees(small_rig) -> None:
    view = ViewGeometry(BEVGrid((500, 500, 0), (1, 1, 1), (4, 3, 1)), DepthBins(1, 9, 1), (16, 32), (2, 4))
    tables = tables_from_rig(small_rig, view)
    assert not tables.cell_row.any()
    depth, feat = np.ones((1, 6, 8, 2, 4)), np.ones((1, 6, 2, 4, 5))
    assert not bev_pool_tables_numpy(depth, feat, tables, (1, 3, 4)).any()
