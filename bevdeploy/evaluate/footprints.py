"""Footprints: where true boxes stand at the steps of a plan, and whether the ego box meets one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bevdeploy.evaluate.result_file import CLASSES

Float64 = NDArray[np.float64]

EGO_LENGTH_M, EGO_WIDTH_M = 4.084, 1.85
"""Renault Zoe of nuScenes: the box of ST-P3's and UniAD's planning metrics."""

EGO_CENTRE_M = 1.44
"""The box's centre lies this far ahead of the rear axle, the origin of the ego frame.

UniAD puts it 0.5 m ahead of its origin, LIDAR_TOP, and nuScenes' LIDAR_TOP stands 0.94 m ahead of the axle.
"""

CELL_M = 0.5
"""Cells of the occupancy in which boxes meet: ST-P3, UniAD."""

TURNING_M = 0.25
"""A box that moved less than this between two steps keeps its yaw; the direction of less is noise."""


@dataclass(frozen=True, eq=False)
class Footprints:
    """Rectangles on the ground at T steps."""

    rectangles: Float64
    """[T, n, 5] centre x, y, width, length (m), yaw (rad)."""
    valid: NDArray[np.bool_]
    """[T, n] the object is annotated at that step."""
    labels: NDArray[np.int32]
    """[n] index into `classes`."""
    classes: tuple[str, ...] = CLASSES
    """All of nuScenes', or those of a student."""


def future_footprints(
    boxes: NDArray[np.float32],
    labels: NDArray[np.int32],
    futures_m: NDArray[np.float32],
    futures_valid: NDArray[np.bool_],
    steps: int,
    classes: tuple[str, ...] = CLASSES,
) -> Footprints:
    """Footprints at the first `steps` steps of boxes that are annotated now.

    Their sizes are those of now; they point along their way. Objects that only appear later are not among them.

    Args:
        boxes: [n, 9] true boxes now, columns of `tasks.BOX_FIELDS`.
        labels: [n].
        futures_m: [n, at least `steps`, 2] positions in the frame of now.
        futures_valid: [n, at least `steps`].
        steps: T.
        classes: names of the labels.
    """
    n = len(boxes)
    rectangles = np.zeros((steps, n, 5))
    valid = np.zeros((steps, n), np.bool_)
    for index, box in enumerate(boxes.astype(np.float64)):
        position, yaw = box[:2], box[6]
        for step in range(min(steps, futures_m.shape[1])):
            if not futures_valid[index, step]:
                continue
            way = futures_m[index, step].astype(np.float64) - position
            if np.hypot(*way) > TURNING_M:
                yaw = np.arctan2(way[1], way[0])
            position = futures_m[index, step].astype(np.float64)
            rectangles[step, index] = (*position, box[3], box[4], yaw)
            valid[step, index] = True
    return Footprints(rectangles, valid, labels, classes)


def ego_cells(position_m: Float64, centre_m: float = EGO_CENTRE_M) -> Float64:
    """Centres [k, 2] of the cells under the ego box whose rear axle is at a position [2].

    The box points along x whatever the plan does, as in ST-P3's and UniAD's code.
    """
    axes = []
    for middle, size in ((position_m[0] + centre_m, EGO_LENGTH_M), (position_m[1], EGO_WIDTH_M)):
        first = int(np.ceil((middle - size / 2) / CELL_M - 0.5))
        last = int(np.floor((middle + size / 2) / CELL_M - 0.5))
        axes.append((np.arange(first, last + 1) + 0.5) * CELL_M)
    x, y = np.meshgrid(*axes, indexing="ij")  # [kx, ky] each
    return np.stack([x.ravel(), y.ravel()], axis=1)  # [k, 2]


def meets(position_m: Float64, rectangles: Float64, centre_m: float = EGO_CENTRE_M) -> bool:
    """Whether a cell centre lies both under the ego box and under a rectangle.

    ST-P3 and UniAD draw both as polygons into 0.5 m cells, borders included; here a cell belongs to what covers its
    centre.

    Args:
        position_m: [2] of the rear axle.
        rectangles: [n, 5] centre x, y, width, length (m), yaw (rad).
        centre_m: centre of the ego box ahead of the rear axle.
    """
    if not len(rectangles):
        return False
    offsets = ego_cells(position_m, centre_m)[:, None] - rectangles[None, :, :2]  # [k, n, 2]
    c, s = np.cos(rectangles[:, 4]), np.sin(rectangles[:, 4])  # [n] each
    along = offsets[..., 0] * c + offsets[..., 1] * s  # [k, n]
    across = offsets[..., 1] * c - offsets[..., 0] * s  # [k, n]
    covered = (np.abs(along) <= rectangles[:, 3] / 2) & (np.abs(across) <= rectangles[:, 2] / 2)  # [k, n]
    return bool(covered.any())
