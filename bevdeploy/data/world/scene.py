"""What a made-up drive is made of: the town, what moves in it, the light. Global frame: x east, y north, z up; metres.

The ground is z = 0 everywhere. Times are seconds since the scene's first keyframe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Colour = tuple[float, float, float]

STEP_S = 0.5
"""Seconds between keyframes, as in nuScenes."""
LEAD_S = 1.0
"""Every path also covers this long before the first keyframe and after the last, for sweeps and exposure times."""


@dataclass(frozen=True)
class Solid:
    """A cuboid or an ellipsoid that fills it; global frame, metres."""

    centre_m: tuple[float, float, float]
    half_m: tuple[float, float, float]
    """Half its length (along its own x), width and height."""
    yaw_rad: float
    colour: Colour
    """Albedo, 0..1."""
    paint: str = "plain"
    """What its faces show; the names are those of `paint.PAINTS`."""
    shadow: bool = True


@dataclass(frozen=True, eq=False)
class Lane:
    """A directed lane of the town."""

    centreline_m: Float64
    """[n, 2], in driving direction."""
    width_m: float
    successors: tuple[int, ...]
    """Lanes that a vehicle may enter at its end; indices into `Town.lanes`."""
    speed_mps: float
    """What traffic drives here."""
    intersection: int = -1
    """Index into `Town.intersections` of the intersection that it crosses; -1 on a street."""
    stop: bool = False
    """Vehicles come to a halt at its beginning, a stop line, before they enter."""


@dataclass(frozen=True, eq=False)
class Strip:
    """A stretch between the kerb and the walkway of a street side."""

    line_m: Float64
    """[n, 2], its middle, in driving direction of the lanes beside it."""
    kind: str
    """bay (parking places, drivable), verge (trees and lamps) or bare (paved and free)."""


@dataclass(frozen=True)
class Crossing:
    """Where a footpath crosses a street."""

    footpath: int
    """Index into `Town.footpaths`."""
    polygon: int
    """Index into `polygons["ped_crossing"]`."""
    intersection: int
    """Index into `Town.intersections`."""
    from_m: float
    """Length along the footpath at which it leaves the kerb."""
    to_m: float


@dataclass(frozen=True, eq=False)
class Town:
    """A street network and its furniture: the same for all scenes of one location."""

    location: str
    """nuScenes' name: the map of that name carries it."""
    size_m: tuple[float, float]
    """Extent along x and y; the origin is the lower corner."""
    polygons: Mapping[str, tuple[Float64, ...]]
    """[n, 2] rings by nuScenes layer: drivable_area, road_segment, road_block, lane, ped_crossing, walkway, stop_line,
    carpark_area."""
    lines: Mapping[str, tuple[Float64, ...]]
    """[n, 2] polylines by nuScenes layer: road_divider, lane_divider."""
    lanes: tuple[Lane, ...]
    parking: Float64
    """[k, 3] x, y, yaw of parking places."""
    footpaths: tuple[Float64, ...]
    """[n, 2] where people walk: along walkways and over crossings."""
    scenery: tuple[Solid, ...]
    """Houses, trees, poles: never annotated, but they hide what is behind them."""
    intersections: tuple[int, ...] = ()
    """Which `polygons["road_segment"]` are intersections."""
    crossings: tuple[Crossing, ...] = ()
    strips: tuple[Strip, ...] = ()
    long_parking: Float64 = field(default_factory=lambda: np.zeros((0, 3)))
    """[k, 3] x, y, yaw of places for vehicles of up to 13 m."""
    sites: Float64 = field(default_factory=lambda: np.zeros((0, 5)))
    """[k, 5] x, y, yaw, half length along the street and half depth of plots without a house, where builders work; the
    street lies to the right of that direction."""


@dataclass(frozen=True, eq=False)
class Track:
    """One annotated object over the whole scene, hidden or not."""

    class_name: str
    """Detection class."""
    category: str
    """nuScenes category, `vehicle.car`."""
    size_wlh_m: tuple[float, float, float]
    times_s: Float64
    """[T], increasing."""
    poses: Float64
    """[T, 3] x, y and yaw (unwrapped); linear in between."""
    look: int
    """Seed of its colours and small differences."""
    parked: bool = False
    ridden: bool = False
    """Of bicycles and motorcycles: somebody sits on it."""
    seated: bool = False
    """Of pedestrians: sitting or lying down."""

    def pose_at(self, time_s: float) -> tuple[float, float, float]:
        """x, y, yaw; before its first and after its last time it stands."""
        x, y, yaw = (float(np.interp(time_s, self.times_s, column)) for column in self.poses.T)
        return x, y, yaw

    def velocity_at(self, time_s: float, half_s: float = 0.05) -> tuple[float, float]:
        """Velocity along x, y in m/s, over `2 * half_s` seconds."""
        before, after = self.pose_at(time_s - half_s), self.pose_at(time_s + half_s)
        return (after[0] - before[0]) / (2 * half_s), (after[1] - before[1]) / (2 * half_s)


@dataclass(frozen=True)
class Light:
    """Daylight of a scene."""

    sun: tuple[float, float, float]
    """Unit vector to the sun."""
    ambient: float
    diffuse: float
    tint: Colour
    """Of everything, 1 is neutral."""
    haze_m: float
    """Distance at which 63 % of a colour is haze."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One drive through a town."""

    name: str
    """nuScenes scene name, `scene-0061`."""
    description: str
    town: Town
    keyframes: int
    ego: Track
    """The recording vehicle, 4.084 m x 1.85 m; its pose is the ego frame's: middle of the rear axle, on the ground."""
    tracks: tuple[Track, ...]
    light: Light
    seed: int

    @property
    def times_s(self) -> Float64:
        """[keyframes]."""
        return np.arange(self.keyframes) * STEP_S
