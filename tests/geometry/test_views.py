"""Indices of augmented views: a rig's own, bit for bit, without augmentation; a slow twin under any."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import CameraRig, ImageTransform, ViewGeometry, indices_from_rig
from bevdeploy.geometry.frustum import rays_from_rig, rays_from_views
from bevdeploy.geometry.ranks import indices_from_views

FIELDS = ("ranks_depth", "ranks_feat", "ranks_bev", "interval_starts", "interval_lengths")


def views_of(rig: CameraRig, geometry: ViewGeometry) -> tuple[np.ndarray, np.ndarray]:
    K = [ImageTransform.fit((c.height_px, c.width_px), geometry.net_hw).net_from_image @ c.K for c in rig.cameras]
    return np.stack(K), np.stack([c.ego_from_cam for c in rig.cameras])


def similarity(rng: np.random.Generator, mirrored: bool) -> np.ndarray:
    angle, scale = rng.uniform(-np.pi, np.pi), rng.uniform(0.8, 1.25)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    bev_from_ego = np.eye(4)
    bev_from_ego[:3, :3] = scale * np.diag([1, -1 if mirrored else 1, 1]) @ turn
    bev_from_ego[:2, 3] = rng.uniform(-1, 1, 2)
    return bev_from_ego


def test_without_augmentation_the_indices_are_the_rigs(
    rng: np.random.Generator, random_rig: Callable[..., CameraRig], random_view: Callable[..., ViewGeometry]
) -> None:
    for cameras in (1, 3, 6):
        rig, geometry = random_rig(rng, cameras), random_view(rng)
        K, ego_from_cam = views_of(rig, geometry)
        rays, own = rays_from_views(K, ego_from_cam, geometry), rays_from_rig(rig, geometry)
        assert rays.direction.tobytes() == own.direction.tobytes()
        assert rays.origin.tobytes() == own.origin.tobytes()
        got, want = indices_from_views(K, ego_from_cam, geometry), indices_from_rig(rig, geometry)
        assert all(getattr(got, name).tobytes() == getattr(want, name).tobytes() for name in FIELDS)


@pytest.mark.parametrize("mirrored", [False, True])
def test_augmented_indices_equal_a_loop_over_all_points(
    rng: np.random.Generator, small_rig: CameraRig, small_view: ViewGeometry, mirrored: bool
) -> None:
    """The contract spelt out: float64 rays rounded once, float32 multiply, then add, truncation, stable order."""
    geometry = small_view
    K, ego_from_cam = views_of(small_rig, geometry)
    net_h, net_w = geometry.net_hw
    turn = np.array([[0.98, -0.17, 3.0], [0.17, 0.98, -2.0], [0, 0, 1]])
    flip = np.array([[-1.0, 0, net_w], [0, 1, 0], [0, 0, 1]])
    K = turn @ flip @ K
    bev_from_cam = similarity(rng, mirrored) @ ego_from_cam
    found = []
    lower, cell = np.array(geometry.grid.lower_m), np.array(geometry.grid.cell_m)
    feature_h, feature_w = geometry.feature_hw
    depths = geometry.depth_bins.depths_m()
    place = 0
    for net_from_cam, bev_from_one in zip(K, bev_from_cam, strict=True):
        inverse = np.linalg.inv(net_from_cam)
        rays = {}
        for row, v in enumerate(np.linspace(0, net_h - 1, feature_h)):
            for column, u in enumerate(np.linspace(0, net_w - 1, feature_w)):
                direction = bev_from_one[:3, :3] @ inverse @ np.array([u, v, 1])
                rays[row, column] = (direction / cell).astype(np.float32)
        origin = ((bev_from_one[:3, 3] - lower) / cell).astype(np.float32)
        for depth in depths:
            for row in range(feature_h):
                for column in range(feature_w):
                    point = rays[row, column] * depth + origin
                    if (point > -1).all() and (point < geometry.grid.count).all():
                        x, y, z = point.astype(np.int32)
                        columns, rows, _ = geometry.grid.count
                        found.append((int(x + columns * (y + rows * z)), place))
                    place += 1
    found.sort(key=lambda pair: pair[0])
    got = indices_from_views(K, bev_from_cam, geometry)
    assert len(found) > 300
    differing = sum(
        a != b for a, b in zip(found, zip(got.ranks_bev.tolist(), got.ranks_depth.tolist(), strict=True), strict=True)
    )
    assert differing == 0


def test_what_cannot_be_lifted_is_refused(small_rig: CameraRig, small_view: ViewGeometry) -> None:
    K, ego_from_cam = views_of(small_rig, small_view)
    with pytest.raises(GeometryError, match="number 0"):
        indices_from_views(K * 0, ego_from_cam, small_view)
    with pytest.raises(GeometryError, match="numbers of no real camera"):
        indices_from_views(K, ego_from_cam * np.nan, small_view)
