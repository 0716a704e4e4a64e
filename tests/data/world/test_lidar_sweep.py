"""The sweep against single rays, and its counts against the devkit's."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.world.lidar_sweep import AZIMUTHS, RINGS, _directions, first_hits, lidar_sweep
from bevdeploy.data.world.solid_arrays import solids_near
from bevdeploy.geometry.frames import compose, transform

from .small_scene import busy_scene, first_hit, scene_with, track

UPRIGHT = compose(np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]), (0.94, 0.0, 1.84))
TILTED = UPRIGHT @ compose(
    np.array([[1, 0, 0], [0, np.cos(0.03), -np.sin(0.03)], [0, np.sin(0.03), np.cos(0.03)]]), (0, 0, 0)
)


def global_from_ego(x: float, y: float, yaw: float) -> np.ndarray:
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, -sin, 0, x], [sin, cos, 0, y], [0, 0, 1, 0], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("ego_from_lidar", [UPRIGHT, TILTED])
def test_rays_hit_what_single_rays_hit(ego_from_lidar: np.ndarray, rng: np.random.Generator) -> None:
    global_from_lidar = global_from_ego(20, 28, 0.1) @ ego_from_lidar
    solids = solids_near(busy_scene(), 0.0, (20, 28), 70)
    range_m, echo = first_hits(solids, global_from_lidar)
    eye, rays = global_from_lidar[:3, 3], _directions() @ global_from_lidar[:3, :3].T
    hits = 0
    for k in rng.integers(0, AZIMUTHS * RINGS, 800):
        solid, expected = first_hit(solids, eye, rays[k])
        ground = -eye[2] / rays[k, 2] if rays[k, 2] < 0 else np.inf
        hits += expected < ground
        if np.isfinite(min(expected, ground)):
            assert range_m[k] == pytest.approx(min(expected, ground), rel=1e-4, abs=1e-3), (k, solid)
        else:
            assert np.isinf(range_m[k])
    assert hits > 100
    assert (echo >= 0).all() and echo.max() <= 1.5


def test_points_have_the_form_of_the_sensor() -> None:
    sweep = lidar_sweep(busy_scene(), UPRIGHT, 0.0)
    points = sweep.points.astype(np.float64)
    assert sweep.points.dtype == np.float32 and sweep.points.shape[1] == 5
    assert 15_000 < len(points) <= AZIMUTHS * RINGS
    distance = np.linalg.norm(points[:, :3], axis=1)
    assert distance.min() > 0.85 and distance.max() < 70.2
    assert points[:, 3].min() >= 0 and points[:, 3].max() <= 255
    elevation = np.rad2deg(np.arcsin(points[:, 2] / distance))
    np.testing.assert_allclose(elevation, -30.67 + points[:, 4] * (10.67 + 30.67) / 31, atol=1e-3)
    # The ground lies at the lidar's height below it.
    low = points[(points[:, 4] < 8) & (distance > 3)]
    assert np.median(low[:, 2]) == pytest.approx(-1.84, abs=0.02)


def test_noise_and_losses() -> None:
    scene = scene_with(())
    sweep = lidar_sweep(scene, UPRIGHT, 0.0)
    distance = np.linalg.norm(sweep.points[:, :3].astype(np.float64), axis=1)
    elevation = np.deg2rad(-30.67 + sweep.points[:, 4].astype(np.float64) * (10.67 + 30.67) / 31)
    residual = distance - 1.84 / np.sin(-elevation)
    assert residual.std() == pytest.approx(0.02, rel=0.1)
    assert abs(residual.mean()) < 0.001
    returns = np.bincount(sweep.points[:, 4].astype(int), minlength=RINGS)[:22] / AZIMUTHS
    assert returns[0] > 0.95 and returns[20] < returns[10] < returns[0] + 0.02


def test_sweeps_repeat() -> None:
    scene = busy_scene()
    np.testing.assert_array_equal(lidar_sweep(scene, UPRIGHT, 0.5).points, lidar_sweep(scene, UPRIGHT, 0.5).points)
    assert len(lidar_sweep(scene, UPRIGHT, 0.5).points) != len(lidar_sweep(scene, UPRIGHT, 1.0).points)


@pytest.mark.parametrize("ego_from_lidar", [UPRIGHT, TILTED])
def test_counts_by_hand(ego_from_lidar: np.ndarray) -> None:
    scene = busy_scene()
    sweep = lidar_sweep(scene, ego_from_lidar, 0.0)
    at = transform(global_from_ego(20, 28, 0.1) @ ego_from_lidar, sweep.points[:, :3].astype(np.float64))
    for k, one in enumerate(scene.tracks):
        x, y, yaw = one.pose_at(0.0)
        width, length, height = one.size_wlh_m
        own = (at - [x, y, height / 2]) @ np.array(
            [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
        )
        assert sweep.counts[k] == (np.abs(own) <= [length / 2, width / 2, height / 2]).all(1).sum()
    assert sweep.counts.dtype == np.int32 and (sweep.counts > 0).sum() >= 7


def test_counts_of_the_devkit(devkit: None) -> None:
    from nuscenes.utils.data_classes import Box
    from nuscenes.utils.geometry_utils import points_in_box
    from pyquaternion import Quaternion

    scene = busy_scene()
    sweep = lidar_sweep(scene, UPRIGHT, 0.0)
    lidar_from_global = np.linalg.inv(global_from_ego(20, 28, 0.1) @ UPRIGHT)
    for count, one in zip(sweep.counts, scene.tracks, strict=True):
        x, y, yaw = one.pose_at(0.0)
        box = Box([x, y, one.size_wlh_m[2] / 2], one.size_wlh_m, Quaternion(axis=[0, 0, 1], radians=yaw))
        box.rotate(Quaternion(matrix=lidar_from_global[:3, :3]))
        box.translate(lidar_from_global[:3, 3])
        assert points_in_box(box, sweep.points[:, :3].T.astype(np.float64)).sum() == count


def test_a_near_car_has_many_points_and_a_hidden_one_none() -> None:
    near, hidden = track("bus", 27, 33), track("pedestrian", 27, 38)
    counts = lidar_sweep(scene_with((near, hidden, track("car", 79, 55))), UPRIGHT, 0.0).counts
    assert counts[0] > 1000 and counts[1] == 0


def test_no_tracks() -> None:
    assert lidar_sweep(scene_with(()), UPRIGHT, 0.0).counts.shape == (0,)
