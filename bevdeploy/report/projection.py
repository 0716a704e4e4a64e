"""Boxes in three dimensions and where a camera sees them. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry.frames import invert, transform
from bevdeploy.geometry.rig import Camera

Float64 = NDArray[np.float64]

NEAR_M = 0.1
"""Edges are cut off this far in front of the camera."""

EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))
"""Pairs of corners: bottom, top, pillars."""
FRONT_FACE = (0, 1, 5, 4)

# forward, left, up; in halves of length, width, height
_SIGNS = np.array(
    [[1, 1, -1], [1, -1, -1], [-1, -1, -1], [-1, 1, -1], [1, 1, 1], [1, -1, 1], [-1, -1, 1], [-1, 1, 1]], np.float64
)


def placed(boxes: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which of the boxes [n, 9] have a finite place, size and yaw; a velocity may be unknown."""
    return np.asarray(np.isfinite(np.asarray(boxes).reshape(-1, 9)[:, :7]).all(1))


def box_corners_m(boxes: NDArray[np.floating[Any]]) -> Float64:
    """Corners [n, 8, 3] of boxes [n, 9] (`tasks.BOX_FIELDS`), in the frame of the boxes.

    Bottom first, then top; each front left, front right, back right, back left.
    """
    values = np.asarray(boxes, np.float64).reshape(-1, 9)
    width, length, height, yaw = (values[:, column] for column in (3, 4, 5, 6))
    halves = np.stack([length, width, height], 1)[:, None] / 2  # [n, 1, 3]
    local = halves * _SIGNS  # [n, 8, 3]
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]  # [n, 1]
    x = cos * local[..., 0] - sin * local[..., 1]
    y = sin * local[..., 0] + cos * local[..., 1]
    turned = np.stack([x, y, local[..., 2]], -1)  # [n, 8, 3]
    return np.asarray(turned + values[:, None, :3])


def corners_in_camera(boxes: NDArray[np.floating[Any]], camera: Camera) -> Float64:
    """Corners [n, 8, 3] in the camera frame: x right, y down, z forward, metres."""
    return transform(invert(camera.ego_from_cam), box_corners_m(boxes))


def pixels(points_cam: Float64, camera: Camera) -> Float64:
    """Raw pixels [k, 2] of points [k, 3] in front of the camera."""
    homogeneous = points_cam @ camera.K.T  # [k, 3]
    return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:])


def polygon_in_front(points_cam: Float64) -> Float64:
    """The part [k', 3] of a polygon [k, 3] that is beyond the near plane; k' is 0 where nothing is."""
    kept: list[Float64] = []
    for start, end in zip(points_cam, np.roll(points_cam, -1, 0), strict=True):
        if start[2] >= NEAR_M:
            kept.append(start)
        if (start[2] >= NEAR_M) != (end[2] >= NEAR_M):
            kept.append(_at_near_plane(start, end))
    return np.array(kept).reshape(-1, 3)


def segment_in_front(start_cam: Float64, end_cam: Float64) -> Float64 | None:
    """The part [2, 3] of a segment that is beyond the near plane, or None."""
    if start_cam[2] < NEAR_M and end_cam[2] < NEAR_M:
        return None
    ends = [point if point[2] >= NEAR_M else _at_near_plane(start_cam, end_cam) for point in (start_cam, end_cam)]
    return np.stack(ends)  # [2, 3]


def segment_in_image(ends_px: Float64, width_px: float, height_px: float, margin_px: float = 0.0) -> Float64 | None:
    """The part [2, 2] of a segment inside the image and a margin, or None (Liang and Barsky)."""
    start: Float64 = ends_px[0]
    step: Float64 = ends_px[1] - ends_px[0]
    enter, leave = 0.0, 1.0
    for axis, size in ((0, width_px), (1, height_px)):
        for direction, room in ((-step[axis], start[axis] + margin_px), (step[axis], size + margin_px - start[axis])):
            if direction == 0:
                if room < 0:
                    return None
            elif direction < 0:
                enter = max(enter, room / direction)
            else:
                leave = min(leave, room / direction)
    if enter > leave:
        return None
    return np.stack([start + enter * step, start + leave * step])  # [2, 2]


def _at_near_plane(start: Float64, end: Float64) -> Float64:
    share = (NEAR_M - start[2]) / (end[2] - start[2])
    point = start + share * (end - start)
    point[2] = NEAR_M
    return np.asarray(point)
