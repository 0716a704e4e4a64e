"""Who may cross an intersection: at any time only those whose ways do not touch."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.lane_paths import fine_lanes
from bevdeploy.data.world.polylines import part_of, resampled
from bevdeploy.data.world.scene import Float64, Town

_GAPS_M = (3.2, 3.45, 4.4)
"""Ways nearer than this exclude each other: of two cars, where one vehicle is long and turns, where both do."""
_FOOT_GAP_M = 2.6
_PATIENCE_S = 3.0
"""Who has waited longer is not overtaken by later requests."""


@dataclass(frozen=True, eq=False)
class Ways:
    """Lanes across intersections, then pedestrian crossings in both directions.

    `lanes + 2 * crossing` is the number of the way that follows the crossing's footpath, one more that of the way back.
    """

    lanes: int
    clear_m: Float64
    """[3, w, w], by `_GAPS_M`: who has come this far along the first way hinders the second no more; -inf: never."""
    turns: NDArray[np.bool_]
    """[w]: whether a way changes direction."""


@lru_cache(maxsize=8)
def ways_of(town: Town) -> Ways:
    """Which ways across the town's intersections touch each other, and how far along."""
    fine = fine_lanes(town)
    count = len(town.lanes) + 2 * len(town.crossings)
    clear = np.full((len(_GAPS_M), count, count), -np.inf)
    turns = np.zeros(count, bool)
    by_node: dict[int, list[int]] = {}
    for index, lane in enumerate(town.lanes):
        if lane.intersection >= 0:
            by_node.setdefault(lane.intersection, []).append(index)
            begin, end = fine[index][1] - fine[index][0], fine[index][-1] - fine[index][-2]
            turns[index] = begin @ end < 0.7 * np.hypot(*begin) * np.hypot(*end)
    for ways in by_node.values():
        for one in ways:
            for other in ways:
                if one != other:
                    gaps_m = np.hypot(*np.moveaxis(fine[one][:, None] - fine[other][None], -1, 0)).min(axis=1)
                    clear[:, one, other] = [_last_m(fine[one], gaps_m < limit_m) for limit_m in _GAPS_M]
    for index, crossing in enumerate(town.crossings):
        walk = resampled(part_of(town.footpaths[crossing.footpath], crossing.from_m, crossing.to_m), 0.5)
        for one in by_node.get(crossing.intersection, []):
            gaps_m = np.hypot(*np.moveaxis(walk[:, None] - fine[one][None], -1, 0))  # [p, q]
            for reverse in (0, 1):
                way = len(town.lanes) + 2 * index + reverse
                near = gaps_m.min(axis=1)[:: -1 if reverse else 1] < _FOOT_GAP_M
                clear[:, way, one] = _last_m(walk, near)
                clear[:, one, way] = _last_m(fine[one], gaps_m.min(axis=0) < _FOOT_GAP_M)
    return Ways(len(town.lanes), clear, turns)


def _last_m(line: Float64, near: NDArray[np.bool_]) -> float:
    """Length along a line with equal steps after which it is near no more; -inf if it never is."""
    if not near.any():
        return -np.inf
    step_m = float(np.hypot(*(line[1] - line[0])))
    return float(np.flatnonzero(near)[-1] + 1) * step_m


@dataclass(frozen=True)
class Request:
    """Somebody wants to cross."""

    since_s: float
    who: int
    way: int
    long: bool


@dataclass(eq=False)
class RightOfWay:
    """Grants ways, first come, first served, as long as they touch none that is in use."""

    ways: Ways
    holders: list[Request] = field(default_factory=list)
    come_m: dict[tuple[int, int], float] = field(default_factory=dict)
    """How far the rear of a holder has come along its way, by holder and way."""

    def granted(self, requests: list[Request], now_s: float) -> list[Request]:
        """Which of the requests are granted now; they hold their ways until released."""
        granted = []
        patient: list[Request] = []
        for request in sorted(requests, key=lambda one: (one.since_s, one.who)):
            if any(self._hinders(other, request) for other in self.holders + patient):
                if now_s - request.since_s > _PATIENCE_S:
                    patient.append(request)
            else:
                self.holders.append(request)
                self.come_m[request.who, request.way] = -np.inf
                granted.append(request)
        return granted

    def release(self, who: int, way: int) -> None:
        """Gives a way back."""
        self.come_m.pop((who, way), None)
        self.holders = [one for one in self.holders if one.who != who or one.way != way]

    def _hinders(self, other: Request, request: Request) -> bool:
        turns = self.ways.turns
        long = int(request.long and turns[request.way]) + int(other.long and turns[other.way])
        clear_m = self.ways.clear_m[long, other.way, request.way]
        come_m = self.come_m.get((other.who, other.way), -np.inf)
        return bool(come_m <= clear_m > -np.inf)
