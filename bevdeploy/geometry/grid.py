"""The BEV grid and the depth bins: bounds, cell size, cell centres, shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import GeometryError

MAX_CELLS = 2**24 - 1
"""Cells a grid may have; the plugin's packed index words hold 24 bits."""


@dataclass(frozen=True)
class BEVGrid:
    """Cells along x (forward), y (left) and z (up) of the ego frame."""

    lower_m: tuple[float, float, float]
    """Lower bound along x, y, z."""
    cell_m: tuple[float, float, float]
    """Cell size along x, y, z."""
    count: tuple[int, int, int]
    """Number of cells along x, y, z."""

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (*self.lower_m, *self.cell_m)):
            raise GeometryError(f"BEV grid: bounds and cell sizes must be finite, got {self}")
        if min(self.cell_m) <= 0 or min(self.count) < 1:
            raise GeometryError(
                f"BEV grid is empty: {self.count} cells of {self.cell_m} m along x, y, z; "
                "every count must be at least 1 and every cell larger than 0"
            )
        if math.prod(self.count) > MAX_CELLS:
            raise GeometryError(f"BEV grid has {math.prod(self.count)} cells, at most {MAX_CELLS} are supported")

    @classmethod
    def centred(cls, half_extent_m: float, cell_m: float, z_m: tuple[float, float], z_count: int = 1) -> BEVGrid:
        """A square grid around the ego vehicle, `z_count` cells from `z_m[0]` to `z_m[1]`.

        Raises:
            GeometryError: the grid would be empty.
        """
        if half_extent_m <= 0 or cell_m <= 0 or z_count < 1:
            raise GeometryError(f"BEV grid is empty: half extent {half_extent_m} m, cell {cell_m} m, {z_count} along z")
        side = round(2 * half_extent_m / cell_m)
        lower_m = (-half_extent_m, -half_extent_m, z_m[0])
        return cls(lower_m, (cell_m, cell_m, (z_m[1] - z_m[0]) / z_count), (side, side, z_count))

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Number of cells along z, y, x: the order of BEV tensors."""
        x, y, z = self.count
        return z, y, x

    @property
    def upper_m(self) -> tuple[float, float, float]:
        """Upper bound along x, y, z."""
        x, y, z = (lo + n * size for lo, n, size in zip(self.lower_m, self.count, self.cell_m, strict=True))
        return x, y, z

    def finer(self, factor: int) -> BEVGrid:
        """The same area in `factor` x `factor` cells along x and y for each cell.

        Raises:
            GeometryError: the factor is below 1, or the cells are too many.
        """
        if factor < 1:
            raise GeometryError(f"a cell is split in 1 or more along each side, got {factor}")
        (x, y, z), (size_x, size_y, size_z) = self.count, self.cell_m
        return BEVGrid(self.lower_m, (size_x / factor, size_y / factor, size_z), (x * factor, y * factor, z))

    def centres_m(self, axis: int) -> NDArray[np.float64]:
        """Cell centres [count] along one axis (0 x, 1 y, 2 z)."""
        return self.lower_m[axis] + (np.arange(self.count[axis]) + 0.5) * self.cell_m[axis]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> BEVGrid:
        """The grid of a JSON or TOML table with `lower_m`, `cell_m` and `count`."""
        try:
            x, y, z = (int(n) for n in document["count"])
            low_x, low_y, low_z = (float(v) for v in document["lower_m"])
            size_x, size_y, size_z = (float(v) for v in document["cell_m"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise GeometryError(f"BEV grid needs lower_m, cell_m and count of three numbers each ({error})") from error
        return cls((low_x, low_y, low_z), (size_x, size_y, size_z), (x, y, z))


@dataclass(frozen=True)
class DepthBins:
    """Candidate depths along the optical axis: start, start + step, ... below stop."""

    start_m: float
    stop_m: float
    step_m: float

    def __post_init__(self) -> None:
        values = (self.start_m, self.stop_m, self.step_m)
        if not all(math.isfinite(v) for v in values) or self.step_m <= 0 or not 0 < self.start_m < self.stop_m:
            raise GeometryError(f"depth bins are empty or behind the camera: {self}")

    @property
    def count(self) -> int:
        """Number of bins D."""
        return max(1, math.ceil((self.stop_m - self.start_m) / self.step_m - 1e-9))

    def depths_m(self) -> NDArray[np.float32]:
        """Depths [D], rounded once from float64."""
        return (self.start_m + self.step_m * np.arange(self.count)).astype(np.float32)
