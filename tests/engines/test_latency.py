"""Statistics checked by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bevdeploy.engines.latency import latency_stats


def test_five_frames_by_hand() -> None:
    stats = latency_stats([3.0, 1.0, 5.0, 2.0, 4.0], deadline_ms=2.5)
    assert (stats.n, stats.mean_ms, stats.p50_ms, stats.min_ms, stats.max_ms) == (5, 3.0, 3.0, 1.0, 5.0)
    assert stats.std_ms == pytest.approx(math.sqrt(2))  # squares 4 1 0 1 4, divided by 5
    assert stats.p90_ms == pytest.approx(4.6)  # position 0.9 * 4 = 3.6 between 4 and 5
    assert stats.fps == pytest.approx(1000 / 3)


def test_a_tail_is_quoted_from_1000_frames_up() -> None:
    short = latency_stats([float(ms) for ms in range(1, 1000)], deadline_ms=10)
    assert (short.n, short.p99_ms, short.tail_ms, short.misses, short.miss_percent) == (999, None, None, None, None)

    full = latency_stats([float(ms) for ms in range(1, 1001)], deadline_ms=990)
    assert full.p99_ms == pytest.approx(990.01)  # position 0.99 * 999 = 989.01, counted from 0
    assert full.tail_ms == pytest.approx(990.01 - 500.5)
    assert (full.misses, full.miss_percent) == (10, 1.0)


def test_a_frame_at_the_deadline_has_met_it() -> None:
    assert latency_stats([90.9] * 1000, deadline_ms=90.9).misses == 0


def test_frames_that_take_no_time_have_no_rate() -> None:
    assert latency_stats([0.0, 0.0], deadline_ms=1).fps is None


@pytest.mark.parametrize("latencies", [[], [1.0, math.nan], [math.inf]])
def test_no_statistics_of_nothing(latencies: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        latency_stats(latencies, 1.0)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_order(latencies: list[float]) -> None:
    stats = latency_stats(latencies, 1.0)
    slack = 1e-9 * stats.max_ms
    assert stats.min_ms <= stats.p50_ms <= stats.p90_ms + slack <= stats.max_ms + 2 * slack
    assert stats == latency_stats(latencies[::-1], 1.0) or stats.mean_ms == pytest.approx(
        latency_stats(latencies[::-1], 1.0).mean_ms
    )
