"""Curves of a training as a picture: one panel per loss term, over the steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import OutputError
from bevdeploy.report.canvas import Canvas
from bevdeploy.report.palette import CLASS_COLOURS, GROUND, INK, LINE, MUTED, PANEL

if TYPE_CHECKING:
    from PIL.Image import Image

Float64 = NDArray[np.float64]

COLUMNS = 3
_WIDTH, _HEIGHT, _GAP = 400, 190, 14
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 14, 40, 30
SMOOTHED = 0.05
"""Of all rows, on either side: the width of the bold line's mean."""


def curve_picture(title: str, curves: Mapping[str, tuple[Float64, Float64]]) -> Image:
    """A panel for each curve: every value faint, a running mean bold, the last mean in figures.

    Args:
        title: a line above the panels.
        curves: by name, steps [n] rising and values [n]; values that are not finite leave a gap.

    Raises:
        MissingDependencyError: Pillow is not installed.
        OutputError: there is no curve, or a curve has no finite value or unequal lengths.
    """
    if not curves:
        raise OutputError("curve picture: no curve to draw")
    for name, (steps, values) in curves.items():
        if len(steps) != len(values) or not np.isfinite(values).any():
            raise OutputError(f"curve picture: {name} has {len(steps)} steps and {len(values)} values, or none finite")
    rows = -(-len(curves) // COLUMNS)
    columns = min(COLUMNS, len(curves))
    canvas = Canvas(columns * (_WIDTH + _GAP) + _GAP, rows * (_HEIGHT + _GAP) + _GAP + 36, GROUND)
    canvas.text((_GAP + 2, 31), title, 17, INK)
    colours = tuple(CLASS_COLOURS.values())
    for k, (name, (steps, values)) in enumerate(curves.items()):
        row, column = divmod(k, COLUMNS)
        left, top = _GAP + column * (_WIDTH + _GAP), 36 + _GAP + row * (_HEIGHT + _GAP)
        known = np.isfinite(values)
        _panel(canvas, left, top, name, steps[known], values[known], colours[k % len(colours)])
    return canvas.image()


def running_mean(values: Float64, reach: int) -> Float64:
    """The mean of each value and of up to `reach` values on either side; [n]."""
    sums = np.concatenate([[0.0], np.cumsum(values)])  # [n + 1]
    index = np.arange(len(values))
    low, high = np.maximum(index - reach, 0), np.minimum(index + reach + 1, len(values))
    means: Float64 = (sums[high] - sums[low]) / (high - low)
    return means


def _panel(
    canvas: Canvas, left: int, top: int, name: str, steps: Float64, values: Float64, colour: tuple[int, int, int]
) -> None:
    canvas.plate((left, top, left + _WIDTH, top + _HEIGHT), 8, PANEL)
    smooth = running_mean(values, round(SMOOTHED * len(values)))
    low = min(0.0, float(values.min()))
    # the first values of an untrained network would flatten everything after them
    high = max(float(np.percentile(values, 97)), float(smooth[-1]), low + 1e-9)
    x0, x1 = left + _LEFT, left + _WIDTH - _RIGHT
    y0, y1 = top + _HEIGHT - _BOTTOM, top + _TOP
    span = max(float(steps[-1] - steps[0]), 1.0)

    def placed(each: Float64) -> Float64:
        x = x0 + (steps - steps[0]) / span * (x1 - x0)
        y = y0 + (np.clip(each, low, high) - low) / (high - low) * (y1 - y0)
        return np.stack([x, y], -1)  # [n, 2]

    for share in (0.0, 0.5, 1.0):
        y = y0 + share * (y1 - y0)
        canvas.line([(x0, y), (x1, y)], LINE, 1)
        canvas.text((x0 - 6, y), f"{low + share * (high - low):.3g}", 11, MUTED, "rm")
    if len(steps) > 1:
        canvas.line(placed(values), colour, 1, alpha=0.35)
        canvas.line(placed(smooth), colour, 2)
    else:
        canvas.disc(placed(values)[0], 3, colour)
    canvas.text((left + 12, top + 24), name, 14, INK)
    canvas.text((left + _WIDTH - _RIGHT, top + 24), f"{smooth[-1]:.4g}", 14, colour, "rs")
    canvas.text((x0, top + _HEIGHT - 11), f"step {steps[0]:g}", 11, MUTED)
    canvas.text((x1, top + _HEIGHT - 11), f"{steps[-1]:g}", 11, MUTED, "rs")
