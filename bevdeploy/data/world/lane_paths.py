"""Ways along lanes: where a vehicle drives during a scene, and how fast it may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.polylines import lengths_along, parallel, resampled, tangents_of
from bevdeploy.data.world.scene import Float64, Town

_LATERAL_MPS2 = 1.9
"""Comfortable in curves."""
_BRAKE_MPS2 = 1.5
"""Comfortable ahead of curves."""


@dataclass(frozen=True, eq=False)
class LanePath:
    """A chain of lanes."""

    lanes: NDArray[np.int64]
    """[m]."""
    starts_m: Float64
    """[m + 1]: length along the path at which each lane begins; the last is the path's length."""
    points_m: Float64
    """[n, 2], about every metre."""
    along_m: Float64
    """[n]."""
    limit_mps: Float64
    """[n]: what lanes and curves allow, with room to brake for what comes."""


@lru_cache(maxsize=8)
def fine_lanes(town: Town) -> tuple[Float64, ...]:
    """Each lane's middle with a vertex about every metre."""
    return tuple(resampled(lane.centreline_m, 1.0) for lane in town.lanes)


def lane_path(town: Town, first: int, reach_m: float, choose: Callable[[tuple[int, ...]], int]) -> LanePath:
    """From the beginning of lane `first` on for at least `reach_m`; `choose` picks one of the lanes that may follow."""
    fine = fine_lanes(town)
    lanes, total = [first], 0.0
    starts = [0.0]
    while True:
        total += float(lengths_along(fine[lanes[-1]])[-1])
        starts.append(total)
        if total > reach_m:
            break
        lanes.append(choose(town.lanes[lanes[-1]].successors))
    points = np.concatenate([fine[lane][:-1] for lane in lanes] + [fine[lanes[-1]][-1:]])  # [n, 2]
    allowed = np.concatenate([np.full(len(fine[lane]) - 1, town.lanes[lane].speed_mps) for lane in lanes])
    along = lengths_along(points)
    allowed = np.minimum(np.append(allowed, allowed[-1]), np.sqrt(_LATERAL_MPS2 / _curvature(points, along)))
    # v^2(s) = min over s' >= s of v^2(s') + 2 b (s' - s).
    squares = np.minimum.accumulate((allowed**2 + 2 * _BRAKE_MPS2 * along)[::-1])[::-1] - 2 * _BRAKE_MPS2 * along
    return LanePath(np.array(lanes), np.array(starts), points, along, np.sqrt(squares))


def _curvature(points: Float64, along: Float64) -> Float64:
    """Of the path over about four metres, at least 1e-4; [n]."""
    tangents = tangents_of(points)
    heading = np.unwrap(np.arctan2(tangents[:, 1], tangents[:, 0]))
    bends = np.abs(np.gradient(heading, along))
    return np.asarray(np.maximum(np.convolve(np.pad(bends, 2, mode="edge"), np.full(5, 0.2), "valid"), 1e-4))


def placed(path: LanePath, front_m: Float64, rear_m: Float64, left_m: float = 0.0, share: float = 0.5) -> Float64:
    """Poses x, y, yaw [T, 3] of a body with two points on the path, at lengths [T].

    The yaw leads from its rear to its front point; x, y lie `share` of that way from the rear, all of it `left_m` to
    the left of the path.
    """
    line = parallel(path.points_m, left_m)
    rear, front = (
        np.stack([np.interp(at_m, path.along_m, column) for column in line.T], axis=-1) for at_m in (rear_m, front_m)
    )  # [T, 2] each
    ahead = front - rear
    return np.column_stack([rear + share * ahead, np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0]))])
