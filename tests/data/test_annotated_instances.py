"""Outlines of boxes against rays through them; nearer objects cover farther ones; masks lie on the real boxes."""

from __future__ import annotations

import numpy as np

from bevdeploy.data.annotated_instances import annotated_instances, box_outline, convex_hull
from bevdeploy.data.index import SampleIndex
from bevdeploy.data.instance_masks import mask_of_polygons
from bevdeploy.data.nuscenes import CAMERAS
from bevdeploy.data.samples import camera_pose
from bevdeploy.geometry import Camera
from bevdeploy.geometry.frames import compose, invert, rotation_from_quaternion, transform

K = np.array([[60.0, 0, 40], [0, 60, 25], [0, 0, 1]])
SIGNS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


def entered(cam_from_box: np.ndarray, size: np.ndarray, K: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Depth at which rays through pixels enter a box beyond 0.1 m, by slabs; inf where they miss it."""
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(K).T  # depth 1
    box_from_cam = invert(cam_from_box)
    start, along = box_from_cam[:3, 3], rays @ box_from_cam[:3, :3].T
    with np.errstate(divide="ignore"):
        low, high = (-size / 2 - start) / along, (size / 2 - start) / along
    enter = np.maximum(np.minimum(low, high).max(-1), 0.1)
    return np.where(np.maximum(low, high).min(-1) > enter, enter, np.inf)


def test_an_outline_holds_what_rays_hit(rng: np.random.Generator) -> None:
    u, v = np.meshgrid(np.arange(80) + 0.5, np.arange(50) + 0.5)
    cut, seen = 0, 0
    for _ in range(150):
        size = rng.uniform(0.3, 5, 3)
        cam_from_box = compose(rotation_from_quaternion(rng.normal(size=4)), rng.normal(size=3) * 3 + (0, 0, 3))
        corners = transform(cam_from_box, SIGNS * size)
        hit = np.isfinite(entered(cam_from_box, size, K, u, v))
        outline = box_outline(corners, K)
        mask, (left, top) = mask_of_polygons([outline], (50, 80))
        full = np.zeros((50, 80), bool)
        full[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        assert (full != hit).sum() <= 1  # a centre on the outline
        cut += 0 < (corners[:, 2] > 0.1).sum() < 8
        seen += bool(hit.any())
    assert cut > 30 and seen > 80


def test_nothing_is_seen_of_a_box_behind() -> None:
    assert box_outline(SIGNS - (0, 0, 4), K).shape == (0, 2)


def test_hull_corners_have_all_points_on_one_side(rng: np.random.Generator) -> None:
    for count in (1, 2, 3, 8, 40):
        points = rng.uniform(-5, 5, (count, 2)).round(0)
        hull = convex_hull(points)
        assert {tuple(p) for p in hull.tolist()} <= {tuple(p) for p in points.tolist()}
        if len(hull) > 2:
            side = np.roll(hull, -1, 0) - hull
            away = points[None] - hull[:, None]
            assert (side[:, None, 0] * away[..., 1] - side[:, None, 1] * away[..., 0] >= 0).all()


def test_nearer_boxes_cover_farther_ones(mini_index: SampleIndex) -> None:
    """Each pixel of each camera beside the nearest of all rays' hits; by box number."""
    arrays, keyframe = mini_index.arrays, 0
    rows = mini_index.boxes_of(keyframe)
    assert (arrays.box_points[rows] == 0).any() and (arrays.box_points[rows] > 0).sum() > 20
    total = 0
    for column, name in enumerate(CAMERAS):
        pose = camera_pose(mini_index, keyframe, column, True)
        factor = 0.1  # of the image's size, for the rays' sake
        K = np.diag([factor, factor, 1]) @ arrays.K[keyframe, column]
        camera = Camera(name, 160, 90, K, pose)
        (masks,) = annotated_instances(mini_index, keyframe, [camera])
        u, v = np.meshgrid(np.arange(160) + 0.5, np.arange(90) + 0.5)
        hits = []
        for row in range(rows.start, rows.stop):
            if arrays.box_points[row]:
                width, length, height = arrays.box_size_m[row].astype(np.float64)
                box = compose(rotation_from_quaternion(arrays.box_rotation[row]), arrays.box_centre_m[row])
                cam_from_box = invert(pose) @ invert(arrays.global_from_ego[keyframe]) @ box
                depth = entered(cam_from_box, np.array([length, width, height]), K, u, v)
                hits.append((np.linalg.norm(cam_from_box[:3, 3]), np.isfinite(depth)))
        hits.sort(key=lambda hit: hit[0])
        covered = np.zeros((90, 160), bool)
        want = []
        for _, hit in hits:
            want.append(hit & ~covered)
            covered |= hit
        want = [mask for mask in want if mask.any()]
        assert len(masks) == len(want)
        for instance, mask in zip(masks, want, strict=True):
            (left, top), (h, w) = instance.corner_px, instance.mask.shape
            full = np.zeros((90, 160), bool)
            full[top : top + h, left : left + w] = instance.mask
            np.testing.assert_array_equal(full, mask)
            assert instance.score == 1.0 and instance.mask.any()
        total += len(masks)
    assert total > 30
