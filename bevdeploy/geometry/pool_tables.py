"""The pool node's tables: static shapes, so that a new calibration is a copy into a running engine.

1. Points of a cell are cut into rows of 16; a row never spans two cells. Empty slots hold the depth index of an
   appended zero (N*D*Hf*Wf) and feature index 0.
2. A row's partial is `depth[row_depth] (1 x 16) @ feat[row_feat] (16 x C)`.
3. Partials are numbered: 0 is zero, then the R rows, the S1 sums of up to 8 rows, the S2 sums of up to 8 of those.
   Empty slots are 0.
4. `cell_row` names the partial that is the whole cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import GeometryError, TableOverflowError
from bevdeploy.geometry.frustum import ViewGeometry
from bevdeploy.geometry.ranks import BEVPoolIndices, indices_from_rig
from bevdeploy.geometry.rig import CameraRig

ROW_POINTS = 16
"""Points of a row."""
FAN_IN = 8
"""Partials that one sum adds."""
MAX_CELL_POINTS = ROW_POINTS * FAN_IN * FAN_IN
"""Points a cell may hold: 1,024."""

Int32 = NDArray[np.int32]


@dataclass(frozen=True)
class TableSizes:
    """Rows of the three padded tables."""

    rows: int
    """R, rows of 16 points."""
    sums1: int
    """S1, sums of up to 8 rows."""
    sums2: int
    """S2, sums of up to 8 sums."""

    def grown(self, headroom: float) -> TableSizes:
        """Sizes with head room for another rig, rounded up; at least one row each.

        A share of a handful of sums is no room, and a moving vehicle's rig differs from frame to frame: head room is at
        least `SPARE_SUMS` of either kind.
        """
        spare = SPARE_SUMS if headroom > 1 else 0
        rows, sums1, sums2 = (max(1, math.ceil(n * headroom - 1e-9)) for n in (self.rows, self.sums1, self.sums2))
        return TableSizes(rows, max(sums1, self.sums1 + spare), max(sums2, self.sums2 + spare))


@dataclass(frozen=True, eq=False)
class PoolTables:
    """The node's five index inputs, int32."""

    row_depth: Int32
    """[R, 16]"""
    row_feat: Int32
    """[R, 16]"""
    sum1: Int32
    """[S1, 8]"""
    sum2: Int32
    """[S2, 8]"""
    cell_row: Int32
    """[Z*Y, X]"""

    def arrays(self) -> dict[str, Int32]:
        """Tables by their name in the graph, in the node's order."""
        return {name: getattr(self, name) for name in TABLE_NAMES}


SPARE_SUMS = 16
"""Sums that head room adds at least."""
TABLE_NAMES = ("row_depth", "row_feat", "sum1", "sum2", "cell_row")


def tables_from_rig(rig: CameraRig, geometry: ViewGeometry, sizes: TableSizes | None = None) -> PoolTables:
    """Tables of a rig, padded to `sizes`; None means as large as this rig needs.

    Raises:
        GeometryError: the rig cannot be used, or a cell holds more than 1,024 points.
        TableOverflowError: the rig needs more rows or sums than `sizes`.
    """
    return tables_from_indices(indices_from_rig(rig, geometry), geometry, len(rig.cameras), sizes)


def tables_from_indices(
    indices: BEVPoolIndices, geometry: ViewGeometry, cameras: int, sizes: TableSizes | None = None
) -> PoolTables:
    """Tables of plain ranks; arguments and errors as `tables_from_rig`."""
    lengths = indices.interval_lengths.astype(np.int64)
    if lengths.size and lengths.max() > MAX_CELL_POINTS:
        raise GeometryError(
            f"a BEV cell receives {lengths.max()} points, the pool tables hold at most {MAX_CELL_POINTS} per cell; "
            "use smaller cells or fewer depth bins (init --option)"
        )
    pad_depth = geometry.depth_size(cameras)
    row_slots, rows_of_cell = _row_slots(lengths, ROW_POINTS)
    rows = int(rows_of_cell.sum())
    multi = np.flatnonzero(rows_of_cell > 1)
    sum1_slots, sums1_of_cell = _row_slots(rows_of_cell[multi], FAN_IN)
    sums1 = int(sums1_of_cell.sum())
    big = np.flatnonzero(sums1_of_cell > 1)
    sum2_slots, sums2_of_cell = _row_slots(sums1_of_cell[big], FAN_IN)
    sums2 = int(sums2_of_cell.sum())

    need = TableSizes(rows, sums1, sums2)
    sizes = sizes or need.grown(1.0)
    check_fit(need, sizes)

    first_row = 1 + np.cumsum(rows_of_cell) - rows_of_cell  # partial of each cell's first row
    first_sum1 = 1 + sizes.rows + np.cumsum(sums1_of_cell) - sums1_of_cell
    whole = first_row.copy()
    whole[multi] = first_sum1
    whole[multi[big]] = 1 + sizes.rows + sizes.sums1 + np.arange(len(big))

    z, y, x = geometry.pool_grid.shape_zyx
    cell_row = np.zeros(z * y * x, np.int32)
    cell_row[indices.ranks_bev[indices.interval_starts]] = whole
    return PoolTables(
        _filled(sizes.rows, ROW_POINTS, pad_depth, row_slots, indices.ranks_depth),
        _filled(sizes.rows, ROW_POINTS, 0, row_slots, indices.ranks_feat),
        _filled(sizes.sums1, FAN_IN, 0, sum1_slots, _runs(first_row[multi], rows_of_cell[multi])),
        _filled(sizes.sums2, FAN_IN, 0, sum2_slots, _runs(first_sum1[big], sums1_of_cell[big])),
        cell_row.reshape(z * y, x),
    )


def sizes_of_need(indices: BEVPoolIndices) -> TableSizes:
    """Rows and sums that plain ranks need, without head room."""
    rows = -(-indices.interval_lengths.astype(np.int64) // ROW_POINTS)
    sums1 = -(-rows[rows > 1] // FAN_IN)
    return TableSizes(int(rows.sum()), int(sums1.sum()), int(np.count_nonzero(sums1 > 1)))


def check_fit(need: TableSizes, sizes: TableSizes) -> None:
    """Refuse a rig that the declared tables cannot hold.

    Raises:
        TableOverflowError: names the table and the option to raise.
    """
    for what, needed, declared in (
        ("rows of 16 points", need.rows, sizes.rows),
        ("first sums", need.sums1, sizes.sums1),
        ("second sums", need.sums2, sizes.sums2),
    ):
        if needed > declared:
            raise TableOverflowError(
                f"this rig needs {needed} {what}, the graph declares {declared}; export again with this rig "
                "(bevdeploy export --rig FILE) or with more head room (--table-headroom, 1.25 by default)"
            )


def _row_slots(lengths: NDArray[np.int64], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lay consecutive runs out in rows of `width`: flat slot of every element, and rows per run."""
    rows = -(-lengths // width)
    shift = (np.cumsum(rows) - rows) * width - (np.cumsum(lengths) - lengths)  # slot minus element, per run
    return np.arange(lengths.sum()) + np.repeat(shift, lengths), rows


def _runs(first: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """first[0], first[0]+1, ... (lengths[0] of them), first[1], ..."""
    shift: NDArray[np.int64] = first - (np.cumsum(lengths) - lengths)
    return np.asarray(np.arange(lengths.sum()) + np.repeat(shift, lengths), np.int64)


def _filled(rows: int, width: int, padding: int, slots: NDArray[np.int64], values: NDArray[np.integer[Any]]) -> Int32:
    table = np.full(rows * width, padding, np.int32)
    table[slots] = values
    return table.reshape(rows, width)
