"""All solids of a scene at one time as arrays: what cameras and lidar cast rays against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.bodies import body_of
from bevdeploy.data.world.paint import BALLS, TAPERS, paint_number
from bevdeploy.data.world.scene import Float64, Scene, Solid, Town

_APART_S = 1e5
"""Between the time axes of two tracks laid end to end."""
_REACH_M = 10.0
"""From the middle of a track's box to the farthest of its solids."""
_FLOOR_M = 3.4
"""Height of a house's ground floor."""
_HIGH_M = 12.0
"""Higher houses have flat roofs."""
_CROWN_M = 0.8
"""Larger things of the town without a paint have a rough surface: crowns of trees, hedges, trunks."""
_STYLES = ("facade", "brick", "facade", "office", "brick")


@dataclass(frozen=True, eq=False)
class SolidArrays:
    """Solids, in one frame."""

    centre_m: Float64
    """[n, 3]."""
    half_m: Float64
    """[n, 3]."""
    yaw_rad: Float64
    """[n]."""
    colour: Float64
    """[n, 3], albedo."""
    paint: NDArray[np.intp]
    """[n], index in `paint.PAINTS`."""
    shadow: NDArray[np.bool_]
    """[n]."""
    track: NDArray[np.intp]
    """[n], index of the track that it belongs to; -1 of scenery."""

    def __len__(self) -> int:
        return len(self.yaw_rad)

    @property
    def ball(self) -> NDArray[np.bool_]:
        """[n], whether it is an ellipsoid."""
        return np.asarray(BALLS[self.paint])

    @property
    def taper_m(self) -> Float64:
        """[n, 6], how far each face leans inward over the height: front, back, left, right, top and bottom."""
        return np.asarray(TAPERS[self.paint] * self.half_m[:, [0, 0, 1, 1, 2, 2]])

    def chosen(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> SolidArrays:
        """Those of the given indices, or of a mask."""
        return SolidArrays(
            self.centre_m[which],
            self.half_m[which],
            self.yaw_rad[which],
            self.colour[which],
            self.paint[which],
            self.shadow[which],
            self.track[which],
        )

    def moved(self, poses: Float64) -> SolidArrays:
        """Each solid carried from its own track's frame by `poses` [n, 3]: x, y and yaw."""
        cos, sin = np.cos(poses[:, 2]), np.sin(poses[:, 2])
        x, y, z = self.centre_m.T
        centre = np.stack([cos * x - sin * y + poses[:, 0], sin * x + cos * y + poses[:, 1], z], 1)  # [n, 3]
        turned = self.yaw_rad + poses[:, 2]
        return SolidArrays(centre, self.half_m, turned, self.colour, self.paint, self.shadow, self.track)


def arrays_of(solids: Sequence[Solid], track: int = -1) -> SolidArrays:
    """The arrays of a list of solids, all of one track.

    Raises:
        GeometryError: a solid's paint is unknown.
    """
    n = len(solids)
    return SolidArrays(
        np.array([solid.centre_m for solid in solids], np.float64).reshape(n, 3),
        np.array([solid.half_m for solid in solids], np.float64).reshape(n, 3),
        np.array([solid.yaw_rad for solid in solids], np.float64),
        np.array([solid.colour for solid in solids], np.float64).reshape(n, 3),
        np.array([paint_number(solid.paint) for solid in solids], np.intp),
        np.array([solid.shadow for solid in solids], bool),
        np.full(n, track, np.intp),
    )


def joined(parts: Sequence[SolidArrays]) -> SolidArrays:
    """One after the other; at least one part."""
    return SolidArrays(
        np.concatenate([part.centre_m for part in parts]),
        np.concatenate([part.half_m for part in parts]),
        np.concatenate([part.yaw_rad for part in parts]),
        np.concatenate([part.colour for part in parts]),
        np.concatenate([part.paint for part in parts]),
        np.concatenate([part.shadow for part in parts]),
        np.concatenate([part.track for part in parts]),
    )


@lru_cache(maxsize=4)
def scenery_of(town: Town) -> SolidArrays:
    """The town's scenery, each house with a ground floor and a style of its own."""
    return arrays_of([part for solid in town.scenery for part in _furnished(solid)])


def _furnished(solid: Solid) -> tuple[Solid, ...]:
    if solid.paint == "ball" and max(solid.half_m) > _CROWN_M:
        return (replace(solid, paint="leaves"),)
    if solid.paint == "plain" and max(solid.half_m) > _CROWN_M:
        return (replace(solid, paint="rough"),)
    if solid.paint != "facade" or solid.half_m[2] < _FLOOR_M:
        return (solid,)
    (x, y, z), (length, width, height) = solid.centre_m, solid.half_m
    style = _STYLES[int(x * 7 + y * 13) % len(_STYLES)]
    half = _FLOOR_M / 2
    low = replace(solid, centre_m=(x, y, z - height + half), half_m=(length, width, half), paint="shopfront")
    top = replace(solid, centre_m=(x, y, z + half), half_m=(length, width, height - half), paint=style)
    roof = _roof(solid)
    return low, top, roof


def _roof(house: Solid) -> Solid:
    """A hipped roof on a low house, a parapet on a high one."""
    (x, y, z), (length, width, height) = house.centre_m, house.half_m
    low = height < _HIGH_M / 2
    rise = 1.1 if low else 0.25
    colour = (0.36, 0.20, 0.16) if low else (0.35, 0.34, 0.33)
    # The ridge runs along the house's longer side.
    turned = low and width > length
    half = (width + 0.3, length + 0.3, rise) if turned else (length + 0.3, width + 0.3, rise)
    yaw = house.yaw_rad + (np.pi / 2 if turned else 0.0)
    return Solid((x, y, z + height + rise), half, yaw, colour, "roof" if low else "plain", False)


@dataclass(frozen=True, eq=False)
class _Moving:
    """The tracks of a scene laid end to end on one time axis."""

    keys_s: Float64
    """[sum of T]."""
    poses: Float64
    """[sum of T, 3]."""
    first: NDArray[np.intp]
    """[tracks + 1], where each begins."""
    bodies: SolidArrays
    """In their own tracks' frames."""

    def poses_at(self, time_s: float) -> Float64:
        """[tracks, 3], what `Track.pose_at` says of each."""
        shift = np.arange(len(self.first) - 1) * _APART_S
        start, stop = self.first[:-1], self.first[1:] - 1
        key = np.clip(time_s + shift, self.keys_s[start], self.keys_s[stop])
        after = np.minimum(np.searchsorted(self.keys_s, key, side="right"), stop)
        before = np.maximum(after - 1, start)
        span = self.keys_s[after] - self.keys_s[before]
        share = np.where(span > 0, (key - self.keys_s[before]) / np.where(span > 0, span, 1), 0)
        return np.asarray(self.poses[before] + (self.poses[after] - self.poses[before]) * share[:, None])


@lru_cache(maxsize=4)
def _moving(scene: Scene) -> _Moving:
    lengths = [len(track.times_s) for track in scene.tracks]
    return _Moving(
        np.concatenate([track.times_s + k * _APART_S for k, track in enumerate(scene.tracks)] or [np.zeros(0)]),
        np.concatenate([track.poses for track in scene.tracks] or [np.zeros((0, 3))]),
        np.cumsum([0, *lengths]),
        joined([arrays_of([])] + [arrays_of(body_of(track), k) for k, track in enumerate(scene.tracks)]),
    )


def track_poses(scene: Scene, time_s: float) -> Float64:
    """[tracks, 3]: x, y and yaw of each track of the scene."""
    return _moving(scene).poses_at(time_s)


def solids_near(scene: Scene, time_s: float, middle_m: tuple[float, float], range_m: float) -> SolidArrays:
    """Solids of tracks and town in the global frame, of which some part may lie within `range_m` of a point."""
    moving, scenery = _moving(scene), scenery_of(scene.town)
    bodies = moving.bodies
    poses = moving.poses_at(time_s)
    close = np.hypot(poses[:, 0] - middle_m[0], poses[:, 1] - middle_m[1]) < range_m + _REACH_M
    own = bodies.chosen(close[bodies.track])
    away = np.hypot(scenery.centre_m[:, 0] - middle_m[0], scenery.centre_m[:, 1] - middle_m[1])
    near = away - np.hypot(scenery.half_m[:, 0], scenery.half_m[:, 1]) < range_m
    return joined([own.moved(poses[own.track]), scenery.chosen(near)])
