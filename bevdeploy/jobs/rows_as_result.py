"""Boxes of a result file as a result in the ego frame of their keyframe: the way back of `evaluate.detection_rows`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bevdeploy.geometry.frames import Float64, invert, rotation_from_quaternion, transform
from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.geometry.map_grid import map_grid
from bevdeploy.runtime import BevResult
from bevdeploy.tasks import TaskSpec


def rows_as_result(
    rows: Sequence[Mapping[str, Any]], global_from_ego: Float64, tasks: TaskSpec, grid: BEVGrid
) -> BevResult:
    """Boxes alone, highest score first; they stay where they are, maps are empty and plans unknown (NaN)."""
    ego_from_global = invert(global_from_ego)
    order = sorted(rows, key=lambda row: -float(row["detection_score"]))
    boxes = np.zeros((len(order), 9), np.float32)
    for box, row in zip(boxes, order, strict=True):
        forward = ego_from_global[:3, :3] @ rotation_from_quaternion(row["rotation"])[:, 0]
        velocity = ego_from_global[:3, :3] @ np.array([*row["velocity"], 0.0])
        box[:3] = transform(ego_from_global, row["translation"])
        box[3:6] = row["size"]
        box[6] = np.arctan2(forward[1], forward[0])
        box[7:] = velocity[:2]
    shape = (len(order), tasks.motion_modes, tasks.motion_steps, 2)
    _, y, x = map_grid(grid, tasks).shape_zyx
    return BevResult(
        boxes=boxes,
        scores=np.array([row["detection_score"] for row in order], np.float32),
        labels=np.array([tasks.classes.index(row["detection_name"]) for row in order], np.int32),
        trajectories_m=np.broadcast_to(boxes[:, None, None, :2], shape).copy(),  # [n, modes, steps, 2]
        trajectory_probabilities=np.full(shape[:2], 1 / tasks.motion_modes, np.float32),
        map_probabilities=np.zeros((len(tasks.map_classes), y, x), np.float32),
        occupancy_probabilities=np.zeros(
            (len(tasks.occupancy_steps_s), tasks.occupancy_side, tasks.occupancy_side), np.float32
        ),
        plans_m=np.full((len(tasks.plan_commands), tasks.plan_steps, 2), np.nan, np.float32),
        tasks=tasks,
    )
