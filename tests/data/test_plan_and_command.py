from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.index import SampleIndex
from bevdeploy.data.plan_and_command import command_of_plan, ego_plan, keyframes_after
from bevdeploy.errors import DataSetError
from bevdeploy.tasks import TaskSpec


@pytest.mark.parametrize(
    ("aside_m", "command", "mirrored"),
    [(2.0, "left", "right"), (1.99, "straight", "straight"), (-2.0, "right", "left"), (-9.0, "right", "left")],
)
def test_commands_follow_the_last_known_offset(aside_m: float, command: str, mirrored: str) -> None:
    tasks = TaskSpec()
    plan_m = np.array([[5, 0], [10, 8], [15, aside_m], [0, 0]], np.float64)
    valid = np.array([True, True, True, False])
    assert tasks.plan_commands[command_of_plan(plan_m, valid, tasks)] == command
    assert tasks.plan_commands[command_of_plan(plan_m, valid, tasks, mirrored=True)] == mirrored
    assert tasks.plan_commands[command_of_plan(plan_m, valid & False, tasks)] == "straight"


def test_other_commands_are_refused() -> None:
    with pytest.raises(DataSetError, match="no plan command 'straight'"):
        command_of_plan(np.zeros((1, 2)), np.ones(1, bool), TaskSpec(plan_commands=("left", "right")))


def test_the_plan_is_where_the_vehicle_went(mini_index: SampleIndex) -> None:
    arrays = mini_index.arrays
    keyframes = mini_index.keyframes("scene-0103")
    for keyframe in keyframes:
        plan_m, valid = ego_plan(mini_index, int(keyframe), 6)
        left = int(keyframes[-1] - keyframe)
        assert valid.sum() == min(6, left) == len(keyframes_after(mini_index, int(keyframe), 6)) - 1
        for step in range(int(valid.sum())):
            position = np.append(plan_m[step], 0)
            back = arrays.global_from_ego[keyframe, :3, :3] @ position + arrays.global_from_ego[keyframe, :3, 3]
            np.testing.assert_allclose(back[:2], arrays.global_from_ego[keyframe + step + 1, :2, 3], atol=0.25)
        assert not plan_m[~valid].any()
