"""Drives: nobody hits anybody, everybody moves as vehicles and people do."""

from __future__ import annotations

import time
from collections import Counter
from functools import cache

import numpy as np
import pytest

from bevdeploy.data.world.apart import ego_rectangles, ground_rectangles, rectangles_of
from bevdeploy.data.world.overlaps import corners_of, overlap
from bevdeploy.data.world.polylines import inside
from bevdeploy.data.world.scene import LEAD_S, STEP_S, Scene, Town
from bevdeploy.data.world.scene_of import scene_of
from bevdeploy.data.world.town import TOWN_PLANS, town_of
from bevdeploy.tasks import TaskSpec

SEEDS = (0, 1)
KEYFRAMES = 40
EVERY_SCENE = pytest.mark.parametrize(("location", "seed"), [(place, seed) for place in TOWN_PLANS for seed in SEEDS])


@cache
def town(location: str) -> Town:
    return town_of(location, 1)


@cache
def scene(location: str, seed: int) -> Scene:
    return scene_of(town(location), f"scene-{seed:04d}", seed, KEYFRAMES)


def moving(made: Scene) -> list:
    return [track for track in made.tracks if len(track.times_s) > 2 and track.class_name != "pedestrian"]


def on_road(made: Town, points: np.ndarray) -> np.ndarray:
    found = np.zeros(len(points), bool)
    for ring in made.polygons["drivable_area"]:
        near = ((points >= ring.min(axis=0)) & (points <= ring.max(axis=0))).all(axis=1) & ~found
        found[near] = inside(ring, points[near])
    return found


def motion(poses: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Speed, acceleration along the way and yaw rate."""
    steps = np.diff(times)
    speed = np.hypot(*np.diff(poses[:, :2], axis=0).T) / steps
    return speed, np.diff(speed) / steps[1:], np.diff(poses[:, 2]) / steps


def test_the_same_arguments_give_the_same_scene() -> None:
    one, again = (scene_of(town_of("singapore-onenorth", 2), "scene-0061", 5, 12) for _ in range(2))
    assert one.description == again.description and one.light == again.light
    assert len(one.tracks) == len(again.tracks)
    for a, b in zip((one.ego, *one.tracks), (again.ego, *again.tracks), strict=True):
        assert (a.category, a.size_wlh_m, a.look) == (b.category, b.size_wlh_m, b.look)
        np.testing.assert_array_equal(a.poses, b.poses)
    other = scene_of(one.town, "scene-0103", 5, 12)
    assert not np.array_equal(one.ego.poses, other.ego.poses)


@EVERY_SCENE
def test_nothing_overlaps_at_any_keyframe(location: str, seed: int) -> None:
    made = scene(location, seed)
    boxes = np.stack(
        [ego_rectangles(made.ego, made.times_s)] + [rectangles_of(one, made.times_s) for one in made.tracks]
    )
    for at in range(KEYFRAMES):
        now = boxes[:, at]
        reach = np.hypot(*now[:, 3:].T)
        gaps = np.hypot(*(now[:, None, :2] - now[None, :, :2]).transpose(2, 0, 1))
        rows, columns = np.nonzero(np.triu(gaps < reach[:, None] + reach, 1))
        assert not overlap(now[rows], now[columns]).any()


@EVERY_SCENE
def test_nothing_stands_in_a_house_or_tree(location: str, seed: int) -> None:
    made = scene(location, seed)
    low = ground_rectangles(made.town.scenery)
    for track in (made.ego, *made.tracks):
        boxes = rectangles_of(track, made.times_s[::4])
        near = np.hypot(*(low[:, :2] - boxes[:, :2].mean(axis=0)).T) < np.ptp(boxes[:, :2], axis=0).sum() + 25.0
        assert not overlap(boxes[:, None], low[near][None]).any(), track.category


@EVERY_SCENE
def test_vehicles_stay_on_the_road(location: str, seed: int) -> None:
    made = scene(location, seed)
    middles, corners = [], []
    for track in [*moving(made), made.ego]:
        rectangles = ego_rectangles(track, made.times_s) if track is made.ego else rectangles_of(track, made.times_s)
        middles.append(rectangles[:, :2])
        if track.size_wlh_m[1] < 6.0:
            rectangles[:, 3:] -= 0.05
            corners.append(corners_of(rectangles).reshape(-1, 2))
    assert on_road(made.town, np.concatenate(middles)).all()
    assert on_road(made.town, np.concatenate(corners)).all()


@EVERY_SCENE
def test_vehicles_move_as_vehicles_do(location: str, seed: int) -> None:
    made = scene(location, seed)
    for track in [*moving(made), made.ego]:
        speed, gain, turn = motion(track.poses, track.times_s)
        assert speed.max() < 14.0
        assert np.abs(gain).max() < 6.0, track.category
        assert np.abs(turn).max() < 1.0, track.category
        assert (np.abs(turn) * speed[: len(turn)]).max() < 4.0  # lateral acceleration
        # They drive forwards, where they point to.
        ahead = np.diff(track.poses[:, :2], axis=0)
        mean_yaw = (track.poses[1:, 2] + track.poses[:-1, 2]) / 2
        along = ahead[:, 0] * np.cos(mean_yaw) + ahead[:, 1] * np.sin(mean_yaw)
        assert (along[speed > 0.5] > 0.9 * np.hypot(*ahead.T)[speed > 0.5]).all()


@EVERY_SCENE
def test_people_walk_at_peoples_speed(location: str, seed: int) -> None:
    made = scene(location, seed)
    for track in made.tracks:
        if track.class_name == "pedestrian":
            speed, _, _ = motion(track.poses, track.times_s)
            assert speed.max() < 2.6


@EVERY_SCENE
def test_paths_cover_the_scene_and_a_second_more(location: str, seed: int) -> None:
    made = scene(location, seed)
    for track in (made.ego, *made.tracks):
        assert track.times_s[0] == pytest.approx(-LEAD_S)
        assert track.times_s[-1] == pytest.approx((KEYFRAMES - 1) * STEP_S + LEAD_S)
        assert (np.diff(track.times_s) > 0).all() and track.poses.shape == (len(track.times_s), 3)
        assert np.abs(np.diff(track.poses[:, 2]) / np.diff(track.times_s)).max() < 4.0  # unwrapped; people turn fastest


def test_people_and_vehicles_share_crossings_in_turn() -> None:
    made = scene("singapore-hollandvillage", 0)
    walking = [track for track in made.tracks if track.class_name == "pedestrian" and len(track.times_s) > 2]
    crossed = [on_road(made.town, track.poses[:, :2]).any() for track in walking]
    assert sum(crossed) >= 2  # some do cross; the overlap test says that nobody is hit


def test_every_class_is_met_often_enough() -> None:
    near: Counter[str] = Counter()
    scenes = [scene(location, seed) for location in TOWN_PLANS for seed in SEEDS]
    for made in scenes:
        ego = np.array([made.ego.pose_at(at) for at in made.times_s])
        for track in made.tracks:
            poses = np.array([track.pose_at(at) for at in made.times_s])
            near[track.class_name] += int((np.hypot(*(poses - ego)[:, :2].T) < 50.0).sum())
    assert set(near) == set(TaskSpec().classes)
    mean = {name: count / (len(scenes) * KEYFRAMES) for name, count in near.items()}
    least = {"car": 9.0, "truck": 1.0, "bus": 0.6, "trailer": 0.5, "construction_vehicle": 0.6, "barrier": 3.0}
    least |= {"motorcycle": 0.9, "bicycle": 0.9, "pedestrian": 5.0, "traffic_cone": 3.0}
    assert all(mean[name] >= count for name, count in least.items()), mean


def test_ego_drives_stops_and_turns() -> None:
    speeds, turns = [], []
    for location in TOWN_PLANS:
        for seed in SEEDS:
            ego = scene(location, seed).ego
            speeds.append(motion(ego.poses, ego.times_s)[0])
            turns.append(np.ptp(ego.poses[:, 2]))
    assert 3.0 < np.mean(speeds) < 9.0
    assert 0.05 < np.mean(np.concatenate(speeds) < 0.3) < 0.5
    assert np.mean(np.array(turns) > 0.7) > 0.4


def test_a_single_keyframe_is_a_scene() -> None:
    made = scene_of(town("boston-seaport"), "scene-0001", 0, 1)
    assert made.times_s.tolist() == [0.0] and len(made.tracks) > 30


def test_no_keyframe_is_refused() -> None:
    with pytest.raises(ValueError, match="not 0"):
        scene_of(town("boston-seaport"), "scene-0001", 0, 0)


def test_scenes_are_made_quickly() -> None:
    made = town("boston-seaport")
    begun = time.process_time()
    scene_of(made, "scene-0002", 3, 40)
    assert time.process_time() - begun < 2.0
