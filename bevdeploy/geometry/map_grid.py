"""The grid of a student's map: its tasks' own, or that of its BEV features."""

from __future__ import annotations

import math

from bevdeploy.errors import GeometryError
from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.tasks import TaskSpec


def map_grid(grid: BEVGrid, tasks: TaskSpec) -> BEVGrid:
    """Cells of the map masks and probabilities, for a BEV grid; one along z.

    Raises:
        GeometryError: the tasks give half of a grid, an empty one, or one that is not whole cells.
    """
    half_extent_m, cell_m = tasks.map_half_extent_m, tasks.map_cell_m
    if half_extent_m is None and cell_m is None:
        return grid
    if half_extent_m is None or cell_m is None:
        raise GeometryError(
            f"the map's grid needs map_half_extent_m and map_cell_m, or neither; got {half_extent_m} and {cell_m}"
        )
    if not (math.isfinite(half_extent_m) and math.isfinite(cell_m) and 0 < cell_m <= 2 * half_extent_m):
        raise GeometryError(f"the map's grid is empty: half extent {half_extent_m} m, cell {cell_m} m")
    cells = 2 * half_extent_m / cell_m
    if abs(cells - round(cells)) > 1e-6 * cells:
        raise GeometryError(
            f"the map's grid of +-{half_extent_m:g} m is {cells:g} cells of {cell_m:g} m, no whole number"
        )
    return BEVGrid.centred(half_extent_m, cell_m, (grid.lower_m[2], grid.upper_m[2]))
