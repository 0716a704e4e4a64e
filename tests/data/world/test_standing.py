"""Parked vehicles, works and groups stand where they belong."""

from __future__ import annotations

from functools import cache

import numpy as np

from bevdeploy.data.world.polylines import inside
from bevdeploy.data.world.scene import Town, Track
from bevdeploy.data.world.standing import in_frame, standing_tracks
from bevdeploy.data.world.town import town_of


@cache
def town() -> Town:
    return town_of("boston-seaport", 1)


@cache
def everything() -> tuple[Track, ...]:
    return tuple(standing_tracks(town(), lambda x, y: True, (-1.0, 5.0), np.random.default_rng(3)))


def test_nothing_stands_in_a_lane() -> None:
    places = np.array([track.poses[0, :2] for track in everything()])
    for ring in town().polygons["lane"]:
        assert not inside(ring, places).any()


def test_parked_cars_lie_in_parking_places() -> None:
    cars = [track for track in everything() if track.class_name == "car"]
    assert len(cars) > 60 and all(track.parked for track in cars)
    for track in cars:
        gaps = np.hypot(*(town().parking[:, :2] - track.poses[0, :2]).T)
        assert gaps.min() < 0.5
        turn = track.poses[0, 2] - town().parking[gaps.argmin(), 2]
        assert abs(np.sin(turn)) < 0.15


def test_barriers_stand_in_rows() -> None:
    barriers = np.array([track.poses[0] for track in everything() if track.class_name == "barrier"])
    gaps = np.hypot(*(barriers[:, None, :2] - barriers[None, :, :2]).transpose(2, 0, 1)) + 99 * np.eye(len(barriers))
    assert np.mean(gaps.min(axis=1) < 2.9) > 0.6


def test_only_what_is_near_is_made() -> None:
    few = standing_tracks(town(), lambda x, y: x < 100.0, (-1.0, 5.0), np.random.default_rng(3))
    assert 0 < len(few) < len(everything()) and max(track.poses[0, 0] for track in few) < 130.0


def test_a_local_frame_turns_left_of_its_heading() -> None:
    np.testing.assert_allclose(in_frame(np.array([1.0, 2.0, np.pi / 2]), 3.0, 4.0), (-3.0, 5.0))
