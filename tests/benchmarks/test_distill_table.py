"""Gains of distillers: by hand for three seeds, and no method is called better than its spread."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("scipy")
pytest.importorskip("lightning_fabric")
pytest.importorskip("nuscenes")

from benchmarks.distill_runs import Run
from benchmarks.distill_table import gains, markdown_of_runs, paired_gain, verdict


def run(method: str, seed: int, map_iou: float, detection: float) -> Run:
    scores = {"map/mean IoU": map_iou, "detection/mAP": detection, "motion/minADE_6 vehicle": 2.0 - map_iou}
    return Run(method, seed, 10, 1.0, 80.0, {}, scores)


def test_three_pairs_by_hand() -> None:
    gain = paired_gain({0: 1.0, 1: 2.0, 2: 6.0}, {0: 0.0, 1: 0.0, 2: 3.0, 7: 100.0})
    assert gain.values == (1.0, 2.0, 3.0) and gain.mean == 2.0
    half = 4.302653 * 1.0 / math.sqrt(3)  # Student's t, two degrees of freedom
    assert (gain.low, gain.high) == pytest.approx((2 - half, 2 + half), rel=1e-6)
    assert not gain.beyond_spread, "0 is 0.48 below the interval's middle minus half"
    assert paired_gain({0: 2.0, 1: 2.1, 2: 1.9}, {0: 1.0, 1: 1.0, 2: 1.0}).beyond_spread


def test_one_seed_proves_nothing() -> None:
    assert not paired_gain({0: 90.0}, {0: 1.0}).beyond_spread
    with pytest.raises(ValueError, match="no seed"):
        paired_gain({0: 1.0}, {1: 1.0})


def test_the_verdict_is_on_the_methods_own_tasks_and_knows_what_is_better() -> None:
    runs = [run("none", seed, 0.50 + 0.01 * seed, 0.10) for seed in range(3)]
    runs += [run("bridgeta", seed, 0.53 + 0.0101 * seed, 0.01 * seed) for seed in range(3)]
    runs += [run("tinybev", seed, 0.47 + 0.0101 * seed, 0.01 * seed) for seed in range(3)]
    measured = gains(runs)
    assert verdict("bridgeta", measured["bridgeta"]) == "beyond the spread: map IoU"
    assert "worse beyond the spread: map IoU" in verdict("tinybev", measured["tinybev"])
    assert "minADE" in verdict("tinybev", measured["tinybev"]).split(";")[0], "a longer error is worse"
    text = markdown_of_runs(runs)
    assert "| `bridgeta` | 54.01 |" in text and "**+3.01 [" in text and "| `none` | 51.00 |" in text
