"""The score that picks the frames of a report: its ends, its order, and a slow twin that matches boxes one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bevdeploy.geometry import BEVGrid
from bevdeploy.jobs.frame_score import MATCH_M, box_precision, frame_score, map_overlap
from bevdeploy.runtime import BevResult
from bevdeploy.tasks import TaskSpec

GRID = BEVGrid.centred(20.0, 1.0, (-5.0, 3.0))
TASKS = TaskSpec()


def result(boxes_m: np.ndarray, labels: np.ndarray, scores: np.ndarray | None = None) -> BevResult:
    n = len(boxes_m)
    boxes = np.zeros((n, 9), np.float32)
    boxes[:, :2] = boxes_m
    return BevResult(
        boxes=boxes,
        scores=np.ones(n, np.float32) if scores is None else scores.astype(np.float32),
        labels=labels.astype(np.int32),
        trajectories_m=np.zeros((n, 6, 12, 2), np.float32),
        trajectory_probabilities=np.full((n, 6), 1 / 6, np.float32),
        map_probabilities=np.zeros((4, 40, 40), np.float32),
        occupancy_probabilities=np.zeros((5, 200, 200), np.float32),
        plans_m=np.zeros((3, 6, 2), np.float32),
        tasks=TASKS,
    )


def slow_precision(found: BevResult, truth: BevResult) -> float:
    free = list(range(len(truth.boxes)))
    hits, total = 0, 0.0
    for rank, n in enumerate(sorted(range(len(found.boxes)), key=lambda n: -float(found.scores[n]))):
        near = []
        for t in free:
            apart = float(np.linalg.norm(found.boxes[n, :2] - truth.boxes[t, :2]))
            if truth.labels[t] == found.labels[n] and apart < MATCH_M:
                near.append((apart, t))
        if near:
            free.remove(min(near)[1])
            hits += 1
            total += hits / (rank + 1)
    return total / len(truth.boxes)


def test_box_precision_equals_its_slow_twin(rng: np.random.Generator) -> None:
    seen = set()
    for _ in range(50):
        true, found = int(rng.integers(1, 12)), int(rng.integers(0, 20))
        truth = result(rng.uniform(-6, 6, (true, 2)), rng.integers(0, 2, true))
        ours = result(rng.uniform(-6, 6, (found, 2)), rng.integers(0, 2, found), rng.permutation(found) / 20)
        value = box_precision(ours, truth)
        assert value == pytest.approx(slow_precision(ours, truth), abs=1e-12)
        seen.add(value)
    assert len(seen) > 25


def test_the_truth_itself_scores_one_and_nothing_scores_zero(rng: np.random.Generator) -> None:
    truth = result(rng.uniform(-15, 15, (8, 2)), rng.integers(0, 10, 8))
    truth.map_probabilities[1, 5:9] = 1.0
    nothing = result(np.zeros((0, 2)), np.zeros(0))
    assert frame_score(truth, truth, GRID, with_map=True) == 1.0
    assert frame_score(nothing, truth, GRID, with_map=True) == 0.0
    assert frame_score(truth, nothing, GRID, with_map=True) is None


def test_boxes_outside_the_grid_do_not_count() -> None:
    inside, outside = np.array([[1.0, 1.0]]), np.array([[1.0, 1.0], [25.0, 0.0]])
    assert frame_score(result(inside, np.zeros(1)), result(outside, np.zeros(2)), GRID, with_map=False) == 1.0
    assert frame_score(result(outside, np.zeros(2)), result(inside, np.zeros(1)), GRID, with_map=False) == 1.0


def test_map_overlap_is_the_mean_over_classes_that_are_somewhere() -> None:
    blank = result(np.zeros((0, 2)), np.zeros(0))
    ours, true = np.zeros((4, 40, 40), np.float32), np.zeros((4, 40, 40), np.float32)
    ours[0, :10], true[0, 5:15] = 0.9, 1.0  # 5 rows of 15
    ours[3, :4], true[3, :4] = 0.6, 1.0
    assert map_overlap(replace(blank, map_probabilities=ours), replace(blank, map_probabilities=true)) == pytest.approx(
        (1 / 3 + 1) / 2
    )
    assert map_overlap(blank, blank) is None
