"""The panels beside the BEV: what each colour means, and the nearest objects in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bevdeploy.report.bev_ground import CLEAR, MAP_OPACITY, occupancy_opacity
from bevdeploy.report.canvas import Canvas
from bevdeploy.report.palette import (
    EGO,
    GROUND,
    INK,
    MUTED,
    OCCUPANCY,
    TRUTH,
    Colour,
    class_colour,
    map_colour,
    mixed,
    plan_colour,
)
from bevdeploy.runtime.result import BevResult

if TYPE_CHECKING:
    from PIL.Image import Image

_ROW_PX = 24.0
_TEXT_PX = 15.0
_HEADING_PX = 13.0


def legend_picture(result: BevResult, width_px: int, height_px: int, unit: float, truth: bool) -> Image:
    """A panel that names every colour of the BEV, with the number of boxes per class; `unit` scales text and rows."""
    canvas = Canvas(width_px, height_px, GROUND)
    left, right = 20 * unit, width_px - 20 * unit
    y = 30 * unit

    def heading(text: str) -> None:
        nonlocal y
        canvas.text((left, y), text, _HEADING_PX * unit, MUTED, "ls")
        y += 23 * unit

    def label(text: str, colour: Colour = INK) -> None:
        canvas.text((left + 32 * unit, y), text, _TEXT_PX * unit, colour, "lm")

    heading("BOXES")
    counts = np.bincount(result.labels, minlength=len(result.tasks.classes))
    for index, name in enumerate(result.tasks.classes):
        colour = class_colour(name, index)
        corners = _rectangle(left + 10 * unit, y, 10 * unit, 6 * unit)
        canvas.polygon(corners, colour, 0.24)
        canvas.line(corners, colour, 1.8 * unit, closed=True)
        canvas.line([(left + 10 * unit, y), (left + 20 * unit, y)], colour, 1.8 * unit)
        there = int(counts[index])
        label(name.replace("_", " "), INK if there else mixed(MUTED, GROUND, 0.15))
        if there:
            canvas.text((right, y), str(there), _TEXT_PX * unit, INK, "rm")
        y += _ROW_PX * unit
    if truth:
        canvas.dashes(_rectangle(left + 10 * unit, y, 10 * unit, 6 * unit), TRUTH, 1.2 * unit, 3 * unit, closed=True)
        label("ground truth")
        y += _ROW_PX * unit

    y += 20 * unit
    heading("MAP")
    for index, name in enumerate(result.tasks.map_classes):
        tint = mixed(GROUND, map_colour(name, index), MAP_OPACITY)
        canvas.plate(_bounds(left + 10 * unit, y, 10 * unit, 6 * unit), 2 * unit, tint)
        label(name)
        y += _ROW_PX * unit

    y += 20 * unit
    steps_s = result.tasks.occupancy_steps_s
    if steps_s:
        heading("OCCUPIED")
        swatch = min(26 * unit, (right - left) / len(steps_s))
        for step in range(len(steps_s)):
            tint = mixed(GROUND, OCCUPANCY, occupancy_opacity(step, result.tasks))
            x = left + step * swatch
            canvas.polygon(_rectangle(x + swatch / 2, y, swatch / 2, 6 * unit), tint)
        end = left + len(steps_s) * swatch + 10 * unit
        text = "now" if len(steps_s) == 1 else f"now to +{steps_s[-1]:g} s"
        canvas.text((end, y), text, _TEXT_PX * unit, INK, "lm")
        y += 44 * unit

    heading("PLAN FOR EACH COMMAND")
    for index, command in enumerate(result.tasks.plan_commands):
        colour = plan_colour(command, index)
        canvas.line([(left, y), (left + 20 * unit, y)], colour, 3.2 * unit)
        canvas.disc((left + 20 * unit, y), 3.2 * unit, colour)
        label(command)
        reach_m = float(np.linalg.norm(result.plans_m[index, -1]))
        reach = f"{reach_m:.1f} m" if np.isfinite(reach_m) else "n/a"
        canvas.text((right, y), reach, _TEXT_PX * unit, MUTED, "rm")
        y += _ROW_PX * unit
    canvas.plate(_bounds(left + 10 * unit, y, 10 * unit, 5 * unit), 3 * unit, EGO)
    label("ego car")
    y += _ROW_PX * unit
    notes = (
        "arrow: 1 s of travel; dots: likeliest",
        "trajectory; opacity of a box: score;",
        f"tint: probability above {CLEAR:g}",
    )
    for line, note in enumerate(notes):
        canvas.text((left, y + (10 + 16 * line) * unit), note, 12.5 * unit, MUTED, "ls")
    return canvas.image()


def nearest_picture(result: BevResult, width_px: int, height_px: int, unit: float) -> Image:
    """A panel with class, score, range and speed of the boxes nearest to the ego origin."""
    canvas = Canvas(width_px, height_px, GROUND)
    left, right = 20 * unit, width_px - 20 * unit
    canvas.text((left, 30 * unit), "NEAREST OBJECTS", _HEADING_PX * unit, MUTED)
    stops = (right - 136 * unit, right - 68 * unit, right)
    for stop, text in zip(stops, ("score", "range m", "m/s"), strict=True):
        canvas.text((stop, 30 * unit), text, _HEADING_PX * unit, MUTED, "rs")
    canvas.line([(left, 40 * unit), (right, 40 * unit)], MUTED, unit, 0.35)
    range_m = np.hypot(result.boxes[:, 0], result.boxes[:, 1])
    fitting = int((height_px - 76 * unit) // (_ROW_PX * unit))
    nearest = [int(n) for n in np.argsort(range_m, kind="stable") if np.isfinite(range_m[n])]
    y = 58 * unit
    for index in nearest[:fitting]:
        label = int(result.labels[index])
        name = result.tasks.classes[label]
        canvas.plate(_bounds(left + 5 * unit, y, 5 * unit, 5 * unit), 2 * unit, class_colour(name, label))
        canvas.text((left + 20 * unit, y), name.replace("_", " "), _TEXT_PX * unit, INK, "lm")
        speed_mps = float(np.hypot(result.boxes[index, 7], result.boxes[index, 8]))
        speed = f"{speed_mps:.1f}" if np.isfinite(speed_mps) else "n/a"
        numbers = (f"{result.scores[index]:.2f}", f"{range_m[index]:.1f}", speed)
        for stop, text in zip(stops, numbers, strict=True):
            canvas.text((stop, y), text, _TEXT_PX * unit, INK, "rm")
        y += _ROW_PX * unit
    if len(nearest) > fitting:
        canvas.text((left, y), f"and {len(nearest) - fitting} farther", _TEXT_PX * unit, MUTED, "lm")
    elif not nearest:
        canvas.text((left, y), "no box above the score threshold", _TEXT_PX * unit, MUTED, "lm")
    return canvas.image()


def _bounds(x: float, y: float, half_width: float, half_height: float) -> tuple[float, float, float, float]:
    return x - half_width, y - half_height, x + half_width, y + half_height


def _rectangle(x: float, y: float, half_width: float, half_height: float) -> list[tuple[float, float]]:
    left, top, right, bottom = _bounds(x, y, half_width, half_height)
    return [(left, top), (right, top), (right, bottom), (left, bottom)]
