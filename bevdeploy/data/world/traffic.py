"""Vehicles that drive: they follow each other along lanes and take turns at intersections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.lane_paths import LanePath
from bevdeploy.data.world.right_of_way import Request, RightOfWay
from bevdeploy.data.world.scene import Float64, Town

STEP_S = 0.1
_AHEAD_LANES = 5
"""Lanes along the path, the own one included, in which a leader is looked for."""
_REQUEST_S = 0.8
_LONG_M = 8.0
_JERK_MPS3 = 8.0


@dataclass(frozen=True, eq=False)
class Driver:
    """One vehicle, with what it pulls."""

    path: LanePath
    start_m: float
    """Of its front along the path."""
    length_m: float
    """Overall."""
    pace: float
    """Share of the allowed speed that it drives."""
    top_mps: float
    eager_s: float = 0.0
    """At intersections it counts as having waited so much longer."""


class Traffic:
    """Intelligent Driver Model (Treiber, Hennecke and Helbing 2000) along paths; all vehicles step at once.

    A vehicle stops at the line before an intersection until it has been granted the way across.
    """

    ACCELERATE_MPS2, BRAKE_MPS2, HEADWAY_S, STANDSTILL_M = 1.7, 2.0, 1.3, 2.2
    HARDEST_MPS2 = 5.5

    def __init__(self, town: Town, drivers: list[Driver], right_of_way: RightOfWay) -> None:
        self.right_of_way = right_of_way
        count, most = len(drivers), max(len(driver.path.lanes) for driver in drivers)
        self.lanes = np.full((count, most + _AHEAD_LANES + 1), -1)
        self.starts_m = np.full((count, most + _AHEAD_LANES + 1), np.inf)
        metres = int(max(driver.path.starts_m[-1] for driver in drivers)) + 3
        self.limits_mps = np.zeros((count, metres))
        """[n, metres]: what each path allows, at every metre."""
        for k, driver in enumerate(drivers):
            path = driver.path
            self.lanes[k, : len(path.lanes)] = path.lanes
            self.starts_m[k, : len(path.lanes)] = path.starts_m[:-1]
            limits = np.interp(np.arange(metres), path.along_m, path.limit_mps)
            # Its rear must have left a curve, too, before it may go faster.
            for _ in range(int(driver.length_m) + 1):
                limits[1:] = np.minimum(limits[1:], limits[:-1])
            self.limits_mps[k] = np.minimum(limits * driver.pace, driver.top_mps)
        intersection = np.array([lane.intersection for lane in town.lanes] + [-1])
        self.crosses = intersection[self.lanes] >= 0  # [n, m]
        self.must_halt = np.array([lane.stop for lane in town.lanes] + [False])[self.lanes] & self.crosses
        self.front_m = np.array([driver.start_m for driver in drivers])
        self.length_m = np.array([driver.length_m for driver in drivers])
        self.at = np.zeros(count, np.int64)
        """Position in the path of the lane in which the front is."""
        self.rear_at = np.zeros(count, np.int64)
        self.next_way = np.array([int(np.argmax(row)) if row.any() else -1 for row in self.crosses])
        """Position in the path of the next intersection that was not granted."""
        self.held: list[list[int]] = [[] for _ in drivers]
        self.since_s = np.full(count, np.inf)
        self.eager_s = np.array([driver.eager_s for driver in drivers])
        self.halted = np.zeros(count, bool)
        self.speed_mps = self._allowed(self.front_m)
        stop_m = self._stop_m() - self.front_m
        self.speed_mps = np.minimum(self.speed_mps, np.sqrt(2 * 1.2 * np.maximum(stop_m - 3.0, 0.0)))
        self.gain_mps2 = np.zeros(count)

    def _allowed(self, at_m: Float64) -> Float64:
        """What the paths allow at these lengths; [n]."""
        below = np.clip(at_m.astype(np.int64), 0, self.limits_mps.shape[1] - 2)
        rows, share = np.arange(len(at_m)), at_m - below
        return np.asarray((1 - share) * self.limits_mps[rows, below] + share * self.limits_mps[rows, below + 1])

    def _stop_m(self) -> Float64:
        rows = np.arange(len(self.front_m))
        return np.where(self.next_way < 0, np.inf, self.starts_m[rows, np.maximum(self.next_way, 0)])

    def _leaders(self) -> tuple[Float64, NDArray[np.int64]]:
        """Room to the nearest rear end ahead along the own path, and whose it is (-1 for nobody)."""
        rows = np.arange(len(self.front_m))
        window = self.rear_at[:, None] + np.arange(_AHEAD_LANES)  # [n, k]
        lanes, starts = self.lanes[rows[:, None], window], self.starts_m[rows[:, None], window]
        rear_m = self.front_m - self.length_m
        rear_lane = self.lanes[rows, self.rear_at]
        rear_in_lane_m = rear_m - self.starts_m[rows, self.rear_at]
        same = lanes[:, :, None] == rear_lane  # [n, k, n]
        room = np.where(same, starts[:, :, None] + rear_in_lane_m, np.inf) - self.front_m[:, None, None]
        room[(room < -1.5)] = np.inf
        room[rows, :, rows] = np.inf
        room = room.min(axis=1)  # [n, n]
        leader = room.argmin(axis=1)
        nearest = room[rows, leader]
        return nearest, np.where(np.isfinite(nearest), leader, -1)

    def step(self, now_s: float) -> list[Request]:
        """Moves everybody by one step; returns who wants to cross now."""
        room, leader = self._leaders()
        leader_mps = np.where(leader >= 0, self.speed_mps[leader], 0.0)
        stop_m = self._stop_m() - self.front_m
        speed = self.speed_mps
        allowed = np.maximum(self._allowed(self.front_m + speed * STEP_S), 0.3)
        gain = np.minimum(self.ACCELERATE_MPS2 * (1 - (speed / allowed) ** 4), (allowed - speed) / 0.5)
        gain = np.maximum(gain, -self.BRAKE_MPS2 * 1.5)
        for gap_m, approach, rest_m in (
            (room, speed - leader_mps, self.STANDSTILL_M),
            (stop_m, speed, 1.0),
        ):
            wish_m = rest_m + np.maximum(
                0.0, speed * self.HEADWAY_S * (rest_m > 1.0) + speed * approach / (2 * np.sqrt(1.7 * self.BRAKE_MPS2))
            )
            gain = np.minimum(gain, self.ACCELERATE_MPS2 * (1 - (wish_m / np.maximum(gap_m, 0.1)) ** 2))
        gain = np.clip(gain, -self.HARDEST_MPS2, self.ACCELERATE_MPS2)
        gain = np.clip(gain, self.gain_mps2 - _JERK_MPS3 * STEP_S, self.gain_mps2 + _JERK_MPS3 * STEP_S)
        # Nobody rolls into a leader or over a line that is closed.
        brink_m = np.minimum(room - 0.5, stop_m - 0.1)
        faster = np.clip(speed + gain * STEP_S, 0.0, np.maximum(brink_m, 0.0) / STEP_S)
        self.gain_mps2 = (faster - speed) / STEP_S
        self.front_m = self.front_m + (speed + faster) / 2 * STEP_S
        self.speed_mps = faster
        rows = np.arange(len(speed))
        self.at += self.front_m >= self.starts_m[rows, self.at + 1]
        self.rear_at += self.front_m - self.length_m >= self.starts_m[rows, self.rear_at + 1]
        self._release()
        return self._requests(now_s, room, leader)

    def _release(self) -> None:
        for k, held in enumerate(self.held):
            if held and self.rear_at[k] > held[0]:
                self.right_of_way.release(k, int(self.lanes[k, held.pop(0)]))
            for at in held:
                come_m = float(self.front_m[k] - self.length_m[k] - self.starts_m[k, at])
                self.right_of_way.come_m[k, int(self.lanes[k, at])] = come_m

    def _requests(self, now_s: float, room: Float64, leader: NDArray[np.int64]) -> list[Request]:
        stop_m = self._stop_m() - self.front_m
        near_m = self.speed_mps**2 / (2 * 1.6) + self.speed_mps * _REQUEST_S + 3.0
        requests = []
        for k in np.flatnonzero(stop_m < near_m).tolist():
            way = int(self.next_way[k])
            self.halted[k] |= self.speed_mps[k] < 0.4 and stop_m[k] < 4.0
            if self.must_halt[k, way] and not self.halted[k]:
                continue
            after_m = self.starts_m[k, way + 1] - self.front_m[k]
            crowded = leader[k] >= 0 and room[k] < after_m + self.length_m[k] + 3.0 and self.speed_mps[leader[k]] < 4.0
            if room[k] < stop_m[k] or crowded:
                continue
            self.since_s[k] = min(self.since_s[k], now_s - self.eager_s[k])
            requests.append(
                Request(float(self.since_s[k]), k, int(self.lanes[k, way]), bool(self.length_m[k] > _LONG_M))
            )
        return requests

    def grant(self, who: int) -> None:
        """The vehicle may cross its next intersection."""
        way = int(self.next_way[who])
        self.held[who].append(way)
        later = np.flatnonzero(self.crosses[who, way + 1 :])
        self.next_way[who] = way + 1 + int(later[0]) if len(later) else -1
        self.since_s[who], self.halted[who] = np.inf, False
