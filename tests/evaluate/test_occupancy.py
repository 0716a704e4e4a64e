from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import OccupancyScore
from bevdeploy.tasks import TaskSpec


def values(score: OccupancyScore) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in score.metrics()}


def test_near_and_far_by_hand(tiny_tasks: TaskSpec) -> None:
    """Cells of 2.5 m, 40 a side: near are rows and columns 14..25."""
    true, seen = np.zeros((2, 40, 40), bool), np.zeros((2, 40, 40), np.float32)
    true[0, 20, 14:18] = True  # four near cells now
    seen[0, 20, 15:19] = 0.2  # three of them and one too many
    true[1, 0, 0:2] = True  # two far cells later
    seen[1, 0, 0] = 0.2
    score = OccupancyScore(tiny_tasks)
    score.add(seen, true)
    found = values(score)
    assert found["IoU near"] == 3 / 5
    assert found["IoU far"] == (3 + 1) / (5 + 2)
    assert found["IoU near at 0 s"] == 3 / 5
    assert found["IoU far at 0.5 s"] == 1 / 2
    assert found["IoU near at 0.5 s"] is None  # no true cell there


def test_full_size_ranges_are_cells_70_to_130(tiny_tasks: TaskSpec) -> None:
    score = OccupancyScore(TaskSpec())
    assert score._inside(30.0) == slice(70, 130)
    assert score._inside(100.0) == slice(0, 200)


def test_the_threshold_is_exclusive_and_an_argument(tiny_tasks: TaskSpec) -> None:
    true = np.ones((2, 40, 40), bool)
    at = np.full((2, 40, 40), 0.1, np.float32)
    default = OccupancyScore(tiny_tasks)
    default.add(at, true)
    assert values(default)["IoU far"] == 0.0
    lower = OccupancyScore(tiny_tasks, threshold=0.05)
    lower.add(at, true)
    assert values(lower)["IoU far"] == 1.0
    assert "above 0.05" in lower.metrics()[0].protocol


def test_steps_after_the_scene_do_not_count(tiny_tasks: TaskSpec) -> None:
    true, seen = np.zeros((2, 40, 40), bool), np.zeros((2, 40, 40), np.float32)
    true[0, 20, 20] = seen[0, 20, 20] = 1
    seen[1] = 1  # all wrong, and not annotated
    score = OccupancyScore(tiny_tasks)
    score.add(seen, true, np.array([True, False]))
    assert values(score)["IoU near"] == values(score)["IoU far"] == 1.0
    assert values(score)["IoU far at 0.5 s"] is None


def test_a_grid_that_does_not_reach_says_so(tiny_tasks: TaskSpec) -> None:
    tasks = replace(tiny_tasks, occupancy_half_extent_m=20.0, occupancy_cell_m=1.0)
    score = OccupancyScore(tasks)
    score.add(np.ones((2, 40, 40), np.float32), np.ones((2, 40, 40), bool))
    near, far = score.metrics()[:2]
    assert near.value == 1.0
    assert far.value is None and far.reason == "the grid reaches 20 m, the range 50 m"


def test_nothing_true_is_not_zero(tiny_tasks: TaskSpec) -> None:
    score = OccupancyScore(tiny_tasks)
    score.add(np.ones((2, 40, 40), np.float32), np.zeros((2, 40, 40), bool))
    assert all(metric.value is None and metric.reason for metric in score.metrics())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.booleans(), min_size=2, max_size=2))
def test_equal_to_the_slow_twin(seed: int, valid: list[bool]) -> None:
    """Cell by cell, by the position of its centre."""
    tasks = TaskSpec(occupancy_steps_s=(0.0, 0.5), occupancy_cell_m=5.0)
    rng = np.random.default_rng(seed)
    score = OccupancyScore(tasks)
    both, either = {15.0: 0, 50.0: 0}, {15.0: 0, 50.0: 0}
    any_true = dict.fromkeys(both, False)
    for _ in range(2):
        seen, true = rng.random((2, 20, 20)).astype(np.float32) * 0.2, rng.random((2, 20, 20)) < 0.2
        score.add(seen, true, np.array(valid))
        for step, row, column in np.ndindex(2, 20, 20):
            y, x = -50 + (row + 0.5) * 5, -50 + (column + 0.5) * 5
            for half in both:
                if valid[step] and abs(x) < half and abs(y) < half:
                    is_seen, is_true = seen[step, row, column] > np.float32(0.1), true[step, row, column]
                    both[half] += bool(is_seen and is_true)
                    either[half] += bool(is_seen or is_true)
                    any_true[half] |= bool(is_true)
    found = values(score)
    for name, half in (("IoU near", 15.0), ("IoU far", 50.0)):
        assert found[name] == (pytest.approx(both[half] / either[half]) if any_true[half] else None)


def test_wrong_shapes_and_nan_are_refused(tiny_tasks: TaskSpec) -> None:
    score, zeros = OccupancyScore(tiny_tasks), np.zeros((2, 40, 40), np.float32)
    with pytest.raises(DataSetError, match="2 steps of 40 x 40"):
        score.add(zeros[:1], zeros.astype(bool))
    with pytest.raises(DataSetError, match="valid steps"):
        score.add(zeros, zeros.astype(bool), np.ones(3, bool))
    with pytest.raises(DataSetError, match="NaN"):
        score.add(zeros * np.nan, zeros.astype(bool))
