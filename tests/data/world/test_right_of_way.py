"""Ways across intersections are used in turn."""

from __future__ import annotations

from functools import cache

import numpy as np

from bevdeploy.data.world.lane_paths import fine_lanes
from bevdeploy.data.world.right_of_way import Request, RightOfWay, ways_of
from bevdeploy.data.world.scene import Town
from bevdeploy.data.world.town import town_of


@cache
def town() -> Town:
    return town_of("boston-seaport", 1)


def crossing_pair() -> tuple[int, int]:
    """Two ways of one intersection that cross in their middles."""
    fine = fine_lanes(town())
    for one, lane in enumerate(town().lanes):
        for other, second in enumerate(town().lanes):
            if one != other and lane.intersection == second.intersection >= 0:
                gaps = np.hypot(*(fine[one][:, None] - fine[other][None]).transpose(2, 0, 1))
                i, j = np.unravel_index(gaps.argmin(), gaps.shape)
                if gaps.min() < 1.0 and 4 < i < len(fine[one]) - 5 and 4 < j < len(fine[other]) - 5:
                    return one, other
    raise AssertionError("no two ways cross")


def test_ways_touch_where_a_plain_search_says_so() -> None:
    ways, fine = ways_of(town()), fine_lanes(town())
    for one, lane in enumerate(town().lanes):
        for other, second in enumerate(town().lanes):
            if one != other and lane.intersection >= 0 and second.intersection >= 0:
                last = -np.inf
                if lane.intersection == second.intersection:
                    step = np.hypot(*(fine[one][1] - fine[one][0]))
                    for k, point in enumerate(fine[one]):
                        if np.hypot(*(fine[other] - point).T).min() < 3.2:
                            last = (k + 1) * step
                assert ways.clear_m[0, one, other] == last


def test_the_second_waits_until_the_first_is_clear() -> None:
    one, other = crossing_pair()
    rule = RightOfWay(ways_of(town()))
    first, second = Request(0.0, 0, one, False), Request(0.1, 1, other, False)
    assert rule.granted([second, first], 0.2) == [first]
    assert rule.granted([second], 0.3) == []
    rule.come_m[0, one] = 0.5
    assert rule.granted([second], 0.4) == []
    rule.come_m[0, one] = float(rule.ways.clear_m[0, one, other]) + 0.1
    assert rule.granted([second], 0.5) == [second]


def test_a_released_way_is_free() -> None:
    one, other = crossing_pair()
    rule = RightOfWay(ways_of(town()))
    rule.granted([Request(0.0, 0, one, False)], 0.0)
    rule.release(0, one)
    second = Request(0.1, 1, other, False)
    assert rule.granted([second], 0.2) == [second]


def test_who_has_waited_long_is_not_overtaken() -> None:
    one, other = crossing_pair()
    rule = RightOfWay(ways_of(town()))
    rule.granted([Request(0.0, 0, one, False)], 0.0)
    waiting, follower = Request(0.1, 1, other, False), Request(8.0, 2, one, False)
    assert rule.granted([waiting, follower], 1.0) == [follower]
    rule.release(2, one)
    assert rule.granted([waiting, Request(8.5, 3, one, False)], 9.0) == []


def test_people_and_vehicles_exclude_each_other() -> None:
    ways = ways_of(town())
    for index in range(len(town().crossings)):
        for reverse in (0, 1):
            way = ways.lanes + 2 * index + reverse
            touched = np.flatnonzero(np.isfinite(ways.clear_m[0, way]))
            assert len(touched) >= 3
            assert all(town().lanes[lane].intersection == town().crossings[index].intersection for lane in touched)
