"""Instance masks that annotations give: oracle masks, in place of a 2D detector's.

They are drawn from the true 3D boxes, so a teacher that sees them is an upper bound. They may teach a student in
training; figures of a teacher that was fed with them are no result to set beside published ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from bevdeploy.data.index import CLASSES, SampleIndex
from bevdeploy.data.instance_masks import InstanceMask, mask_of_polygons
from bevdeploy.geometry.frames import Float64, compose, invert, rotation_from_quaternion, transform
from bevdeploy.geometry.rig import Camera

NEAR_M = 0.1
"""Boxes are cut off at this depth; what lies behind it, no camera sees."""
_SIGNS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_EDGES = np.array([(a, b) for a, b in combinations(range(8), 2) if (_SIGNS[a] != _SIGNS[b]).sum() == 1])
"""[12, 2]."""


def annotated_instances(
    index: SampleIndex, keyframe: int, cameras: Sequence[Camera]
) -> tuple[tuple[InstanceMask, ...], ...]:
    """Oracle masks of a keyframe's boxes in each camera, the nearest box first, with score 1.

    A mask is the convex outline of the projected box without what nearer boxes cover. Boxes without a lidar or radar
    point are left out: they are hidden, and their masks would lie on what hides them.

    Args:
        index: of the data set.
        keyframe: number in the index.
        cameras: raw images, placed in the ego frame of the key time.

    Returns:
        For each camera its masks, none of them empty, no two of them overlapping.
    """
    arrays = index.arrays
    rows = index.boxes_of(keyframe)
    ego_from_global = invert(arrays.global_from_ego[keyframe])
    boxes = []
    for row in range(rows.start, rows.stop):
        if arrays.box_points[row] > 0:
            width, length, height = arrays.box_size_m[row].astype(np.float64)
            rotation = rotation_from_quaternion(arrays.box_rotation[row])
            global_from_box = compose(rotation, arrays.box_centre_m[row])
            corners = transform(ego_from_global @ global_from_box, _SIGNS * (length, width, height))  # [8, 3]
            boxes.append((CLASSES[arrays.box_class[row]], corners))
    return tuple(_seen(boxes, camera) for camera in cameras)


def _seen(boxes: Sequence[tuple[str, Float64]], camera: Camera) -> tuple[InstanceMask, ...]:
    cam_from_ego = invert(camera.ego_from_cam)
    image_hw = camera.height_px, camera.width_px
    seen: list[tuple[float, InstanceMask]] = []
    for class_name, corners_ego in boxes:
        corners = transform(cam_from_ego, corners_ego)  # [8, 3]
        outline = box_outline(corners, camera.K)
        if len(outline):
            mask, corner_px = mask_of_polygons([outline], image_hw)
            if mask.any():
                distance_m = float(np.linalg.norm(corners.mean(0)))
                seen.append((distance_m, InstanceMask(class_name, 1.0, mask, corner_px)))
    covered = np.zeros(image_hw, bool)
    masks = []
    for _, instance in sorted(seen, key=lambda pair: pair[0]):
        (left, top), (height, width) = instance.corner_px, instance.mask.shape
        part = covered[top : top + height, left : left + width]
        visible = instance.mask & ~part
        part |= instance.mask
        if visible.any():
            masks.append(replace(instance, mask=visible))
    return tuple(masks)


def box_outline(corners_m: Float64, K: Float64) -> Float64:
    """Convex outline [n, 2] u, v of a box in the image; [0, 2] where it lies behind the camera.

    Args:
        corners_m: [8, 3] in the camera's frame, metres, in the order of z, then y, then x.
        K: [3, 3] intrinsics.
    """
    ahead = corners_m[:, 2] >= NEAR_M
    start, end = corners_m[_EDGES[:, 0]], corners_m[_EDGES[:, 1]]  # [12, 3]
    cut = ahead[_EDGES[:, 0]] != ahead[_EDGES[:, 1]]
    start, end = start[cut], end[cut]
    share = (NEAR_M - start[:, 2:]) / (end[:, 2:] - start[:, 2:])
    visible = np.concatenate([corners_m[ahead], start + share * (end - start)])  # [n, 3]
    if not len(visible):
        return np.zeros((0, 2))
    image = visible @ K.T
    return convex_hull(image[:, :2] / image[:, 2:])


def convex_hull(points: Float64) -> Float64:
    """Corners [h, 2] of the convex hull of points [n, 2], in order around it (Andrew's monotone chain, 1979)."""
    ordered = np.unique(points, axis=0).tolist()  # by u, then v
    if len(ordered) < 3:
        return np.array(ordered).reshape(-1, 2)
    sides = []
    for along in (ordered, ordered[::-1]):
        side: list[list[float]] = []
        for point in along:
            while len(side) > 1 and _turn(side[-2], side[-1], point) <= 0:
                side.pop()
            side.append(point)
        sides += side[:-1]
    return np.array(sides)


def _turn(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
