"""Truth of a keyframe from the index, in its BEV frame under any augmentation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.index import CLASSES, SampleIndex
from bevdeploy.data.map_masks import map_masks, raster_of
from bevdeploy.data.occupancy_masks import VEHICLES, footprint_mask
from bevdeploy.data.plan_and_command import command_of_plan, ego_plan, keyframes_after
from bevdeploy.data.sample import Float32, Truth
from bevdeploy.geometry.frames import Float64, invert, transform
from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.geometry.map_grid import map_grid
from bevdeploy.tasks import TaskSpec

KEYFRAME_S = 0.5
"""Time between nuScenes' keyframes."""


def truth_of(
    index: SampleIndex, keyframe: int, tasks: TaskSpec, grid: BEVGrid, bev_from_ego: Float64 | None = None
) -> Truth:
    """What the annotations say about a keyframe.

    Args:
        index: of the data set.
        keyframe: number in the index.
        tasks: classes, orders and horizons; boxes of other classes are left out.
        grid: of the student's BEV features; that of the map masks, unless the tasks have their own.
        bev_from_ego: [4, 4] BEV augmentation, a rotation, mirroring, scale and translation; None for none.

    Raises:
        DataSetError: the tasks have a map class or command that nuScenes does not give.
    """
    bev_from_ego = np.eye(4) if bev_from_ego is None else bev_from_ego
    arrays = index.arrays
    bev_from_global = bev_from_ego @ invert(arrays.global_from_ego[keyframe])
    rows = index.boxes_of(keyframe)
    label_of = np.array([tasks.classes.index(name) if name in tasks.classes else -1 for name in CLASSES], np.int32)
    labels = label_of[arrays.box_class[rows]]
    chosen = np.arange(rows.start, rows.stop)[labels >= 0]  # [n]
    futures_m, futures_valid = _futures(index, chosen, tasks.motion_steps, bev_from_global)
    occupancy, occupancy_valid = _occupancy(index, keyframe, tasks, bev_from_global)
    plan_ego_m, plan_valid = ego_plan(index, keyframe, tasks.plan_steps)
    plan_m = transform(bev_from_ego, np.pad(plan_ego_m, ((0, 0), (0, 1))))[:, :2] * plan_valid[:, None]
    mirrored = bool(np.linalg.det(bev_from_ego[:3, :3]) < 0)
    raster = raster_of(index, keyframe)
    return Truth(
        boxes=bev_boxes(index, chosen, bev_from_global),
        labels=labels[labels >= 0],
        instances=np.array(arrays.box_instance[chosen]),
        attributes=arrays.box_attribute[chosen].astype(np.int32),
        points=np.array(arrays.box_points[chosen]),
        visibility=arrays.box_visibility[chosen].astype(np.int32),
        futures_m=futures_m,
        futures_valid=futures_valid,
        map_masks=map_masks(raster, tasks.map_classes, map_grid(grid, tasks), np.linalg.inv(bev_from_global)),
        occupancy=occupancy,
        occupancy_valid=occupancy_valid,
        plan_m=plan_m.astype(np.float32),
        plan_valid=plan_valid,
        command=command_of_plan(plan_ego_m, plan_valid, tasks, mirrored),
        map_valid=raster is not None,
    )


def bev_boxes(index: SampleIndex, rows: NDArray[np.intp], bev_from_global: Float64) -> Float32:
    """Boxes [n, 9] of rows of the index, columns of `tasks.BOX_FIELDS`; lengths and velocities scale along."""
    arrays = index.arrays
    linear = bev_from_global[:3, :3]
    scale = abs(np.linalg.det(linear)) ** (1 / 3)
    forward = _forward(arrays.box_rotation[rows]) @ linear.T  # [n, 3]
    boxes = np.empty((len(rows), 9))
    boxes[:, :3] = transform(bev_from_global, arrays.box_centre_m[rows])
    boxes[:, 3:6] = arrays.box_size_m[rows] * scale
    boxes[:, 6] = np.arctan2(forward[:, 1], forward[:, 0])
    boxes[:, 7:] = (arrays.box_velocity_mps[rows].astype(np.float64) @ linear.T)[:, :2]
    return boxes.astype(np.float32)


def _forward(quaternions: Float64) -> Float64:
    """First columns [n, 3] of the rotation matrices of quaternions [n, 4]."""
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    return np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)], 1)


def _futures(
    index: SampleIndex, rows: NDArray[np.intp], steps: int, bev_from_global: Float64
) -> tuple[Float32, NDArray[np.bool_]]:
    """Positions [n, steps, 2] of the same objects in the keyframes after, and which are known [n, steps]."""
    futures_m, valid = np.zeros((len(rows), steps, 2), np.float32), np.zeros((len(rows), steps), bool)
    current = np.array(rows, np.int64)
    for step in range(steps):
        current = np.where(current >= 0, index.arrays.box_following[np.maximum(current, 0)], -1)
        known = np.flatnonzero(current >= 0)
        if not len(known):
            break
        centres = transform(bev_from_global, index.arrays.box_centre_m[current[known]])
        futures_m[known, step], valid[known, step] = centres[:, :2], True
    return futures_m, valid


def _occupancy(
    index: SampleIndex, keyframe: int, tasks: TaskSpec, bev_from_global: Float64
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Footprints [steps, side, side] at the keyframes nearest to the steps' times, and which the scene reaches."""
    steps = [round(time_s / KEYFRAME_S) for time_s in tasks.occupancy_steps_s]
    side = tasks.occupancy_side
    masks, valid = np.zeros((len(steps), side, side), bool), np.zeros(len(steps), bool)
    vehicle = np.isin(np.array(CLASSES), VEHICLES)
    later = keyframes_after(index, keyframe, max(steps, default=0))
    for n, step in enumerate(steps):
        if step < len(later):
            rows = index.boxes_of(later[step])
            rows = np.arange(rows.start, rows.stop)[vehicle[index.arrays.box_class[rows]]]
            masks[n] = footprint_mask(bev_boxes(index, rows, bev_from_global), side, tasks.occupancy_cell_m)
            valid[n] = True
    return masks, valid
