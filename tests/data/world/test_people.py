"""People walk along footpaths and wait at kerbs."""

from __future__ import annotations

from functools import cache

import numpy as np

from bevdeploy.data.world.people import Walkers, walk_from
from bevdeploy.data.world.polylines import resampled
from bevdeploy.data.world.right_of_way import RightOfWay, ways_of
from bevdeploy.data.world.scene import Town
from bevdeploy.data.world.town import town_of
from bevdeploy.data.world.traffic import STEP_S


@cache
def town() -> Town:
    return town_of("singapore-hollandvillage", 1)


def uncrossed() -> int:
    crossed = {crossing.footpath for crossing in town().crossings}
    return next(index for index in range(len(town().footpaths)) if index not in crossed)


def test_a_walk_keeps_to_the_footpaths(rng: np.random.Generator) -> None:
    middles = np.concatenate([resampled(path, 0.5) for path in town().footpaths])
    for _ in range(10):
        walk = walk_from(town(), uncrossed(), 3.0, 150.0, rng)
        gaps = np.hypot(*(walk.points_m[::4, None] - middles[None]).transpose(2, 0, 1)).min(axis=1)
        assert gaps.max() < 1.6 and walk.along_m[-1] > 140.0


def test_crossings_of_a_walk_lie_on_crossings(rng: np.random.Generator) -> None:
    seen = 0
    for _ in range(20):
        walk = walk_from(town(), uncrossed(), 3.0, 200.0, rng)
        for from_m, to_m, way in walk.crossings:
            middle = town().footpaths[town().crossings[way // 2].footpath].mean(axis=0)
            if (from_m + to_m) / 2 < walk.along_m[-1] - 5.0:
                assert np.hypot(*(walk.poses_at(np.array([(from_m + to_m) / 2]))[0, :2] - middle)) < 1.7
                seen += 1
    assert seen > 5


def test_nobody_steps_onto_the_road_before_it_is_granted(rng: np.random.Generator) -> None:
    walks = [walk for walk in (walk_from(town(), uncrossed(), 3.0, 150.0, rng) for _ in range(30)) if walk.crossings]
    walkers = Walkers(town(), walks[:1], RightOfWay(ways_of(town())), 5)
    from_m, to_m, _ = walks[0].crossings[0]
    for step in range(1500):
        requests = walkers.step(step * STEP_S)
    assert from_m - 1.3 < walkers.at_m[0] < from_m + 0.3
    assert [request.who for request in requests] == [5]
    walkers.right_of_way.granted(requests, 150.0)
    walkers.grant(5)
    for step in range(round((to_m - from_m + 3.0) / 0.8 / STEP_S)):
        walkers.step(150.0 + step * STEP_S)
    assert walkers.at_m[0] > to_m and not walkers.right_of_way.holders


def test_who_follows_does_not_run_into_who_stands(rng: np.random.Generator) -> None:
    ahead = walk_from(town(), uncrossed(), 3.0, 60.0, rng)
    walkers = Walkers(town(), [ahead, ahead], RightOfWay(ways_of(town())), 0)
    walkers.at_m = np.array([8.0, 4.0])
    walkers.cruise_mps = np.array([0.0, 1.5])
    for step in range(100):
        walkers.step(step * STEP_S)
    assert 0.8 < walkers.at_m[0] - walkers.at_m[1] < 1.6
