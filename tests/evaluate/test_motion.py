from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import MotionScore
from bevdeploy.evaluate.motion import RANGE_M, displacement_errors, greedy_pairs
from bevdeploy.tasks import TaskSpec

TASKS = TaskSpec(motion_modes=2, motion_steps=3)
CAR, TRUCK, PEDESTRIAN = (TASKS.classes.index(name) for name in ("car", "truck", "pedestrian"))


def box(x: float, y: float) -> list[float]:
    return [x, y, 0, 1.9, 4.6, 1.7, 0, 0, 0]


def straight(x: float, y: float, speed: float) -> list[list[float]]:
    return [[x + speed * (step + 1), y] for step in range(3)]


def values(score: MotionScore) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in score.metrics()}


def add(score: MotionScore, **change: Any) -> None:
    """A car at (10, 0) that drives 1 m a step, found 0.5 m aside; the second mode keeps 0.5 m, the first drifts."""
    fields = {
        "boxes": np.array([box(10, 0.5)], np.float32),
        "scores": np.array([0.8], np.float32),
        "labels": np.array([CAR], np.int32),
        "trajectories_m": np.array([[straight(10, 0.5, 3.0), straight(10, 0.5, 1.0)]], np.float32),
        "probabilities": np.array([[0.6, 0.4]], np.float32),
        "true_boxes": np.array([box(10, 0)], np.float32),
        "true_labels": np.array([CAR], np.int32),
        "futures_m": np.array([straight(10, 0, 1.0)], np.float32),
        "futures_valid": np.ones((1, 3), bool),
        "points": np.array([5], np.int32),
    }
    score.add(**{**fields, **change})


def test_the_best_of_two_modes_by_hand() -> None:
    score = MotionScore(TASKS)
    add(score)
    found = values(score)
    drift = [np.hypot(2 * (step + 1), 0.5) for step in range(3)]
    assert found["minADE_2 vehicle"] == found["minADE_2 car"] == pytest.approx(0.5)
    assert found["minFDE_2 vehicle"] == pytest.approx(0.5)
    assert found["MR_2 vehicle"] == 0.0
    assert found["minADE_1 vehicle"] == pytest.approx(np.mean(drift))  # the likeliest mode drifts
    assert found["minFDE_1 vehicle"] == pytest.approx(drift[-1])
    assert found["recall vehicle"] == 1.0
    assert found["minADE_2 pedestrian"] is None


def test_all_modes_off_by_two_metres_once_is_a_miss() -> None:
    score = MotionScore(TASKS)
    bent = [[11, 0.0], [12, 2.0], [13, 0.0]]  # 2 m aside at the second step only
    add(score, trajectories_m=np.array([[bent, bent]], np.float32), boxes=np.array([box(10, 0)], np.float32))
    found = values(score)
    assert found["MR_2 vehicle"] == 1.0
    assert found["minADE_2 vehicle"] == pytest.approx(2 / 3)
    assert found["minFDE_2 vehicle"] == pytest.approx(0.0)


def test_steps_that_are_not_valid_do_not_count() -> None:
    score = MotionScore(TASKS)
    future = np.array([[[11, 0], [12, 0], [0, 0]]], np.float32)  # annotated for two steps
    add(score, futures_m=future, futures_valid=np.array([[True, True, False]]))
    found = values(score)
    assert found["minADE_2 vehicle"] == found["minFDE_2 vehicle"] == pytest.approx(0.5)
    assert found["minFDE_1 vehicle"] == pytest.approx(np.hypot(4, 0.5))  # at the last valid step


def test_an_agent_without_a_future_is_found_but_not_measured() -> None:
    score = MotionScore(TASKS)
    add(score, futures_valid=np.zeros((1, 3), bool))
    rows = {metric.name: metric for metric in score.metrics()}
    assert rows["recall vehicle"].value == 1.0
    assert rows["minADE_2 vehicle"].value is None
    assert rows["minADE_2 vehicle"].reason == "no matched agent has a future"


def test_an_agent_a_metre_off_is_not_matched() -> None:
    score = MotionScore(TASKS)
    add(score, boxes=np.array([box(10, 1.0)], np.float32))
    rows = {metric.name: metric for metric in score.metrics()}
    assert rows["recall vehicle"].value == 0.0
    assert rows["minADE_2 vehicle"].reason == "no agent was matched"
    wider = MotionScore(TASKS, match_m=1.01)
    add(wider, boxes=np.array([box(10, 1.0)], np.float32))
    assert values(wider)["recall vehicle"] == 1.0


def test_a_truck_called_a_car_counts_among_vehicles_only() -> None:
    score = MotionScore(TASKS)
    add(score, labels=np.array([TRUCK], np.int32))
    found = values(score)
    assert found["recall vehicle"] == 1.0
    assert found["recall car"] == 0.0
    assert found["recall truck"] is None  # there is no true truck
    other = MotionScore(TASKS)
    add(other, labels=np.array([PEDESTRIAN], np.int32))
    assert values(other)["recall vehicle"] == 0.0


@pytest.mark.parametrize("x", [50.5, 10.0])
def test_far_boxes_and_boxes_without_points_are_no_agents(x: float) -> None:
    score = MotionScore(TASKS)
    points = np.array([0 if x == 10.0 else 5], np.int32)
    add(score, boxes=np.array([box(x, 0)], np.float32), true_boxes=np.array([box(x, 0)], np.float32), points=points)
    rows = {metric.name: metric for metric in score.metrics()}
    assert rows["recall vehicle"].reason == rows["minADE_2 vehicle"].reason == "no such agent in the true boxes"


def test_agents_are_pooled_over_frames() -> None:
    """Errors 0.5 and 0 m in two frames: 0.25 m over two agents."""
    score = MotionScore(TASKS)
    add(score)
    perfect = np.array([[straight(10, 0, 1.0)] * 2], np.float32)
    add(score, trajectories_m=perfect, boxes=np.array([box(10, 0)], np.float32))
    assert values(score)["minADE_2 vehicle"] == pytest.approx(0.25)
    assert {m.name: m.count for m in score.metrics()}["minADE_2 vehicle"] == 2


def test_empty_frames_are_welcome() -> None:
    score = MotionScore(TASKS)
    none = {
        "boxes": np.zeros((0, 9), np.float32),
        "scores": np.zeros(0, np.float32),
        "labels": np.zeros(0, np.int32),
        "trajectories_m": np.zeros((0, 2, 3, 2), np.float32),
        "probabilities": np.zeros((0, 2), np.float32),
    }
    add(score, **none)
    assert values(score)["recall vehicle"] == 0.0
    true = {
        "true_boxes": np.zeros((0, 9), np.float32),
        "true_labels": np.zeros(0, np.int32),
        "futures_m": np.zeros((0, 3, 2), np.float32),
        "futures_valid": np.zeros((0, 3), bool),
        "points": np.zeros(0, np.int32),
    }
    empty = MotionScore(TASKS)
    add(empty, **true)
    add(empty, **none, **true)
    assert all(metric.value is None for metric in empty.metrics())


def test_perfect_agents_score_perfectly(rng: np.random.Generator) -> None:
    score = MotionScore(TASKS)
    places = np.array([[x, y] for x in (-20, 0, 20) for y in (-15, 15)], np.float32)
    boxes = np.array([box(x, y) for x, y in places], np.float32)
    labels = rng.integers(0, len(TASKS.classes), len(boxes)).astype(np.int32)
    futures = places[:, None] + rng.normal(size=(6, 3, 2)).astype(np.float32).cumsum(1)
    modes = np.stack([futures, futures], 1)
    scores, flat = np.ones(6, np.float32), np.full((6, 2), 0.5, np.float32)
    score.add(boxes, scores, labels, modes, flat, boxes, labels, futures, np.ones((6, 3), bool))
    for metric in score.metrics():
        if metric.value is not None:
            assert metric.value == (1.0 if "recall" in metric.name else 0.0), metric.name


def slow_pairs(gaps: np.ndarray, scores: np.ndarray, limit: float) -> list[tuple[int, int]]:
    """Every prediction looks at every box."""
    free, pairs = set(range(gaps.shape[1])), []
    for row in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        best = None
        for column in sorted(free):
            if gaps[row, column] < limit and (best is None or gaps[row, column] < gaps[row, best]):
                best = column
        if best is not None:
            free.remove(best)
            pairs.append((row, best))
    return pairs


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_greedy_pairs_equal_the_slow_twin(n: int, t: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gaps, scores = rng.integers(0, 8, (n, t)) / 4, rng.integers(0, 4, n) / 4
    assert greedy_pairs(gaps, scores.astype(np.float32), 1.0) == slow_pairs(gaps, scores, 1.0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_whole_futures_equal_the_devkits_functions(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = pytest.importorskip("nuscenes.eval.prediction.metrics")
    rng = np.random.default_rng(seed)
    modes, future = rng.normal(size=(1, 4, 6, 2)), rng.normal(size=(6, 2))
    probabilities = rng.random((1, 4))
    true = metrics.stack_ground_truth(future, 4)[None]
    ours = displacement_errors(modes[0], probabilities[0], future, np.ones(6, bool))
    ade = metrics.min_ade_k(modes, true, probabilities)[0]
    fde = metrics.rank_metric_over_top_k_modes(
        np.linalg.norm(modes[:, :, -1] - true[:, :, -1], axis=-1), probabilities, "min"
    )[0]
    miss = metrics.miss_rate_top_k(modes, true, probabilities, 2.0)[0]
    assert ours == pytest.approx([ade[-1], fde[-1], float(miss[-1]), ade[0], fde[0]])


def test_ranges_are_those_of_the_devkit(database: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nuscenes.eval.common.config import config_factory

        theirs = config_factory("detection_cvpr_2019").class_range
    assert {name: float(theirs[name]) for name in RANGE_M} == RANGE_M


def test_other_steps_and_overflow_are_refused() -> None:
    with pytest.raises(DataSetError, match="other steps"):
        add(MotionScore(TASKS), futures_m=np.zeros((1, 4, 2), np.float32), futures_valid=np.ones((1, 4), bool))
    with pytest.raises(DataSetError, match="not finite"):
        add(MotionScore(TASKS), trajectories_m=np.full((1, 2, 3, 2), np.inf, np.float32))


def test_six_modes_name_their_metrics() -> None:
    names = {metric.name for metric in MotionScore(replace(TASKS, motion_modes=6)).metrics() if metric.headline}
    assert names == {"minADE_6 vehicle", "minFDE_6 vehicle", "MR_6 vehicle", "recall vehicle"}
