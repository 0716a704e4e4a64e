"""People who walk: along footpaths, and over crossings when it is their turn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.classes import KINDS
from bevdeploy.data.world.drivers import DistanceTo
from bevdeploy.data.world.polylines import chained, length_of, lengths_along, parallel
from bevdeploy.data.world.right_of_way import Request, RightOfWay
from bevdeploy.data.world.scene import Float64, Town, Track
from bevdeploy.data.world.traffic import STEP_S

_RANGE_M = 70.0
"""People walk where footpaths come this near to the recording vehicle's way."""
_SPACING_M = 44.0
_TABLE_M = 0.1
_STEP_M = 0.25


@lru_cache(maxsize=8)
def _leading_on(town: Town) -> tuple[tuple[tuple[int, bool], ...], ...]:
    """For each footpath walked forwards (2 k) and backwards (2 k + 1): which may follow, and whether reversed."""
    ends = np.array([[path[0], path[-1]] for path in town.footpaths])  # [p, 2, 2]
    follow = []
    for k in range(len(ends)):
        for end in (1, 0):
            near = np.abs(ends - ends[k, end]).max(axis=-1) < 0.05  # [p, 2]
            follow.append(tuple((int(p), bool(e)) for p, e in np.argwhere(near) if p != k))
    return tuple(follow)


@dataclass(frozen=True, eq=False)
class Walk:
    """Where somebody walks during a scene."""

    points_m: Float64
    """[n, 2]."""
    along_m: Float64
    """[n]."""
    start_m: float
    speed_mps: float
    crossings: tuple[tuple[float, float, int], ...]
    """From and to, along the walk, and the way's number after the lanes: twice the crossing's, plus one if reversed."""

    def poses_at(self, at_m: Float64) -> Float64:
        """x, y, yaw at lengths [T] along it; [T, 3]."""
        x, y = (np.interp(at_m, self.along_m, column) for column in self.points_m.T)
        ahead = [
            np.interp(at_m + 0.4, self.along_m, column) - np.interp(at_m - 0.4, self.along_m, column)
            for column in self.points_m.T
        ]
        return np.column_stack([x, y, np.unwrap(np.arctan2(ahead[1], ahead[0]))])


def walk_from(town: Town, footpath: int, start_m: float, reach_m: float, draws: np.random.Generator) -> Walk:
    """A random walk that begins `start_m` along a footpath that does not cross a street, and keeps to the right."""
    crossing_of = {crossing.footpath: index for index, crossing in enumerate(town.crossings)}
    backwards = bool(draws.random() < 0.5)
    right_m = float(draws.uniform(0.42, 1.0))
    pieces: list[Float64] = []
    crossings = []
    total, current = 0.0, (footpath, backwards)
    while True:
        index, reverse = current
        line = town.footpaths[index][::-1] if reverse else town.footpaths[index]
        if index in crossing_of:
            crossing = town.crossings[crossing_of[index]]
            # Both kerbs are equally far from the ends of the footpath.
            crossings.append((total + crossing.from_m, total + crossing.to_m, 2 * crossing_of[index] + int(reverse)))
        pieces.append(line)
        total += length_of(line)
        if total > reach_m + start_m:
            break
        follow = _leading_on(town)[2 * index + int(reverse)]
        weights = np.array([0.35 if k in crossing_of else 1.0 for k, _ in follow])
        current = follow[int(draws.choice(len(follow), p=weights / weights.sum()))]
    middle = chained(*pieces)
    middle_m = lengths_along(middle)
    at = np.arange(0.0, middle_m[-1], _STEP_M)
    middle = np.stack([np.interp(at, middle_m, column) for column in middle.T], axis=-1)  # [n, 2]
    # Nobody turns on the spot: corners are rounded off, before and after the step to the side.
    line = _smoothed(parallel(_smoothed(middle, 11), -right_m), 7)
    along = lengths_along(line)
    moved = tuple(
        (float(np.interp(from_m, at, along)), float(np.interp(to_m, at, along)), index)
        for from_m, to_m, index in crossings
    )
    return Walk(
        line, along, float(np.interp(start_m, at, along)), float(np.clip(draws.normal(1.3, 0.2), 0.8, 1.8)), moved
    )


def _smoothed(line: Float64, window: int) -> Float64:
    """Mean of as many neighbouring vertices."""
    padded = np.pad(line, ((window // 2, window // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, np.full(window, 1 / window), "valid") for column in padded.T], axis=-1)


def walks_near(town: Town, distance_to: DistanceTo, lasting_s: float, draws: np.random.Generator) -> list[Walk]:
    """Walks that begin along the footpaths near the recording vehicle's way."""
    crossed = {crossing.footpath for crossing in town.crossings}
    walks = []
    for index, path in enumerate(town.footpaths):
        if index in crossed or distance_to(*path.mean(axis=0)) > _RANGE_M:
            continue
        at_m, total = float(draws.exponential(_SPACING_M)), length_of(path)
        while at_m < total - 1.0:
            walks.append(walk_from(town, index, at_m, lasting_s * 1.9 + 5.0, draws))
            at_m += 2.0 + float(draws.exponential(_SPACING_M))
    return walks


def walk_tracks(walks: list[Walk], times_s: Float64, at_m: Float64, draws: np.random.Generator) -> list[Track]:
    """A track per walk; `at_m` [T, m] is how far each had come."""
    tracks = []
    for k, walk in enumerate(walks):
        kind = KINDS["child" if draws.random() < 0.1 else "adult"]
        size, look = kind.size(draws), int(draws.integers(1 << 31))
        tracks.append(Track(kind.class_name, kind.category, size, times_s, walk.poses_at(at_m[:, k]), look))
    return tracks


class Walkers:
    """All walks step at once; nobody walks into somebody ahead."""

    def __init__(self, town: Town, walks: list[Walk], right_of_way: RightOfWay, first: int) -> None:
        self.walks, self.right_of_way, self.first = walks, right_of_way, first
        self.lanes = len(town.lanes)
        self.at_m = np.array([walk.start_m for walk in walks])
        self.speed_mps = np.array([walk.speed_mps for walk in walks])
        self.cruise_mps = self.speed_mps
        longest_m = max((walk.along_m[-1] for walk in walks), default=1.0)
        at_m = np.arange(0.0, longest_m, _TABLE_M)
        self.table = np.array([walk.poses_at(at_m) for walk in walks]).reshape(len(walks), len(at_m), 3)
        """[m, n, 3]: where each walk leads, every `_TABLE_M`."""
        self.next_crossing = np.zeros(len(walks), np.int64)
        self.on_crossing = np.zeros(len(walks), bool)
        self.since_s = np.full(len(walks), np.inf)

    def step(self, now_s: float) -> list[Request]:
        """Moves everybody by one step; returns who wants to cross now."""
        wanted = np.where(_blocked(self._poses()), 0.0, self.cruise_mps)
        requests = []
        for k, walk in enumerate(self.walks):
            index = int(self.next_crossing[k])
            if index >= len(walk.crossings):
                continue
            from_m, to_m, crossing = walk.crossings[index]
            way = self.lanes + crossing
            if self.on_crossing[k]:
                if self.at_m[k] > to_m:
                    self.right_of_way.release(self.first + k, way)
                    self.on_crossing[k] = False
                    self.next_crossing[k] += 1
                else:
                    self.right_of_way.come_m[self.first + k, way] = float(self.at_m[k] - from_m)
            elif self.at_m[k] > from_m - 1.2:
                self.since_s[k] = min(self.since_s[k], now_s)
                requests.append(Request(float(self.since_s[k]), self.first + k, way, False))
                if self.at_m[k] > from_m - 0.2:
                    wanted[k] = 0.0
        self.speed_mps = self.speed_mps + np.clip(wanted - self.speed_mps, -0.4, 0.15)
        self.at_m = self.at_m + self.speed_mps * STEP_S
        return requests

    def _poses(self) -> Float64:
        """x, y, yaw of everybody; [m, 3]."""
        below = np.clip((self.at_m / _TABLE_M).astype(np.int64), 0, self.table.shape[1] - 1)
        return np.asarray(self.table[np.arange(len(below)), below])

    def grant(self, who: int) -> None:
        """The person may cross."""
        self.on_crossing[who - self.first] = True
        self.since_s[who - self.first] = np.inf


def _blocked(poses: Float64) -> NDArray[np.bool_]:
    """Whether somebody who does not come the other way stands close ahead; of two, the later one waits; [n]."""
    ahead = poses[None, :, :2] - poses[:, None, :2]  # [n, n, 2]
    cos, sin = np.cos(poses[:, 2])[:, None], np.sin(poses[:, 2])[:, None]
    forward, aside = ahead[..., 0] * cos + ahead[..., 1] * sin, ahead[..., 1] * cos - ahead[..., 0] * sin
    along = np.cos(poses[None, :, 2] - poses[:, None, 2])
    close = (forward > 0.0) & (forward < 1.35) & (np.abs(aside) < 0.75)
    order = np.arange(len(poses))
    waits = (along > 0.5) | ((along > -0.5) & (order[None] < order[:, None]))  # [n, n]
    return np.asarray((close & waits).any(axis=1))
