"""The histogram: every frame is in a bar, marks and budget lie at their places."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bevdeploy.errors import OutputError
from bevdeploy.report import latency_histogram


def bars(markup: str) -> list[tuple[int, float, float, bool]]:
    """Frames, from ms, to ms, over the budget."""
    found = re.findall(r'<rect class="bar( over)?".*?<title>(\d+) frames, ([\d.]+) to ([\d.]+) ms', markup)
    return [(int(count), float(low), float(high), bool(over)) for over, count, low, high in found]


def line_x(markup: str, kind: str) -> list[float]:
    return [float(x) for x in re.findall(rf'<line class="{kind}" x1="([\d.]+)"', markup)]


def axis(markup: str) -> tuple[np.ndarray, np.ndarray]:
    """Places and values of the axis labels."""
    ticks = re.findall(r'<text class="tick" x="([\d.]+)" y="210.00">([\d.]+)</text>', markup)
    return np.array([float(x) for x, _ in ticks]), np.array([float(value) for _, value in ticks])


def test_every_frame_is_counted(rng: np.random.Generator) -> None:
    latencies = rng.lognormal(np.log(72), 0.1, 1500)
    latencies[:3] = 400.0
    markup = latency_histogram(latencies.tolist(), {"p50": 72.0}, 90.9).markup
    assert sum(count for count, *_ in bars(markup)) == 1500
    beyond = re.search(r">(\d+) beyond ([\d.]+) ms in the last bar", markup)
    assert beyond is not None
    assert int(beyond[1]) == (latencies > float(beyond[2])).sum() >= 3
    over = [low >= 90.9 for _, low, _, _ in bars(markup)]
    assert over == [flag for *_, flag in bars(markup)]
    assert any(over) and not all(over)


def test_marks_and_budget_lie_on_the_axis(rng: np.random.Generator) -> None:
    latencies = rng.normal(70, 5, 1000)
    marks = {"p50": 70.1, "p90": 76.4, "p99": 81.9}
    markup = latency_histogram(latencies.tolist(), marks, 90.9).markup
    places, values = axis(markup)
    assert len(values) >= 4
    for kind, expected in (("mark", sorted(marks.values())), ("budget", [90.9])):
        np.testing.assert_allclose(np.interp(line_x(markup, kind), places, values), expected, atol=0.02)
    for text in ("p50 70.1", "p90 76.4", "p99 81.9", "budget 90.9 ms", "1000 frames"):
        assert text in markup


def test_a_budget_far_away_does_not_squeeze_the_bars(rng: np.random.Generator) -> None:
    markup = latency_histogram(rng.normal(3.2, 0.1, 500).tolist(), {"p50": 3.2}, 90.9).markup
    assert line_x(markup, "budget") == []
    assert "budget 90.9 ms, far to the right" in markup
    assert len(bars(markup)) > 20


@pytest.mark.parametrize("latencies", [[5.0], [5.0] * 100, [0.001, 0.002], [1e5, 2e5]])
def test_narrow_and_wide_ranges(latencies: list[float]) -> None:
    markup = latency_histogram(latencies, {}).markup
    assert sum(count for count, *_ in bars(markup)) == len(latencies)
    assert "budget" not in markup
    places, values = axis(markup)
    assert 2 <= len(values) <= 12
    assert (np.diff(values) > 0).all() and (np.diff(places) > 25).all()


@pytest.mark.parametrize("latencies", [[], [float("nan")], [-1.0], [0.0]])
def test_what_cannot_be_drawn_is_refused(latencies: list[float]) -> None:
    with pytest.raises(OutputError, match="finite latencies above 0"):
        latency_histogram(latencies, {})
