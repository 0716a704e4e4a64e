"""The truth of a keyframe as if a student had said it: what pictures put beside a result; it scores perfectly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.sample import Truth
from bevdeploy.runtime import BevResult
from bevdeploy.tasks import TaskSpec

Float32 = NDArray[np.float32]


def truth_as_result(truth: Truth, tasks: TaskSpec) -> BevResult:
    """Every box that counts with score 1 and its true future in every mode; the true map, occupancy and plan.

    Boxes without a sensor point inside are left out, as nuScenes' evaluation leaves them out. A future or plan that the
    scene's end cuts off stays where it was last known; an unknown velocity is 0. The plans of the commands that were
    not driven are NaN: nobody knows them. Tasks that the student does not have stay empty.
    """
    counts = np.flatnonzero(truth.points > 0)
    boxes = np.nan_to_num(truth.boxes[counts]).astype(np.float32)  # [n, 9]
    futures = np.zeros((len(boxes), tasks.motion_steps, 2), np.float32)
    for n, row in enumerate(counts):
        futures[n] = held(boxes[n, :2], truth.futures_m[row], truth.futures_valid[row])
    shape = (len(boxes), tasks.motion_modes, tasks.motion_steps, 2)
    plans = np.full((len(tasks.plan_commands), tasks.plan_steps, 2), np.nan, np.float32)
    if tasks.plan_commands:
        plans[truth.command] = held(np.zeros(2, np.float32), truth.plan_m, truth.plan_valid)
    return BevResult(
        boxes=boxes,
        scores=np.ones(len(boxes), np.float32),
        labels=truth.labels[counts],
        trajectories_m=np.broadcast_to(futures[:, None], shape).astype(np.float32),  # [n, modes, steps, 2]
        trajectory_probabilities=np.full(shape[:2], 1 / max(tasks.motion_modes, 1), np.float32),
        map_probabilities=truth.map_masks.astype(np.float32),
        occupancy_probabilities=truth.occupancy.astype(np.float32),
        plans_m=plans,
        tasks=tasks,
    )


def held(start_m: Float32, path_m: Float32, valid: NDArray[np.bool_]) -> Float32:
    """A path [steps, 2] whose unknown steps repeat the one known before them, the first the start [2]."""
    known = start_m
    steps = []
    for point, is_known in zip(path_m, valid, strict=True):
        known = point if is_known else known
        steps.append(known)
    return np.array(steps, np.float32).reshape(-1, 2)
