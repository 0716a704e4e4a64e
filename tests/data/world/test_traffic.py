"""Car following on a lane of its own."""

from __future__ import annotations

from functools import cache

import numpy as np

from bevdeploy.data.world.lane_paths import lane_path, placed
from bevdeploy.data.world.right_of_way import RightOfWay, ways_of
from bevdeploy.data.world.scene import Town
from bevdeploy.data.world.town import town_of
from bevdeploy.data.world.traffic import STEP_S, Driver, Traffic


@cache
def town() -> Town:
    return town_of("singapore-queenstown", 1)


def street() -> int:
    lengths = [0 if lane.intersection >= 0 else len(lane.centreline_m) for lane in town().lanes]
    return int(np.argmax(lengths))


def driver(start_m: float, pace: float = 1.0) -> Driver:
    return Driver(lane_path(town(), street(), 300.0, lambda after: after[0]), start_m, 4.5, pace, 14.0)


def test_it_stops_at_the_line_until_granted() -> None:
    traffic = Traffic(town(), [driver(6.0)], RightOfWay(ways_of(town())))
    line_m = float(traffic.starts_m[0, 1])
    for step in range(400):
        requests = traffic.step(step * STEP_S)
    assert line_m - 3.0 < traffic.front_m[0] < line_m and traffic.speed_mps[0] < 0.05
    assert [request.who for request in requests] == [0]
    traffic.right_of_way.granted(requests, 40.0)
    traffic.grant(0)
    for step in range(100):
        traffic.step(40.0 + step * STEP_S)
    assert traffic.front_m[0] > line_m + 10.0


def test_the_second_keeps_its_distance() -> None:
    traffic = Traffic(town(), [driver(6.0, 1.1), driver(16.0, 0.3)], RightOfWay(ways_of(town())))
    for step in range(300):
        traffic.step(step * STEP_S)
        assert traffic.front_m[1] - 4.5 - traffic.front_m[0] > 0.4


def test_limits_leave_room_to_brake() -> None:
    path = lane_path(town(), street(), 500.0, lambda after: after[-1])
    squares = np.diff(path.limit_mps**2) / np.diff(path.along_m)
    assert squares.min() > -2 * 1.6
    assert path.limit_mps.max() <= max(lane.speed_mps for lane in town().lanes)


def test_a_body_follows_its_path() -> None:
    path = lane_path(town(), street(), 200.0, lambda after: after[0])
    at_m = np.arange(10.0, 150.0, 0.5)
    poses = placed(path, at_m + 1.3, at_m - 1.3)
    for pose in poses[::20]:
        assert np.hypot(*(path.points_m - pose[:2]).T).min() < 0.7
    rear = placed(path, at_m + 2.6, at_m, share=0.0)
    exact = np.stack([np.interp(at_m, path.along_m, column) for column in path.points_m.T], -1)
    np.testing.assert_allclose(rear[:, :2], exact)


def test_paths_end_beyond_their_reach() -> None:
    assert lane_path(town(), street(), 333.0, lambda after: after[0]).starts_m[-1] > 333.0
