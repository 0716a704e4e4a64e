"""The harness's statistics under a clock of its own, and one real benchmark on a tiny workload."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks import bev_pool
from benchmarks.side_by_side import (
    Comparison,
    Goal,
    Turns,
    document_of,
    goal_of_ratio,
    markdown_of,
    print_document,
    replace_section,
    side_by_side,
)
from bevdeploy.engines.machine import machine_state
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry


class Clock:
    """Seconds that pass only where a contender or a pause says so."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def work(self, name: str, *seconds: float):
        """A contender whose calls take these times, over and over."""
        calls = 0

        def run() -> None:
            nonlocal calls
            self.now_s += seconds[calls % len(seconds)]
            calls += 1
            self.log.append(name)

        return run


def test_contenders_take_turns_after_a_warm_up_round() -> None:
    clock = Clock()
    contenders = {"a": clock.work("a", 0.001), "b": clock.work("b", 0.003)}
    times = side_by_side("x", contenders, Turns(2, calls=2, settle=1, pause_s=5.0), clock, clock.sleep)
    assert "".join(clock.log) == "ab" + 2 * ("aaa" + "bbb")
    assert times.times_ms["a"] == pytest.approx((1.0, 1.0))  # pauses of 5 s are not in it
    assert times.ratio("b", "a") == pytest.approx(3.0)


def test_a_turn_is_the_median_of_its_timed_calls() -> None:
    clock = Clock()
    work = clock.work("a", 0.9, 0.8, 0.001, 0.007, 0.002)  # warm-up, settling, three timed calls
    times = side_by_side("x", {"a": work}, Turns(1, calls=3, settle=1, pause_s=0), clock, clock.sleep)
    assert times.times_ms["a"] == pytest.approx((2.0,))


def test_ratio_is_of_medians_and_spread_is_of_rounds() -> None:
    times = Comparison("x", {"fast": (1.0, 2.0, 4.0, 1.0, 1.0), "slow": (10.0, 30.0, 40.0, 50.0, 20.0)})
    assert times.ratio("slow", "fast") == 30.0
    assert times.ratio_spread("slow", "fast") == (10.0, 20.0)  # of 10, 10, 15, 20, 50
    assert Comparison("x", {"a": (1.0,), "b": (3.0,)}).ratio_spread("b", "a") == (3.0, 3.0)


@pytest.mark.parametrize(
    ("figure", "at_least", "met"),
    [(20.0, True, True), (19.99, True, False), (20.0, False, True), (20.01, False, False)],
)
def test_goals_are_judged_before_rounding(figure: float, at_least: bool, met: bool) -> None:
    assert Goal("x", figure, 20.0, at_least).met is met


def test_file_screen_and_markdown_say_the_same(tmp_path: Path) -> None:
    times = Comparison("config Q", {"fast": (1.0, 1.0), "slow": (2.5, 2.5)})
    state = machine_state()
    goals = [goal_of_ratio(times, "slow", "fast", 3.0)]
    document = json.loads(json.dumps(document_of("Q", [times], goals, Turns(2), 1, {"torch": "0"}, (state, state))))
    assert [row["ratio"] for row in document["comparisons"][0]["rows"]] == [1.0, 2.5]
    assert not document["goals"][0]["met"]
    screen = io.StringIO()
    print_document(document, Console(file=screen, width=200))
    page = tmp_path / "README.md"
    page.write_text("above\n<!-- q -->\nold\n<!-- /q -->\nbelow\n", encoding="utf-8")
    replace_section(page, "q", markdown_of(document))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("above\n<!-- q -->\n") and text.endswith("\n<!-- /q -->\nbelow\n") and "old" not in text
    for shown in (screen.getvalue(), text):
        assert "2.50 .. 2.50" in shown and ">= 3x" in shown and "missed" in shown
    with pytest.raises(ValueError, match="no section <!-- p -->"):
        replace_section(page, "p", "")


@pytest.fixture
def tiny() -> bev_pool.Config:
    view = ViewGeometry(BEVGrid.centred(16.0, 2.0, (-5.0, 3.0)), DepthBins(1.0, 13.0, 2.0), (64, 128), (4, 8))
    return bev_pool.Config("tiny", view, 8)


def test_pool_benchmark_on_a_tiny_workload(tiny: bev_pool.Config) -> None:
    comparisons, goals, more = bev_pool.compare([tiny], Turns(2, calls=1, pause_s=0), threads=1)
    forward, backward, tables = comparisons
    assert len(forward.times_ms) == 6 and len(backward.times_ms) == 4 and len(tables.times_ms) == 2
    assert all(ms > 0 for each in comparisons for times in each.times_ms.values() for ms in times)
    assert len(goals) == 6 and more["points"]["tiny"] > 100


def test_a_contender_that_computes_something_else_is_found(tiny: bev_pool.Config) -> None:
    work = bev_pool.Workload(tiny, threads=1)
    work.check()
    work.cells = work.cells.flip(0)
    with pytest.raises(ArithmeticError, match="cumulative sum: BEV"):
        work.check()


def test_cumulative_sum_by_hand() -> None:
    points = torch.tensor([[1.0], [2.0], [3.0], [4.0]], requires_grad=True)
    sums = bev_pool.SortedCumulativeSum.apply(points, torch.tensor([1, 3]), torch.tensor([0, 0, 1, 1]))
    assert sums.tolist() == [[3.0], [7.0]]
    sums.backward(torch.tensor([[10.0], [20.0]]))
    np.testing.assert_array_equal(points.grad, [[10.0], [10.0], [20.0], [20.0]])
