"""The numbers behind the gate, by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bevdeploy.runtime.parity import Check, Gates, ParityReport, box_gap, decoded_checks, dense_checks, relative_l2

GATES = Gates(1e-4, 1e-7, 1e-4, 1e-4, 1e-3, 1e-3, 1e-3, 1e-5)
K, MODES, STEPS = 5, 2, 3


def decoded() -> dict[str, np.ndarray]:
    """Five detections, best first, of two modes with three steps."""
    rng = np.random.default_rng(1)
    return {
        "boxes": rng.normal(size=(K, 9)).astype(np.float32),
        "scores": np.array([0.9, 0.8, 0.5, 0.2, 0.1], np.float32),
        "labels": np.array([0, 1, 1, 2, 0], np.int32),
        "cells": np.array([7, 7, 8, 3, 9], np.int32),
        "trajectories": rng.normal(size=(K, MODES, STEPS, 2)).astype(np.float32),
        "trajectory_probabilities": np.full((K, MODES), 0.5, np.float32),
        "map_probabilities": rng.random((4, 6, 6)).astype(np.float32),
        "occupancy_probabilities": rng.random((5, 6, 6)).astype(np.float32),
        "plans": rng.normal(size=(3, 6, 2)).astype(np.float32),
    }


def by_detection(outputs: dict[str, np.ndarray], order: list[int]) -> dict[str, np.ndarray]:
    names = ("boxes", "scores", "labels", "cells", "trajectories", "trajectory_probabilities")
    return outputs | {name: outputs[name][order] for name in names}


def failed(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> set[tuple[str, str]]:
    return {(check.output, check.measure) for check in decoded_checks("c", got, want, GATES) if not check.passed}


UNMATCHED = ("boxes", "unmatched above rank K")


def test_relative_l2_by_hand() -> None:
    """want - mean = (-3, -1, 1, 3), norm sqrt(20); an offset of 0.5 has norm 1."""
    want = np.array([1.0, 3.0, 5.0, 7.0])
    assert relative_l2(want + 0.5, want) == pytest.approx(1 / np.sqrt(20))
    assert relative_l2(want, want) == 0


def test_a_large_constant_hides_nothing() -> None:
    want = np.array([1.0, 3.0, 5.0, 7.0])
    assert relative_l2(want + 0.5 + 1e6, want + 1e6) == pytest.approx(1 / np.sqrt(20))
    assert relative_l2(np.full(4, 4.0), want) == pytest.approx(1.0)  # the mean alone explains nothing


def test_relative_l2_of_float16_is_computed_in_float64() -> None:
    want = np.array([60_000.0, -60_000.0], np.float16)
    assert relative_l2(-want, want) == pytest.approx(2.0)


def test_relative_l2_of_what_cannot_be_compared_is_infinite() -> None:
    want = np.array([1.0, 2.0])
    for got in (np.array([1.0, np.nan]), np.array([1.0, np.inf]), np.array([1.0, 2.0, 3.0])):
        assert relative_l2(got, want) == np.inf
    assert relative_l2(want, np.array([1.0, np.nan])) == np.inf
    assert relative_l2(np.full(3, 2.0), np.full(3, 2.0)) == 0  # constant and equal
    assert relative_l2(np.full(3, 2.1), np.full(3, 2.0)) == np.inf  # constant, no scale to compare with
    assert relative_l2(np.zeros(0), np.zeros(0)) == 0


def test_yaw_goes_the_shorter_way_round() -> None:
    want = np.zeros((1, 9), np.float32)
    got = want.copy()
    want[0, 6], got[0, 6] = np.pi - 0.01, -np.pi + 0.01
    assert box_gap(got, want) == pytest.approx(0.02 / (np.pi - 0.01), rel=1e-4)  # relative: the number is above 1
    got[0, 6] = want[0, 6] - np.pi
    assert box_gap(got, want) == pytest.approx(np.pi / (np.pi - 0.01), rel=1e-4)


@pytest.mark.parametrize("column", [0, 3, 8])
def test_other_columns_do_not_wrap(column: int) -> None:
    want = np.zeros((1, 9), np.float32)
    got = want.copy()
    got[0, column] = 2 * np.pi
    assert box_gap(got, want) == pytest.approx(2 * np.pi)


def test_gaps_are_relative_above_one_only() -> None:
    want = np.zeros((2, 9), np.float32)
    want[0, 0], want[1, 1] = 50.0, 0.01
    got = want.copy()
    got[0, 0] += 0.5
    assert box_gap(got, want) == pytest.approx(0.01)
    got[1, 1] += 0.02
    assert box_gap(got, want) == pytest.approx(0.02)
    assert box_gap(np.zeros((0, 9)), np.zeros((0, 9))) == 0
    got[0, 5] = np.nan
    assert box_gap(got, want) == np.inf


def test_equal_outputs_pass_in_any_order_of_detections() -> None:
    want = decoded()
    assert failed(want, want) == set()
    assert failed(by_detection(want, [1, 0, 2, 4, 3]), want) == set()


@pytest.mark.parametrize(
    ("output", "step", "measure"),
    [
        ("boxes", 2e-3, "largest difference"),
        ("scores", 2e-4, "largest difference"),
        ("trajectories", 2e-3, "largest difference, m"),
        ("trajectory_probabilities", 2e-4, "largest difference"),
        ("plans", 2e-3, "largest difference, m"),
        ("map_probabilities", 1e-3, "relative L2"),
        ("occupancy_probabilities", 1e-3, "relative L2"),
    ],
)
@pytest.mark.parametrize("kind", ["more", "nan"])
def test_each_output_has_its_gate(output: str, step: float, measure: str, kind: str) -> None:
    want, got = decoded(), decoded()
    got[output] = got[output] + np.float32(step if kind == "more" else np.nan)
    found = failed(got, want)
    assert (output, measure) in found
    assert {name for name, _ in found} == {output}
    if kind == "more":
        got[output] = want[output] + np.float32(step / 100)
        assert failed(got, want) == set()


def test_another_box_at_rank_k_is_rounding() -> None:
    """The last box of either list lies within the scores' tolerance of the other list's last."""
    want, got = decoded(), decoded()
    got["cells"][4], got["scores"][4] = 30, want["scores"][4] + np.float32(0.9e-4)
    assert failed(got, want) == set()


def test_another_box_above_rank_k_is_a_fault() -> None:
    want, got = decoded(), decoded()
    got["cells"][4], got["scores"][4] = 30, want["scores"][4] + np.float32(2e-4)
    assert failed(got, want) == {UNMATCHED}
    got = decoded()
    got["labels"][0] = 2  # the best box has another class: one too many here, one missing there
    (check,) = (c for c in decoded_checks("c", got, want, GATES) if c.measure == UNMATCHED[1])
    assert check.value == 2 and not check.passed


def test_a_repeated_detection_does_not_stand_for_another() -> None:
    want = decoded()
    assert UNMATCHED in failed(by_detection(want, [0, 0, 2, 3, 4]), want)


def test_scores_that_are_not_numbers_match_nothing() -> None:
    """No box in common and no score to compare: still a failure."""
    want, got = decoded(), decoded()
    got["cells"] = got["cells"] + 100
    got["scores"] = np.full(K, np.nan, np.float32)
    assert UNMATCHED in failed(got, want)


def test_no_detections_at_all() -> None:
    want = by_detection(decoded(), [])
    assert failed(want, want) == set()
    assert failed(decoded(), want) == failed(want, decoded()) == {UNMATCHED}


def test_outputs_in_order_of_score_are_left_to_the_matched_checks() -> None:
    rng = np.random.default_rng(2)
    names = ("bev", "heatmap", "trajectory_offsets", "trajectory_logits", "trajectories", "agents")
    want = {name: rng.normal(size=(1, 2, 3, 4)).astype(np.float32) for name in names}
    checks = dense_checks("c", {name: value[..., ::-1] for name, value in want.items()}, want, GATES)
    assert [check.output for check in checks] == ["bev", "bev", "heatmap"]
    assert not any(check.passed for check in checks)


def test_a_report_without_checks_has_not_passed() -> None:
    assert not ParityReport("g", "r", ()).passed


def test_the_worst_check_of_each_output() -> None:
    """Also where only 0 will do, and where a value is not a number."""
    nan = float("nan")
    checks = (
        Check("a", "bev", "m", 1e-5, 1e-4),
        Check("b", "bev", "m", 5e-5, 1e-4),
        Check("a", "agents", "m", 0.0, 0.0),
        Check("b", "agents", "m", 2.0, 0.0),
        Check("c", "agents", "m", 0.0, 0.0),
        Check("a", "plans", "m", nan, 1e-3),
        Check("b", "plans", "m", 1e-4, 1e-3),
    )
    worst = ParityReport("g", "r", checks).worst()
    assert [(check.case, check.output) for check in worst] == [("b", "bev"), ("b", "agents"), ("a", "plans")]


def test_the_document_is_strict_json() -> None:
    check = Check("a", "bev", "relative L2", float("inf"), 1e-4)
    checks = (check, replace(check, value=float("nan")), replace(check, value=1e-5))
    document = ParityReport("g", "r", checks).document()
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text)["passed"] is False
    assert [(each["value"], each["passed"]) for each in document["checks"]] == [
        ("inf", False),
        ("nan", False),
        (1e-5, True),
    ]
