"""Truth and rows of a result file as results: what is left out, what is held, and the way there and back."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.sample import Truth
from bevdeploy.evaluate import detection_rows
from bevdeploy.geometry import BEVGrid
from bevdeploy.geometry.frames import compose, rotation_from_quaternion
from bevdeploy.jobs.rows_as_result import rows_as_result
from bevdeploy.jobs.truth_as_result import held, truth_as_result
from bevdeploy.runtime import BevResult
from bevdeploy.tasks import TaskSpec

GRID = BEVGrid.centred(20.0, 1.0, (-5.0, 3.0))
TASKS = TaskSpec(motion_steps=4, plan_steps=3, occupancy_half_extent_m=10.0)


@pytest.fixture
def truth(rng: np.random.Generator) -> Truth:
    """Three boxes; the second has no point inside, the third no known velocity and a future of two steps."""
    boxes = rng.uniform(0.5, 3, (3, 9)).astype(np.float32)
    boxes[2, 7:] = np.nan
    valid = np.array([[True] * 4, [True] * 4, [True, True, False, False]])
    side = TASKS.occupancy_side
    return Truth(
        boxes=boxes,
        labels=np.array([0, 3, 8], np.int32),
        instances=np.arange(3, dtype=np.int32),
        attributes=np.full(3, -1, np.int32),
        points=np.array([5, 0, 1], np.int32),
        visibility=np.full(3, 4, np.int32),
        futures_m=(rng.uniform(-9, 9, (3, 4, 2)) * valid[..., None]).astype(np.float32),
        futures_valid=valid,
        map_masks=rng.random((4, 40, 40)) > 0.5,
        occupancy=rng.random((5, side, side)) > 0.5,
        occupancy_valid=np.ones(5, bool),
        plan_m=np.array([[1, 0], [2, 1], [0, 0]], np.float32),
        plan_valid=np.array([True, True, False]),
        command=1,
    )


def test_boxes_that_do_not_count_are_left_out(truth: Truth) -> None:
    result = truth_as_result(truth, TASKS)
    np.testing.assert_array_equal(result.labels, [0, 8])
    np.testing.assert_array_equal(result.boxes[0], truth.boxes[0])
    np.testing.assert_array_equal(result.boxes[1], [*truth.boxes[2, :7], 0, 0])
    np.testing.assert_array_equal(result.map_probabilities > 0.5, truth.map_masks)
    np.testing.assert_array_equal(result.occupancy_probabilities > 0.5, truth.occupancy)


def test_what_nobody_knows_stays_where_it_was(truth: Truth) -> None:
    result = truth_as_result(truth, TASKS)
    path = truth.futures_m[2]
    for mode in range(TASKS.motion_modes):
        np.testing.assert_array_equal(result.trajectories_m[0, mode], truth.futures_m[0])
        np.testing.assert_array_equal(result.trajectories_m[1, mode], [path[0], path[1], path[1], path[1]])
    np.testing.assert_array_equal(result.plans_m[1], [[1, 0], [2, 1], [2, 1]])
    assert np.isnan(result.plans_m[[0, 2]]).all()
    start = np.array([7, 7], np.float32)
    np.testing.assert_array_equal(held(start, np.zeros((2, 2), np.float32), np.zeros(2, bool)), [[7, 7], [7, 7]])


def test_rows_lead_back_to_the_boxes(rng: np.random.Generator) -> None:
    """Of a vehicle on level ground: rows hold velocities along x and y alone, so a tilt loses a part of them."""
    n = 30
    boxes = rng.normal(0, 10, (n, 9)).astype(np.float32)
    boxes[:, 3:6] = rng.uniform(0.5, 5, (n, 3))
    boxes[:, 6] = rng.uniform(-np.pi, np.pi, n)
    scores = np.sort(rng.random(n).astype(np.float32))[::-1].copy()
    blank = truth_free_result(boxes, scores, rng.integers(0, 10, n).astype(np.int32))
    turn = rotation_from_quaternion([np.cos(0.7), 0, 0, np.sin(0.7)])
    global_from_ego = compose(turn, [700.0, 1200.0, 3.0])
    back = rows_as_result(detection_rows(blank, "t", global_from_ego), global_from_ego, TASKS, GRID)
    np.testing.assert_allclose(back.boxes, boxes, atol=2e-5)
    np.testing.assert_array_equal(back.scores, scores)
    np.testing.assert_array_equal(back.labels, blank.labels)
    assert not back.map_probabilities.any() and np.isnan(back.plans_m).all()


def truth_free_result(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> BevResult:
    empty = rows_as_result([], np.eye(4), TASKS, GRID)
    shape = (len(boxes), TASKS.motion_modes, TASKS.motion_steps, 2)
    return BevResult(
        boxes,
        scores,
        labels,
        np.zeros(shape, np.float32),
        np.full(shape[:2], 1 / TASKS.motion_modes, np.float32),
        empty.map_probabilities,
        empty.occupancy_probabilities,
        empty.plans_m,
        TASKS,
    )
