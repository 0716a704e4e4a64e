"""Who drives: the recording vehicle and the traffic around its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bevdeploy.data.world.classes import KINDS
from bevdeploy.data.world.lane_paths import fine_lanes, lane_path, placed
from bevdeploy.data.world.polylines import length_of
from bevdeploy.data.world.scene import Float64, Town, Track
from bevdeploy.data.world.traffic import Driver

EGO_SIZE_WLH_M = (1.85, 4.084, 1.56)
EGO_REAR_M, EGO_WHEELBASE_M = 0.664, 2.588
"""From its rear end to the rear axle; between its axles (the manufacturer's figures of nuScenes' car)."""

_FASTEST_MPS = 12.2
_MIX = {"car": 0.52, "truck": 0.10, "bus": 0.14, "tractor": 0.09, "motorcyclist": 0.06, "cyclist": 0.09}
"""Shares of the kinds in moving traffic; a tractor pulls a trailer."""
_TOP_MPS = {"truck": 10.0, "bus": 10.0, "tractor": 9.5, "cyclist": 4.8}
_HITCH_M = 0.9
"""Between a tractor and its trailer."""
_GAP_M, _MEAN_GAP_M = 6.0, 38.0
"""Least and mean distance of vehicles in a lane at first."""
_LANE_RANGE_M = 95.0
"""Lanes whose middle is this near to the vehicle's way have traffic at first."""

DistanceTo = Callable[[float, float], float]
"""Distance in metres of a place x, y from the recording vehicle's way."""


@dataclass(frozen=True)
class Body:
    """One rigid part of a vehicle."""

    kind: str
    size_wlh_m: tuple[float, float, float]
    behind_m: float
    """From the vehicle's front to the middle of the part."""


@dataclass(frozen=True, eq=False)
class Moving:
    """A driver with the parts that follow its path."""

    driver: Driver
    bodies: tuple[Body, ...]
    left_m: float
    """Beside the middle of the lane."""
    look: int


def ego_driver(town: Town, lasting_s: float, draws: np.random.Generator) -> Driver:
    """The recording vehicle on a random way; left turns, which fewer lanes offer, are preferred."""
    fine = fine_lanes(town)

    def choose(successors: tuple[int, ...]) -> int:
        weights = np.array([1.7 if _left_turn(fine[lane]) else 1.0 for lane in successors])
        return int(draws.choice(successors, p=weights / weights.sum()))

    first = int(draws.choice([k for k, lane in enumerate(town.lanes) if lane.intersection < 0]))
    path = lane_path(town, first, lasting_s * _FASTEST_MPS + 40.0, choose)
    start_m = float(draws.uniform(8.0, max(9.0, path.starts_m[1] - 12.0)))
    return Driver(path, start_m, EGO_SIZE_WLH_M[1], float(draws.uniform(0.88, 1.06)), 14.0, eager_s=8.0)


def _left_turn(line: Float64) -> bool:
    begin, end = line[1] - line[0], line[-1] - line[-2]
    return float(begin[0] * end[1] - begin[1] * end[0]) > 0.7 * length_of(line[:2]) * length_of(line[-2:])


def traffic_near(
    town: Town, ego: Driver, distance_to: DistanceTo, lasting_s: float, draws: np.random.Generator
) -> list[Moving]:
    """Vehicles in the lanes near the recording vehicle's way, each bound for somewhere else."""
    fine = fine_lanes(town)

    def choose(successors: tuple[int, ...]) -> int:
        return int(successors[int(draws.integers(len(successors)))])

    near = [
        index
        for index, lane in enumerate(town.lanes)
        if lane.intersection < 0 and distance_to(*fine[index][len(fine[index]) // 2]) < _LANE_RANGE_M
    ]
    moving: list[Moving] = []
    for index in draws.permutation(near).tolist():
        room_m = length_of(fine[index]) - 2.0 - float(draws.exponential(_MEAN_GAP_M / 2))
        while True:
            kind = str(draws.choice(list(_MIX), p=list(_MIX.values())))
            bodies = _bodies_of(kind, draws)
            length_m = bodies[-1].behind_m + bodies[-1].size_wlh_m[1] / 2
            if room_m - length_m < 0.5:
                break
            front_m, room_m = room_m, room_m - length_m - _GAP_M - float(draws.exponential(_MEAN_GAP_M - _GAP_M))
            if index == ego.path.lanes[0] and -12.0 < front_m - ego.start_m < length_m + _GAP_M:
                continue
            path = lane_path(town, index, lasting_s * _FASTEST_MPS + 60.0, choose)
            driver = Driver(path, front_m, length_m, float(draws.uniform(0.85, 1.1)), _TOP_MPS.get(kind, 14.0))
            left_m = -0.9 if kind == "cyclist" else 0.0
            moving.append(Moving(driver, bodies, left_m, int(draws.integers(1 << 31))))
    return moving


def _bodies_of(kind: str, draws: np.random.Generator) -> tuple[Body, ...]:
    size = KINDS[kind].size(draws)
    bodies: tuple[Body, ...] = (Body(kind, size, size[1] / 2),)
    if kind == "tractor":
        pulled = KINDS["pulled"].size(draws)
        bodies += (Body("pulled", pulled, size[1] + _HITCH_M + pulled[1] / 2),)
    return bodies


def ego_track(ego: Driver, times_s: Float64, front_m: Float64) -> Track:
    """The recording vehicle, by its rear axle; `front_m` [T] is where its front was along its path."""
    rear_axle_m = front_m - EGO_SIZE_WLH_M[1] + EGO_REAR_M
    poses = placed(ego.path, rear_axle_m + EGO_WHEELBASE_M, rear_axle_m, share=0.0)
    return Track("car", "vehicle.car", EGO_SIZE_WLH_M, times_s, poses, 0)


def moving_tracks(one: Moving, times_s: Float64, front_m: Float64) -> list[Track]:
    """A track per part of a vehicle."""
    tracks = []
    for body in one.bodies:
        middle_m, half_m = front_m - body.behind_m, 0.3 * body.size_wlh_m[1]
        poses = placed(one.driver.path, middle_m + half_m, middle_m - half_m, one.left_m)
        kind = KINDS[body.kind]
        ridden = body.kind in ("cyclist", "motorcyclist")
        tracks.append(Track(kind.class_name, kind.category, body.size_wlh_m, times_s, poses, one.look, ridden=ridden))
    return tracks
