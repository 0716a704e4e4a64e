"""Students of some of the tasks: what they have is scored as in a full student, the rest is n/a with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from bevdeploy.data.sample import Truth
from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import Footprints, Scores, TaskScores, difference, future_footprints
from bevdeploy.evaluate.metric import TASKS
from bevdeploy.runtime.result import BevResult
from bevdeploy.tasks import HEADS, TaskSpec

STEPS = 6
PLAN = np.array([[5.0 * (step + 1), 0.0] for step in range(STEPS)], np.float32)
SUBSETS = [heads for count in range(len(HEADS) + 1) for heads in combinations(HEADS, count)]
CarResult = Callable[..., BevResult]


def truth_for(tasks: TaskSpec) -> Truth:
    """A car that stands where the other command's plan is at 2 s, if the tasks know cars."""
    n = 1 if tasks.classes else 0
    boxes = np.array([[21, 0, 1, 2.0, 4.0, 1.7, 0, 0, 0]], np.float32)[:n]
    side = tasks.occupancy_side
    return Truth(
        boxes=boxes,
        labels=np.zeros(n, np.int32),
        instances=np.arange(n, dtype=np.int32),
        attributes=np.full(n, -1, np.int32),
        points=np.full(n, 5, np.int32),
        visibility=np.full(n, 4, np.int32),
        futures_m=np.repeat(boxes[:, None, :2], STEPS, 1),
        futures_valid=np.ones((n, STEPS), bool),
        map_masks=np.ones((len(tasks.map_classes), 3, 4), bool),
        occupancy=np.ones((len(tasks.occupancy_steps_s), side, side), bool),
        occupancy_valid=np.ones(len(tasks.occupancy_steps_s), bool),
        plan_m=PLAN + np.array([0.0, 10.0], np.float32),
        plan_valid=np.ones(STEPS, bool),
        command=1,
    )


def car_ahead() -> Footprints:
    """The same car, seen by whoever knows all classes."""
    full = truth_for(TaskSpec(motion_steps=STEPS))
    return future_footprints(full.boxes, full.labels, full.futures_m, full.futures_valid, STEPS)


def scored(tasks: TaskSpec, car_result: CarResult) -> Scores:
    truth = truth_for(tasks)
    board = TaskScores(tasks)
    result = car_result(
        truth.boxes,
        tasks,
        map_probabilities=truth.map_masks.astype(np.float32),
        occupancy_probabilities=truth.occupancy.astype(np.float32),
        trajectory_probabilities=np.full((len(truth.boxes), tasks.motion_modes), 0.5, np.float32),
        plans_m=np.tile(PLAN, (len(tasks.plan_commands), 1, 1)),
    )
    board.add("a", result, truth, np.eye(4), car_ahead())
    assert list(board.results()) == ["a"]
    return board.scores()


@pytest.mark.parametrize("heads", SUBSETS, ids="+".join)
def test_what_a_student_has_is_scored_and_the_rest_says_why_not(
    heads: tuple[str, ...], tiny_tasks: TaskSpec, car_result: CarResult
) -> None:
    tasks = tiny_tasks.only(*heads)
    full, part = scored(tiny_tasks, car_result), scored(tasks, car_result)
    absent = {*HEADS, "tracking"} - {*tasks.heads, *(["tracking"] if "detection" in tasks.heads else [])}
    assert {metric.task for metric in part.headlines} == set(TASKS)
    for metric in part.metrics:
        if metric.task in absent:
            assert metric.value is None and metric.headline
            what = "detection" if metric.task == "tracking" else metric.task
            assert metric.reason == f"the student has no {what}"
        else:
            assert metric == full[metric.key]


def test_a_task_that_is_gone_is_lost(tiny_tasks: TaskSpec, car_result: CarResult) -> None:
    six = replace(tiny_tasks, motion_modes=6)
    found = difference(scored(six, car_result), scored(six.only("map"), car_result))
    lost = {change.key: change.note for change in found.changes if change.headline and change.verdict == "lost"}
    assert lost["motion/minADE_6 vehicle"] == "the student has no motion"
    assert not [key for key in lost if key.startswith("map/")]


def test_a_planner_without_boxes_collides_all_the_same(tiny_tasks: TaskSpec, car_result: CarResult) -> None:
    """What stands on the way does not depend on what the student looks for."""
    for tasks in (tiny_tasks.only("planning"), replace(tiny_tasks, detection_tasks=(("pedestrian",),))):
        found = scored(tasks, car_result)
        assert found["planning/collision at 2 s"].value == 1.0
        assert found["planning/collision avg 2 s"].value == 0.25


def test_obstacles_that_nobody_gave_are_not_absent(tiny_tasks: TaskSpec, car_result: CarResult) -> None:
    for tasks in (tiny_tasks.only("planning"), replace(tiny_tasks, motion_steps=2)):
        truth = truth_for(tasks.only("planning"))
        truth = replace(truth, futures_m=truth.futures_m[:, : tasks.motion_steps])
        board = TaskScores(tasks)
        with pytest.raises(DataSetError, match=r"sample a: .* give footprints"):
            board.add("a", car_result(truth.boxes, tasks), truth, np.eye(4))
