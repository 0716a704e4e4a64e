"""Plane: where the cells of a BEV map lie in metres; and linear resampling from one plane to another.

Teacher and student may have cells of unlike size and grids of unlike extent. Resampling has no weights to learn, so it
may be applied to a teacher's map: a learned one could shrink both sides to a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bevdeploy.errors import TrainingError
from bevdeploy.geometry import BEVGrid
from bevdeploy.tasks import TaskSpec


@dataclass(frozen=True)
class Plane:
    """Cells along x and y."""

    lower_m: tuple[float, float]
    cell_m: tuple[float, float]
    count: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns Y, X of a map."""
        return self.count[1], self.count[0]

    @property
    def upper_m(self) -> tuple[float, float]:
        """Upper bounds along x, y."""
        x, y = (low + n * cell for low, n, cell in zip(self.lower_m, self.count, self.cell_m, strict=True))
        return x, y

    @property
    def cell_area_m2(self) -> float:
        """Area of a cell."""
        return self.cell_m[0] * self.cell_m[1]

    def centres_m(self, axis: int) -> NDArray[np.float64]:
        """Cell centres [count] along x (0) or y (1)."""
        return self.lower_m[axis] + (np.arange(self.count[axis]) + 0.5) * self.cell_m[axis]


def plane_of(grid: BEVGrid, size: tuple[int, int] | None = None) -> Plane:
    """The plane of a map of `size` Y, X that covers a grid; without `size` the grid's own cells."""
    rows, columns = size or grid.shape_zyx[1:]
    extent_m = [high - low for low, high in zip(grid.lower_m[:2], grid.upper_m[:2], strict=True)]
    return Plane((grid.lower_m[0], grid.lower_m[1]), (extent_m[0] / columns, extent_m[1] / rows), (columns, rows))


def occupancy_plane(tasks: TaskSpec) -> Plane:
    """Cells of the occupancy output."""
    half, side = tasks.occupancy_half_extent_m, tasks.occupancy_side
    return Plane((-half, -half), (2 * half / side, 2 * half / side), (side, side))


def over_extent(plane: Plane, extent: Plane) -> Plane:
    """The extent of one plane in cells of about another's size; the plane itself where the extents agree."""
    if _same_extent(plane, extent):
        return plane
    span_m = [high - low for low, high in zip(extent.lower_m, extent.upper_m, strict=True)]
    count = [max(1, round(span / cell)) for span, cell in zip(span_m, plane.cell_m, strict=True)]
    return Plane(extent.lower_m, (span_m[0] / count[0], span_m[1] / count[1]), (count[0], count[1]))


def check_covered(extent: Plane, by: Plane) -> None:
    """A teacher must see all that a student sees; half of a cell may be missing.

    Raises:
        TrainingError: it does not.
    """
    for axis, name in enumerate("xy"):
        slack_m = 0.5 * max(extent.cell_m[axis], by.cell_m[axis])
        if by.lower_m[axis] > extent.lower_m[axis] + slack_m or by.upper_m[axis] < extent.upper_m[axis] - slack_m:
            raise TrainingError(
                f"along {name} the teacher covers {by.lower_m[axis]:g} to {by.upper_m[axis]:g} m, the student "
                f"{extent.lower_m[axis]:g} to {extent.upper_m[axis]:g} m: take a teacher with a larger grid or a "
                "student with a smaller one"
            )


class Resample(nn.Module):
    """Maps of one plane on the cells of another, in float32: linear between centres, averaged where cells grow."""

    along_x: Tensor
    along_y: Tensor

    def __init__(self, source: Plane, target: Plane) -> None:
        super().__init__()
        self.same = _same_extent(source, target) and source.count == target.count
        for axis, name in enumerate(("along_x", "along_y")):
            weights = torch.tensor(resample_weights(source, target, axis))  # [target, source]
            self.register_buffer(name, weights, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, Y, X] of the source to float32 [B, C, Y, X] of the target."""
        x = x.float()
        if self.same:
            return x
        with torch.autocast(x.device.type, enabled=False):
            resampled: Tensor = self.along_y @ (x @ self.along_x.T)
        return resampled


@lru_cache(maxsize=64)
def resample_weights(source: Plane, target: Plane, axis: int) -> NDArray[np.float32]:
    """Weights [target, source] of each target centre along one axis: a triangle as wide as the larger cell.

    Beyond the outermost centres the outermost cell counts. Between planes of one extent these are the weights of
    torch's bilinear interpolation, antialiased, without aligned corners.
    """
    centres_m, at_m = source.centres_m(axis), target.centres_m(axis)
    at_m = at_m.clip(centres_m[0], centres_m[-1])
    reach_m = max(source.cell_m[axis], target.cell_m[axis])
    weights = np.maximum(0, 1 - np.abs(at_m[:, None] - centres_m) / reach_m)  # [target, source]
    shares: NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return shares


def _same_extent(a: Plane, b: Plane) -> bool:
    """Whether the bounds agree within a thousandth of a cell."""
    slack_m = 1e-3 * min(*a.cell_m, *b.cell_m)
    return bool(np.allclose(a.lower_m + a.upper_m, b.lower_m + b.upper_m, rtol=0, atol=slack_m))
