"""Where the rays of a view meet the ground, and what a pose is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bevdeploy.data.world.ground import LEVELS
from bevdeploy.data.world.view import TAPS, Pose, view_of
from bevdeploy.errors import GeometryError
from bevdeploy.geometry import Camera, surround_rig


@pytest.mark.parametrize("size", [(352, 128), (1600, 900)])
def test_ground_pixels_project_back(size: tuple[int, int]) -> None:
    for camera in surround_rig(*size).cameras:
        view = view_of(camera)
        stride = -(-size[0] // 800)
        assert (view.stride, view.width_px, view.height_px) == (stride, size[0] // stride, size[1] // stride)
        sharp = np.flatnonzero(view.distance_m < 12)
        taps = view.taps_m[:, sharp].astype(np.complex128).mean(0)
        points = np.stack([taps.real, taps.imag, np.zeros(len(taps))], 1)
        image = (points - camera.ego_from_cam[:3, 3]) @ camera.ego_from_cam[:3, :3] @ camera.K.T
        u, v = image[:, 0] / image[:, 2], image[:, 1] / image[:, 2]
        row, column = np.divmod(view.ground[sharp], view.width_px)
        shift = (stride - 1) / 2
        # Taps are spread at random within a cell of 0.1 m, which covers some pixels close to the camera.
        px_per_m = camera.K[0, 0] / image[:, 2]
        assert np.abs(u - (column * stride + shift)).max() < 0.5 + 0.04 * px_per_m.max()
        assert abs(np.mean(u - (column * stride + shift))) < 0.1
        assert abs(np.mean(v - (row * stride + shift))) < 0.5


def test_every_pixel_is_ground_or_sky_once() -> None:
    view = view_of(surround_rig(352, 128).cameras[0])
    both = np.concatenate([view.ground, view.sky])
    np.testing.assert_array_equal(np.sort(both), np.arange(352 * 128))
    assert view.taps_m.shape == (TAPS, len(view.ground))
    assert len(view.level_stop) == LEVELS and view.level_stop[-1] == len(view.ground)
    for number, (start, stop) in enumerate(pairwise((0, *view.level_stop))):
        assert view.reach_m[number] == np.abs(view.taps_m[:, start:stop]).max(initial=0)
    assert view_of(surround_rig(352, 128).cameras[0]) is view


def test_a_pose_is_a_rotation_about_z() -> None:
    np.testing.assert_allclose(Pose(1, 2, np.pi / 2).rotation @ [1, 0, 5], [0, 1, 5], atol=1e-12)


def test_impossible_cameras_are_refused() -> None:
    camera = surround_rig(352, 128).cameras[0]
    sunk = camera.ego_from_cam.copy()
    sunk[2, 3] = -0.5
    with pytest.raises(GeometryError, match=r"is 0\.50 m below the ground"):
        view_of(Camera("CAM_LOW", 352, 128, camera.K, sunk))
