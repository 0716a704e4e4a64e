"""The sensors: what a 704 x 256 frame shows is what a network sees of 1600 x 900, and cameras fire in lidar order."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.nuscenes import CAMERAS
from bevdeploy.data.world.sensor_rig import ego_from_lidar, fire_offset_s, world_rig
from bevdeploy.errors import GeometryError
from bevdeploy.geometry import surround_rig
from bevdeploy.geometry.frames import invert, transform


def test_pixels_are_those_of_the_resized_and_cropped_camera(rng: np.random.Generator) -> None:
    """The field's setting: scale 0.44, 140 rows off the top."""
    points = np.stack([rng.uniform(-5, 5, 50), rng.uniform(-2, 2, 50), rng.uniform(4, 40, 50)])
    for raw, camera in zip(surround_rig(1600, 900).cameras, world_rig(704, 256).cameras, strict=True):
        raw_px = raw.K @ points
        px = camera.K @ points
        expected = raw_px[:2] / raw_px[2] * 0.44 - np.array([[0], [140]])
        assert np.allclose(px[:2] / px[2], expected, atol=1e-9)
        assert (camera.width_px, camera.height_px) == (704, 256)
        assert np.array_equal(camera.ego_from_cam, raw.ego_from_cam)


def test_the_raw_size_is_the_raw_rig() -> None:
    assert world_rig(1600, 900).digest() == surround_rig(1600, 900).digest()


def test_half_the_size_is_half_the_pixels() -> None:
    for half, whole in zip(world_rig(352, 128).cameras, world_rig(704, 256).cameras, strict=True):
        assert np.allclose(half.K[:2] * 2, whole.K[:2])


def test_network_order() -> None:
    assert world_rig(64, 36).names == CAMERAS


def test_an_impossible_size_is_refused() -> None:
    with pytest.raises(GeometryError):
        world_rig(0, 10)


def test_lidar_axes() -> None:
    """x right, y forward, z up, on the roof."""
    pose = ego_from_lidar()
    assert np.allclose(transform(pose, [0, 0, 0]), [0.94, 0, 1.84])
    assert np.allclose(transform(pose, [1, 10, 0.5]), [10.94, -1, 2.34])
    assert np.allclose(invert(pose) @ pose, np.eye(4))


def test_cameras_fire_as_in_nuscenes() -> None:
    """Against milliseconds of nuScenes' own tables (scene-0061, first keyframe); the lidar turns 7.2 degrees a ms."""
    real_ms = {
        "CAM_FRONT_LEFT": -43.107,
        "CAM_FRONT": -35.491,
        "CAM_FRONT_RIGHT": -27.612,
        "CAM_BACK_RIGHT": -20.058,
        "CAM_BACK": -10.426,
        "CAM_BACK_LEFT": -0.528,
    }
    for camera in world_rig(704, 256).cameras:
        assert 1e3 * fire_offset_s(camera) == pytest.approx(real_ms[camera.name], abs=0.4)
