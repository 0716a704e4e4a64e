"""The bird's-eye view of one frame as a picture: map, occupancy, boxes, trajectories, plans and the ego car."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.report.bev_ground import bev_ground
from bevdeploy.report.bev_layout import BevLayout
from bevdeploy.report.canvas import Canvas, require_pillow
from bevdeploy.report.legend import legend_picture
from bevdeploy.report.palette import EGO, GROUND, INK, LINE, MUTED, TRUTH, class_colour, mixed, plan_colour
from bevdeploy.report.projection import box_corners_m, placed
from bevdeploy.runtime.result import BevResult

if TYPE_CHECKING:
    from PIL.Image import Image

EGO_LENGTH_M, EGO_WIDTH_M = 4.08, 1.85
EGO_CENTRE_M = 1.0
"""The glyph's centre ahead of the ego origin, which nuScenes puts on the rear axle."""
SLOWEST_MPS = 0.5
"""Slower objects get no velocity arrow."""
SHORTEST_LABELLED_PLAN_M = 5.0
"""Labels of shorter plans would lie on the ego car."""


def bev_picture(
    result: BevResult, grid: BEVGrid, truth: NDArray[np.floating[Any]] | None = None, side_px: int = 1000
) -> Image:
    """The BEV of a frame [side_px, side_px] with a legend at its right.

    `grid` says where the map probabilities lie; `truth` [m, 9] (`tasks.BOX_FIELDS`) is drawn in dashed white.

    Raises:
        MissingDependencyError: Pillow is not installed.
    """
    require_pillow()
    from PIL import Image

    view = bev_view(result, BevLayout.around(grid, side_px), grid, truth)
    legend = legend_picture(result, round(side_px * 0.3), side_px, side_px / 1000, truth is not None)
    picture = Image.new("RGB", (view.width + legend.width, side_px), GROUND)
    picture.paste(view, (0, 0))
    picture.paste(legend, (view.width, 0))
    return picture


def bev_view(
    result: BevResult, layout: BevLayout, grid: BEVGrid, truth: NDArray[np.floating[Any]] | None = None
) -> Image:
    """The BEV of a frame without its legend, [layout.side_px, layout.side_px].

    Raises:
        MissingDependencyError: Pillow is not installed.
    """
    require_pillow()
    canvas = Canvas.over(bev_ground(result, grid, layout), layout.side_px, layout.side_px)
    unit = layout.side_px / 1000  # line widths and text are given for 1000 px
    _draw_rings(canvas, layout, grid, unit)
    order = np.argsort(result.scores, kind="stable")  # the surest last, on top
    for index in order:
        _draw_trajectory(canvas, layout, unit, result, int(index))
    for index in order:
        _draw_box(canvas, layout, unit, result, int(index))
    if truth is not None:
        for corners in box_corners_m(truth[placed(truth)]):
            canvas.dashes(layout.pixels(corners[:4, :2]), TRUTH, 1.2 * unit, 3.5 * unit, closed=True)
    _draw_ring_labels(canvas, layout, unit)
    _draw_plans(canvas, layout, unit, result)
    _draw_ego(canvas, layout, unit)
    return canvas.image()


def box_alpha(score: float) -> float:
    """Opacity of a box's outline: doubtful boxes stay visible, sure ones are full."""
    return float(np.clip(0.3 + 0.7 * score / 0.8, 0.3, 1.0))


def _draw_rings(canvas: Canvas, layout: BevLayout, grid: BEVGrid, unit: float) -> None:
    origin = layout.pixels((0.0, 0.0))
    end = layout.half_extent_m
    for axis in (((-end, 0.0), (end, 0.0)), ((0.0, -end), (0.0, end))):
        canvas.line(layout.pixels(axis), MUTED, unit, 0.3)
    for radius_m in layout.rings_m():
        canvas.ring(origin, radius_m * layout.px_per_m, MUTED, unit, 0.6)
    (x_low, y_low, _), (x_high, y_high, _) = grid.lower_m, grid.upper_m
    bounds_m = ((x_low, y_low), (x_low, y_high), (x_high, y_high), (x_high, y_low))
    canvas.line(layout.pixels(bounds_m), MUTED, unit, 0.5, closed=True)


def _draw_ring_labels(canvas: Canvas, layout: BevLayout, unit: float) -> None:
    diagonal = np.array([-1.0, -1.0]) / np.sqrt(2)  # labels lie behind on the right, where no plan leads
    for radius_m in layout.rings_m():
        u, v = layout.pixels(diagonal * radius_m)
        canvas.text((u, v), f"{radius_m:.0f} m", 13 * unit, mixed(MUTED, INK, 0.3), "mm", GROUND)


def _draw_box(canvas: Canvas, layout: BevLayout, unit: float, result: BevResult, index: int) -> None:
    box = result.boxes[index].astype(np.float64)
    if not placed(box)[0]:
        return
    label = int(result.labels[index])
    colour = class_colour(result.tasks.classes[label], label)
    alpha = box_alpha(float(result.scores[index]))
    corners_m = box_corners_m(box)[0, :4, :2]  # [4, 2]
    footprint = layout.pixels(corners_m)
    centre, front = layout.pixels(box[:2]), footprint[:2].mean(0)
    canvas.polygon(footprint, colour, 0.24 * alpha)
    canvas.line(footprint, colour, 1.8 * unit, alpha, closed=True)
    canvas.line([centre, front], colour, 1.8 * unit, alpha)
    speed_mps = float(np.hypot(box[7], box[8]))
    if speed_mps >= SLOWEST_MPS:
        tip = layout.pixels(box[:2] + box[7:9])  # one second on
        along = (tip - centre) / np.linalg.norm(tip - centre)
        across = np.array([-along[1], along[0]])
        bright = mixed(colour, INK, 0.45)
        canvas.line([centre, tip - along * 4 * unit], bright, 1.6 * unit, alpha)
        head = [tip, tip - (along * 8 - across * 3.6) * unit, tip - (along * 8 + across * 3.6) * unit]
        canvas.polygon(head, bright, alpha)


def _draw_trajectory(canvas: Canvas, layout: BevLayout, unit: float, result: BevResult, index: int) -> None:
    """The likeliest of the modes, fading with time; nothing of a student without motion."""
    if not result.trajectory_probabilities.shape[1]:
        return
    mode = int(np.argmax(result.trajectory_probabilities[index]))
    path_m = np.concatenate([result.boxes[index, None, :2], result.trajectories_m[index, mode]])  # [1 + steps, 2]
    if not np.isfinite(path_m).all():
        return
    label = int(result.labels[index])
    colour = class_colour(result.tasks.classes[label], label)
    alpha = 0.8 * box_alpha(float(result.scores[index]))
    path = layout.pixels(path_m)
    steps = len(path) - 1
    for step in range(steps):
        left = 1 - 0.85 * step / steps
        canvas.line(path[step : step + 2], colour, 2.2 * unit, alpha * left)
        canvas.disc(path[step + 1], 1.9 * unit, colour, alpha * left)


def _draw_plans(canvas: Canvas, layout: BevLayout, unit: float, result: BevResult) -> None:
    """One plan per command, from the ego origin; the label stands where the plan ends."""
    sides = {"left": ("rm", -1.0), "right": ("lm", 1.0)}
    for index, (command, plan_m) in enumerate(zip(result.tasks.plan_commands, result.plans_m, strict=True)):
        if not np.isfinite(plan_m).all():
            continue
        colour = plan_colour(command, index)
        path = layout.pixels(np.concatenate([np.zeros((1, 2)), plan_m]))  # [1 + steps, 2]
        canvas.line(path, GROUND, 5.5 * unit, 0.55)
        canvas.line(path, colour, 3.2 * unit, 0.95)
        for point in path[1:]:
            canvas.disc(point, 3.4 * unit, GROUND, 0.7)
            canvas.disc(point, 2.5 * unit, colour)
        if float(np.linalg.norm(plan_m[-1])) < SHORTEST_LABELLED_PLAN_M:
            continue
        anchor, side = sides.get(command, ("ms", 0.0))
        u = path[-1, 0] + side * 9 * unit
        v = path[-1, 1] - (0 if side else 8 * unit)
        canvas.text((u, v), command, 14 * unit, colour, anchor, GROUND)


def _draw_ego(canvas: Canvas, layout: BevLayout, unit: float) -> None:
    """A car seen from above: body, windscreen, rear window."""

    def quad(rear_m: float, rear_half_m: float, front_m: float, front_half_m: float) -> NDArray[np.float64]:
        corners = ((front_m, front_half_m), (front_m, -front_half_m), (rear_m, -rear_half_m), (rear_m, rear_half_m))
        return layout.pixels(corners)

    rear, front, half = EGO_CENTRE_M - EGO_LENGTH_M / 2, EGO_CENTRE_M + EGO_LENGTH_M / 2, EGO_WIDTH_M / 2
    body_m = (
        (front, half * 0.55), (front, -half * 0.55), (front - 0.45, -half), (rear + 0.3, -half),
        (rear, -half * 0.75), (rear, half * 0.75), (rear + 0.3, half), (front - 0.45, half),
    )  # fmt: skip
    body = layout.pixels(body_m)
    canvas.polygon(body, EGO)
    canvas.line(body, GROUND, 1.2 * unit, 0.9, closed=True)
    canvas.polygon(quad(front - 1.75, half * 0.62, front - 1.1, half * 0.82), mixed(GROUND, LINE, 0.6))
    canvas.polygon(quad(rear + 0.35, half * 0.72, rear + 0.8, half * 0.6), mixed(GROUND, LINE, 0.6))
