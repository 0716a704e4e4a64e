"""The map's own grid, and a pool of finer cells than the BEV grid's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import BEVGrid, CameraRig, ViewGeometry, indices_from_rig, map_grid, tables_from_rig
from bevdeploy.tasks import TaskSpec

GRID = BEVGrid.centred(51.2, 0.8, (-5.0, 3.0))


def test_tasks_without_a_map_grid_take_that_of_the_features() -> None:
    assert map_grid(GRID, TaskSpec()) is GRID
    own = TaskSpec(map_half_extent_m=50.0, map_cell_m=0.5)
    assert map_grid(GRID, own) == BEVGrid.centred(50.0, 0.5, (-5.0, 3.0))
    assert own.only("detection") == TaskSpec().only("detection"), "no map, no grid of it"


@pytest.mark.parametrize(
    ("half_extent_m", "cell_m", "words"),
    [
        (50.0, None, "or neither; got 50.0 and None"),
        (None, 0.5, "or neither; got None and 0.5"),
        (50.0, 0.0, "empty"),
        (-50.0, 0.5, "empty"),
        (50.0, float("nan"), "empty"),
        (float("inf"), 0.5, "empty"),
        (50.0, 0.7, "142.857 cells of 0.7 m, no whole number"),
        (5e6, 0.5, "at most 16777215"),
    ],
)
def test_half_a_grid_and_empty_ones_are_refused(half_extent_m: float, cell_m: float, words: str) -> None:
    with pytest.raises(GeometryError) as caught:
        map_grid(GRID, TaskSpec(map_half_extent_m=half_extent_m, map_cell_m=cell_m))
    assert words in str(caught.value)


def test_a_finer_grid_covers_the_same_area() -> None:
    grid = BEVGrid((-20.0, -12.0, -5.0), (2.0, 3.0, 8.0), (20, 8, 1))
    fine = grid.finer(4)
    assert fine.count == (80, 32, 1) and fine.cell_m == (0.5, 0.75, 8.0)
    assert fine.lower_m == grid.lower_m and fine.upper_m == grid.upper_m
    assert grid.finer(1) == grid
    with pytest.raises(GeometryError, match="1 or more"):
        grid.finer(0)


def test_points_are_pooled_in_the_finer_cells(small_rig: CameraRig, small_view: ViewGeometry) -> None:
    """As with a BEV grid of those cells, and as one cell of the coarse grid for each block of four."""
    halved = replace(small_view, pool_per_cell=2)
    plain = replace(small_view, grid=small_view.grid.finer(2))
    ours, theirs = indices_from_rig(small_rig, halved), indices_from_rig(small_rig, plain)
    for name, value in vars(ours).items():
        np.testing.assert_array_equal(value, getattr(theirs, name))
    tables, expected = tables_from_rig(small_rig, halved), tables_from_rig(small_rig, plain)
    for name, table in tables.arrays().items():
        np.testing.assert_array_equal(table, expected.arrays()[name])
    assert tables.cell_row.shape == (24, 40)
    coarse = indices_from_rig(small_rig, small_view)
    columns = small_view.grid.count[0]
    y, x = np.divmod(ours.ranks_bev, 2 * columns)
    block_of = dict(zip(ours.ranks_depth.tolist(), (y // 2 * columns + x // 2).tolist(), strict=True))
    held = dict(zip(coarse.ranks_depth.tolist(), coarse.ranks_bev.tolist(), strict=True))
    inside = block_of.keys() & held.keys()  # within a cell of the lower edge a point is kept by the coarse grid alone
    assert len(inside) > 0.9 * len(held) and all(block_of[point] == held[point] for point in inside)


def test_a_pool_of_no_cells_is_refused(small_view: ViewGeometry) -> None:
    with pytest.raises(GeometryError, match="pool_per_cell must be at least 1, got 0"):
        replace(small_view, pool_per_cell=0)
