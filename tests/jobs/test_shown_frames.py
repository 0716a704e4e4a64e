"""Which frames are shown: the best and the worst, no frame twice."""

from __future__ import annotations

import pytest

from bevdeploy.jobs.shown_frames import FrameValue, best_and_worst


def frames(*values: float) -> list[FrameValue]:
    return [FrameValue(row, f"t{row}", value) for row, value in enumerate(values)]


def test_three_of_each() -> None:
    shown = best_and_worst(frames(0.5, 0.9, 0.1, 0.7, 0.3, 0.8, 0.2), 3)
    assert [(rank, each.token) for rank, each in shown] == [
        *(("best", "t1"), ("2nd best", "t5"), ("3rd best", "t3")),
        *(("worst", "t2"), ("2nd worst", "t6"), ("3rd worst", "t4")),
    ]


@pytest.mark.parametrize("count", range(8))
def test_no_frame_twice_and_none_left_out_where_they_are_few(count: int) -> None:
    shown = best_and_worst(frames(*[0.5] * count), 3)
    assert len({each.row for _, each in shown}) == len(shown) == min(count, 6)
    assert len({rank for rank, _ in shown}) == len(shown)
    best = [each.value for rank, each in shown if rank.endswith("best")]
    assert len(best) == min(3, (count + 1) // 2)
