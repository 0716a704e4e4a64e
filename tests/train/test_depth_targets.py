"""Depth targets: points by hand, the slow twin, and the lift's own frustum points fall into their own bins."""

from __future__ import annotations

import math

import numpy as np

from bevdeploy.geometry import CameraRig, ImageTransform, ViewGeometry
from bevdeploy.train.depth_targets import NEAREST_M, depth_targets


def view_of(rig: CameraRig, geometry: ViewGeometry) -> tuple[np.ndarray, np.ndarray]:
    K = []
    for camera in rig.cameras:
        fit = ImageTransform.fit((camera.height_px, camera.width_px), geometry.net_hw)
        K.append(fit.net_from_image @ camera.K)
    return np.stack(K), np.stack([camera.ego_from_cam for camera in rig.cameras])


def test_points_by_hand(small_view: ViewGeometry) -> None:
    K = np.array([[[16.0, 0, 16], [0, 16, 8], [0, 0, 1]]])  # images of 32 x 16 px, feature map of 8 x 4
    looking_forward = np.array([[[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]]])
    points = np.array(
        [
            [10.2, 0.0, 0.0],  # u = 16, v = 8: pixel row 2, column 4; bins at 1, 3, ...: nearest is 11, bin 5
            [30.0, 0.0, 0.0],  # behind it
            [6.0, 3.0, 0.0],  # u = 16 - 16 * 3 / 6 = 8: column 2; between bins at 5 and 7, to the even one
            [-5.0, 0.0, 0.0],  # behind the camera
            [5.0, 5.01, 0.0],  # u < 0
            [25.0, -20.0, 5.0],  # beyond the last bin's half: 23 + 1; u = 28.8, v = 4.8
        ],
        np.float32,
    )
    bins = depth_targets(points, K, looking_forward, small_view)
    expected = np.full((1, 4, 8), -1)
    expected[0, 2, 4], expected[0, 2, 2] = 5, 2
    np.testing.assert_array_equal(bins, expected)


def test_slow_twin(small_rig: CameraRig, small_view: ViewGeometry, rng: np.random.Generator) -> None:
    K, bev_from_cam = view_of(small_rig, small_view)
    points = rng.uniform((-25, -25, -2), (25, 25, 4), (500, 3)).astype(np.float32)
    expected = np.full((6, 4, 8), -1)
    for n in range(6):
        nearest = np.full((4, 8), np.inf)
        for point in points.astype(float):
            x, y, z = (np.linalg.inv(bev_from_cam[n]) @ [*point, 1])[:3]
            if z > NEAREST_M:
                u, v, _ = K[n] @ [x / z, y / z, 1]
                if 0 <= u < 32 and 0 <= v < 16:
                    row, column = math.floor(v / 4), math.floor(u / 4)
                    nearest[row, column] = min(nearest[row, column], z)
        for row, column in np.argwhere(np.isfinite(nearest)):
            best = int(np.argmin(abs(small_view.depth_bins.depths_m() - nearest[row, column])))
            if nearest[row, column] < small_view.depth_bins.depths_m()[-1] + 1:
                expected[n, row, column] = best
    bins = depth_targets(points, K, bev_from_cam, small_view)
    assert (bins == expected).all() and (bins >= 0).sum() > 40


def test_a_point_where_the_lift_would_place_a_feature_has_that_bin(
    small_rig: CameraRig, small_view: ViewGeometry
) -> None:
    K, bev_from_cam = view_of(small_rig, small_view)
    for k, depth_m in enumerate(small_view.depth_bins.depths_m().tolist()):
        camera = np.linalg.inv(K[2]) @ [13.0, 9.0, 1.0] * depth_m
        point = (bev_from_cam[2] @ [*camera, 1])[:3]
        bins = depth_targets(point[None].astype(np.float32), K[2:3], bev_from_cam[2:3], small_view)
        assert bins[0, 2, 3] == k and (bins >= 0).sum() == 1


def test_no_points(small_rig: CameraRig, small_view: ViewGeometry) -> None:
    bins = depth_targets(np.zeros((0, 5), np.float32), *view_of(small_rig, small_view), small_view)
    assert bins.shape == (6, 4, 8) and (bins == -1).all()
