from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import MapScore
from bevdeploy.evaluate.map import THRESHOLDS


def test_one_cell_too_many_and_one_missed() -> None:
    """Four true cells, four seen, three of them right: 3 of 5."""
    true = np.array([[[1, 1, 0], [1, 1, 0]]], bool)
    seen = np.array([[[0.9, 0.9, 0.9], [0.9, 0.1, 0.1]]], np.float32)
    score = MapScore(("road",))
    score.add(seen, true)
    assert score.iou() == {"road": 0.6}
    mean, road = score.metrics()
    assert (mean.value, road.value, road.count) == (0.6, 0.6, 4)


def test_each_class_takes_its_own_best_threshold() -> None:
    true = np.array([[[1, 0, 0]], [[1, 0, 0]]], bool)
    seen = np.array([[[0.62, 0.52, 0.37]], [[0.37, 0.36, 0.1]]], np.float32)
    score = MapScore(("a", "b"))
    score.add(seen, true)
    # a: 1 cell right from 0.55 on; b: two cells at 0.35, none from 0.40 on.
    assert score.iou() == {"a": 1.0, "b": 0.5}
    assert score.best_threshold() == {"a": 0.55, "b": 0.35}
    assert score.metrics()[0].value == 0.75


def test_a_probability_on_the_threshold_counts() -> None:
    score = MapScore(("a",), (0.35,))
    score.add(np.full((1, 1, 1), 0.35, np.float32), np.ones((1, 1, 1), bool))
    assert score.iou() == {"a": 1.0}


def test_frames_are_pooled_by_cells() -> None:
    """1 of 1 and 0 of 3 are 1 of 4, not the mean 1/2."""
    score = MapScore(("a",))
    score.add(np.array([[[1.0, 0.0, 0.0]]], np.float32), np.array([[[1, 0, 0]]], bool))
    score.add(np.array([[[0.0, 0.0, 0.0]]], np.float32), np.array([[[1, 1, 1]]], bool))
    assert score.iou() == {"a": 0.25}


def test_a_class_that_never_occurs_is_not_zero() -> None:
    score = MapScore(("a", "ghost"))
    score.add(np.ones((2, 2, 2), np.float32), np.array([np.ones((2, 2)), np.zeros((2, 2))], bool))
    assert score.iou() == {"a": 1.0, "ghost": None}
    mean, _, ghost = score.metrics()
    assert mean.value == 1.0 and "mean over 1 of 2 classes" in mean.protocol
    assert ghost.value is None and "never occurs" in (ghost.reason or "")


def test_nothing_added_is_not_zero_either() -> None:
    assert all(metric.value is None and metric.reason for metric in MapScore(("a", "b")).metrics())


def slow_iou(frames: list[tuple[np.ndarray, np.ndarray]], threshold: float) -> float:
    """Cell by cell."""
    both = either = 0
    for seen, true in frames:
        for probability, is_true in zip(seen.ravel(), true.ravel(), strict=True):
            is_seen = probability >= np.float32(threshold)
            both += bool(is_seen and is_true)
            either += bool(is_seen or is_true)
    return both / either if either else 0.0


@given(
    st.lists(
        st.tuples(arrays(np.float32, (1, 3, 4), elements=st.floats(0, 1, width=32)), arrays(np.bool_, (1, 3, 4))),
        min_size=1,
        max_size=4,
    )
)
def test_equal_to_the_slow_twin(frames: list[tuple[np.ndarray, np.ndarray]]) -> None:
    score = MapScore(("a",))
    for seen, true in frames:
        score.add(seen, true)
    if any(true.any() for _, true in frames):
        assert score.iou()["a"] == pytest.approx(max(slow_iou(frames, threshold) for threshold in THRESHOLDS))
    else:
        assert score.iou()["a"] is None


def test_perfect_maps_score_one(rng: np.random.Generator) -> None:
    score = MapScore(("a", "b", "c"))
    for _ in range(3):
        true = rng.random((3, 8, 5)) < 0.3
        score.add(true.astype(np.float32), true)
    assert [metric.value for metric in score.metrics()] == [1.0] * 4


def test_other_grids_and_nan_are_refused() -> None:
    score = MapScore(("a",))
    with pytest.raises(DataSetError, match="student's grid"):
        score.add(np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 3), bool))
    with pytest.raises(DataSetError, match="student's grid"):
        score.add(np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), bool))
    with pytest.raises(DataSetError, match="NaN"):
        score.add(np.full((1, 2, 2), np.nan, np.float32), np.zeros((1, 2, 2), bool))
