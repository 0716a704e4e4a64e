"""Rays, and the rounding contract of the points along them."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import BEVGrid, Camera, CameraRig, DepthBins, ImageTransform, ViewGeometry, indices_from_rig
from bevdeploy.geometry.frames import invert, transform
from bevdeploy.geometry.frustum import cells_of_points, feature_pixels, rays_from_rig


def one_ray(direction_x: float, origin_x: float, depth_m: float, cells: int = 8) -> tuple[CameraRig, ViewGeometry]:
    """One camera of one pixel whose ray has this x direction and origin, in cells of 1 m; y and z stay in cell 0."""
    K = np.array([[1, 0, -direction_x], [0, 1, 0], [0, 0, 1.0]])  # its inverse maps pixel (0, 0) to (direction_x, 0, 1)
    ego_from_cam = np.eye(4)
    ego_from_cam[0, 3] = origin_x
    grid = BEVGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1000.0), (cells, 1, 1))
    view = ViewGeometry(grid, DepthBins(depth_m, depth_m + 0.5, 1.0), (1, 1), (1, 1))
    return CameraRig((Camera("ONE", 1, 1, K, ego_from_cam),)), view


def cells(direction_x: float, origin_x: float, depth_m: float) -> list[int]:
    return indices_from_rig(*one_ray(direction_x, origin_x, depth_m)).ranks_bev.tolist()


def test_feature_pixels_reach_both_edges() -> None:
    view = ViewGeometry(BEVGrid.centred(8, 1, (-5, 3)), DepthBins(1, 8, 1), (5, 9), (2, 3))
    assert feature_pixels(view).tolist() == [[0, 4, 8, 0, 4, 8], [0, 0, 0, 4, 4, 4], [1] * 6]


def test_points_are_truncated_toward_zero() -> None:
    """Floor would put a point at -0.5 into cell -1, outside; training code keeps it in cell 0."""
    assert np.floor(-1.0 + 0.25 * 2.0) == -1
    assert cells(0.25, -1.0, 2.0) == [0]


def test_the_open_ends_of_the_grid() -> None:
    assert cells(0.25, -1.5, 2.0) == []  # exactly -1
    assert cells(0.25, 7.0, 2.0) == [7]
    assert cells(0.25, 7.5, 2.0) == []  # exactly 8 of 8 cells


def test_multiply_then_add_in_float32() -> None:
    """(100/7) * 7 - 97: the product is a little below 100 and rounds up to it, so the sum is 3, not 2.999999."""
    direction, depth, origin = np.float32(100 / 7), np.float32(7), np.float32(-97)
    exact = float(direction) * float(depth) + float(origin)  # 24 + 24 bits fit into a float64
    fused = np.float32(exact)
    specified = np.float32(direction * depth) + origin
    assert (int(exact), int(fused), int(specified)) == (2, 2, 3)
    assert cells(float(direction), float(origin), float(depth)) == [3]


def test_rays_are_rounded_once() -> None:
    """The direction is float64 until the end: 1 / 3 in float32, not a float32 inverse of a float32 K."""
    rig, view = one_ray(1 / 3, 0.1, 1.0)
    rays = rays_from_rig(rig, view)
    assert rays.direction[0, 0, 0] == np.float32(1 / 3)
    assert rays.origin[0, 0] == np.float32(0.1)
    assert rays.direction.dtype == rays.origin.dtype == np.float32


def test_project_after_unproject_is_identity(rng: np.random.Generator, random_rig, random_view) -> None:
    for cameras in range(1, 8):
        rig, view = random_rig(rng, cameras), random_view(rng)
        rays = rays_from_rig(rig, view)
        points = np.stack([cells_of_points(rays, view, axis) for axis in range(3)], -1)  # [N, D, Hf*Wf, 3] cells
        points_ego = points * np.array(view.grid.cell_m) + np.array(view.grid.lower_m)
        pixels = feature_pixels(view)[:2].T  # [Hf*Wf, 2]
        for camera, points_of_camera in zip(rig.cameras, points_ego, strict=True):
            points_cam = transform(invert(camera.ego_from_cam), points_of_camera)
            assert np.allclose(points_cam[..., 2], view.depth_bins.depths_m()[:, None], atol=1e-3)
            fit = ImageTransform.fit((camera.height_px, camera.width_px), view.net_hw)
            projected = points_cam @ (fit.net_from_image @ camera.K).T
            # float32 cells of a grid of some 50 m: 5e-6 m at 1 m depth, times a focal length of up to 600 px
            assert np.allclose(projected[..., :2] / projected[..., 2:], pixels, atol=0.02)


def test_a_singular_intrinsic_matrix() -> None:
    rig, view = one_ray(0.0, 0.0, 1.0)
    K = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1.0]])
    with pytest.raises(GeometryError, match="'ONE': K cannot be inverted"):
        rays_from_rig(CameraRig((Camera("ONE", 1, 1, K, rig.cameras[0].ego_from_cam),)), view)
