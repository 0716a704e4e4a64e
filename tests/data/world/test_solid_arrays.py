"""Solids of a scene: where tracks are at any time, and which solids are near."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.world.bodies import body_of
from bevdeploy.data.world.scene import Scene, Solid, Track
from bevdeploy.data.world.solid_arrays import scenery_of, solids_near, track_poses

from .small_scene import busy_scene, scene_with, small_town, track


def moving(rng: np.random.Generator, points: int) -> Track:
    times = np.sort(rng.uniform(-1, 4, points))
    return Track("car", "vehicle.car", (1.9, 4.5, 1.6), times, rng.normal(0, 9, (points, 3)), 0)


@pytest.mark.parametrize("time_s", [-3.0, -1.0, 0.0, 0.5, 1.234, 4.0, 99.0])
def test_poses_are_those_of_each_track(time_s: float, rng: np.random.Generator) -> None:
    scene = scene_with((*(moving(rng, points) for points in (1, 2, 3, 7, 40)), track("bus", 1, 2, 3, speed=4)))
    expected = [one.pose_at(time_s) for one in scene.tracks]
    np.testing.assert_allclose(track_poses(scene, time_s), expected, atol=1e-8)
    own = scene.tracks[3].times_s[4]
    np.testing.assert_allclose(track_poses(scene, own)[3], scene.tracks[3].poses[4], atol=1e-8)


def test_bodies_are_carried_to_the_tracks_pose() -> None:
    scene = scene_with((track("car", 30, 30, yaw=0.7, speed=2),))
    solids = solids_near(scene, 1.0, (30, 30), 50)
    x, y, yaw = scene.tracks[0].pose_at(1.0)
    for k, solid in enumerate(body_of(scene.tracks[0])):
        px, py, pz = solid.centre_m
        expected = [x + np.cos(yaw) * px - np.sin(yaw) * py, y + np.sin(yaw) * px + np.cos(yaw) * py, pz]
        np.testing.assert_allclose(solids.centre_m[k], expected, atol=1e-9)
        assert solids.yaw_rad[k] == pytest.approx(yaw)


@pytest.mark.parametrize("range_m", [3.0, 12.0, 200.0])
def test_near_solids_are_all_there(range_m: float) -> None:
    scene = busy_scene()
    everything = solids_near(scene, 0.0, (28, 29), 1e4)
    near = solids_near(scene, 0.0, (28, 29), range_m)
    chosen = {tuple(centre) for centre in near.centre_m}
    assert len(everything) > 60
    for k in range(len(everything)):
        offset = everything.centre_m[k, :2] - (28, 29)
        if np.hypot(*offset) - np.hypot(*everything.half_m[k, :2]) < range_m:
            assert tuple(everything.centre_m[k]) in chosen


def test_no_tracks_and_no_scenery() -> None:
    empty: Scene = scene_with(())
    assert len(solids_near(empty, 0.0, (0, 0), 100)) == 0
    assert track_poses(empty, 0.0).shape == (0, 3)


def test_a_house_keeps_its_outline() -> None:
    house = Solid((30, 48, 9), (8, 4, 9), 0.2, (0.6, 0.5, 0.4), "facade")
    solids = scenery_of(small_town((house,)))
    walls = solids.chosen(solids.centre_m[:, 2] < 18)
    assert (walls.half_m[:, :2] == [8, 4]).all()
    assert walls.half_m[:, 2].sum() == pytest.approx(9)
    spans = sorted(
        zip(walls.centre_m[:, 2] - walls.half_m[:, 2], walls.centre_m[:, 2] + walls.half_m[:, 2], strict=True)
    )
    assert spans[0][0] == pytest.approx(0) and spans[0][1] == pytest.approx(spans[1][0])
