"""Where the ego vehicle went after a keyframe, and the command that fits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.index import SampleIndex
from bevdeploy.data.sample import Float32
from bevdeploy.errors import DataSetError
from bevdeploy.geometry.frames import Float64, invert, transform
from bevdeploy.tasks import TaskSpec

TURN_M = 2.0
"""Sideways at the end of the plan, from where on it is a turn (UniAD)."""
MIRRORED = {"left": "right", "right": "left"}


def keyframes_after(index: SampleIndex, keyframe: int, steps: int) -> list[int]:
    """The keyframe itself and up to `steps` after it in its scene."""
    found = [keyframe]
    while len(found) <= steps and (after := int(index.arrays.following[found[-1]])) >= 0:
        found.append(after)
    return found


def ego_plan(index: SampleIndex, keyframe: int, steps: int) -> tuple[Float64, NDArray[np.bool_]]:
    """Positions [steps, 2] of the ego vehicle at the keyframes after, in the ego frame of this one, and which exist."""
    plan_m, valid = np.zeros((steps, 2)), np.zeros(steps, bool)
    later = keyframes_after(index, keyframe, steps)[1:]
    if later:
        ego_from_global = invert(index.arrays.global_from_ego[keyframe])
        plan_m[: len(later)] = transform(ego_from_global, index.arrays.global_from_ego[later][:, :3, 3])[:, :2]
        valid[: len(later)] = True
    return plan_m, valid


def command_of_plan(
    plan_m: Float64 | Float32, valid: NDArray[np.bool_], tasks: TaskSpec, mirrored: bool = False
) -> int:
    """Index into `tasks.plan_commands`: `left` or `right` if the last known position is 2 m or more to that side.

    0 for a student that does not plan.

    Args:
        plan_m: [steps, 2] in the ego frame, y left.
        valid: [steps]; `straight` where none is.
        tasks: names and order of the commands.
        mirrored: seen in a mirror, where a left turn is a right turn.

    Raises:
        DataSetError: the commands are not left, right and straight.
    """
    if not tasks.plan_commands:
        return 0
    aside_m = float(plan_m[np.flatnonzero(valid)[-1], 1]) if valid.any() else 0.0
    name = "left" if aside_m >= TURN_M else "right" if aside_m <= -TURN_M else "straight"
    name = MIRRORED.get(name, name) if mirrored else name
    if name not in tasks.plan_commands:
        raise DataSetError(f"no plan command {name!r} among {', '.join(tasks.plan_commands)}; nuScenes gives three")
    return tasks.plan_commands.index(name)
