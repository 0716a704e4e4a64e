"""Where a metre of the ego frame lands in the BEV picture: x forward is up, y left is left.

The ego origin is the middle of a square picture. The scale follows the BEV grid alone, so all frames of a run share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bevdeploy.geometry.grid import BEVGrid

MARGIN_M = 1.0
"""Ground shown beyond the grid on each side."""
RING_STEP_M = 10.0


@dataclass(frozen=True)
class BevLayout:
    """A square picture of `side_px` that shows `half_extent_m` in each direction."""

    side_px: int
    half_extent_m: float

    @classmethod
    def around(cls, grid: BEVGrid, side_px: int) -> BevLayout:
        """The layout that shows the whole grid."""
        return cls(side_px, max(abs(bound) for bound in (*grid.lower_m[:2], *grid.upper_m[:2])) + MARGIN_M)

    @property
    def px_per_m(self) -> float:
        """Scale."""
        return self.side_px / (2 * self.half_extent_m)

    def pixels(self, points_m: ArrayLike) -> NDArray[np.float64]:
        """Pixels (right, down) [..., 2] of ego positions (x, y) [..., 2]."""
        left_up = np.asarray(points_m, np.float64)[..., ::-1]  # [..., 2]: y, x
        return np.asarray((self.half_extent_m - left_up) * self.px_per_m)

    def rings_m(self) -> list[float]:
        """Radii of the range rings that fit in the picture."""
        count = int((self.half_extent_m - MARGIN_M / 2) // RING_STEP_M)
        return [RING_STEP_M * (n + 1) for n in range(count)]
