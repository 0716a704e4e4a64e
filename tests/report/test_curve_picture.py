"""Curves of a training: the mean by hand, and a line where the values are."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.errors import OutputError
from bevdeploy.report.curve_picture import COLUMNS, curve_picture, running_mean
from bevdeploy.report.palette import CLASS_COLOURS

pytest.importorskip("PIL")


def test_running_mean_by_hand() -> None:
    values = np.array([1.0, 2, 6, 3, 8])
    assert running_mean(values, 1).tolist() == pytest.approx([1.5, 3, 11 / 3, 17 / 3, 5.5])
    assert running_mean(values, 0).tolist() == pytest.approx(values.tolist())
    assert running_mean(values, 99).tolist() == pytest.approx([4.0] * 5)


def test_a_line_falls_from_left_to_right() -> None:
    steps = np.arange(1.0, 101)
    picture = np.asarray(curve_picture("t", {"loss": (steps, 101 - steps)}).convert("RGB")).astype(int)
    colour = next(iter(CLASS_COLOURS.values()))
    marked = np.argwhere(np.abs(picture - colour).sum(-1) < 90)
    marked = marked[marked[:, 0] > 95]  # below the figures
    left, right = marked[:, 1].min(), marked[:, 1].max()
    assert marked[marked[:, 1] == right, 0].mean() > marked[marked[:, 1] == left, 0].mean() + 80


def test_panels_fill_rows() -> None:
    steps = np.arange(3.0)
    one = curve_picture("t", {"a": (steps, steps)})
    full = curve_picture("t", {str(k): (steps, steps) for k in range(COLUMNS)})
    more = curve_picture("t", {str(k): (steps, steps) for k in range(COLUMNS + 1)})
    assert one.width < full.width == more.width and one.height == full.height < more.height


def test_one_value_and_gaps_are_drawn() -> None:
    curve_picture("t", {"a": (np.array([3.0]), np.array([2.0])), "b": (np.arange(3.0), np.array([1, np.nan, -4]))})


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(OutputError, match="no curve"):
        curve_picture("t", {})
    with pytest.raises(OutputError, match="a has 2 steps and 1 values"):
        curve_picture("t", {"a": (np.arange(2.0), np.ones(1))})
    with pytest.raises(OutputError, match="none finite"):
        curve_picture("t", {"a": (np.ones(1), np.array([np.nan]))})
