"""The ground of the BEV picture: HD-map and occupancy probabilities as tints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.geometry.map_grid import map_grid
from bevdeploy.report.bev_layout import BevLayout
from bevdeploy.report.palette import GROUND, MAP_LAYERS, OCCUPANCY, Colour, map_colour
from bevdeploy.runtime.result import BevResult
from bevdeploy.tasks import TaskSpec

if TYPE_CHECKING:
    from PIL.Image import Image

MAP_OPACITY = 0.7
OCCUPANCY_OPACITY = 0.34
"""Of the present step; each later one has less."""
CLEAR, FULL = 0.5, 0.75
"""Probabilities at which a tint begins, and is complete: what the student would rather deny stays dark."""


def bev_ground(result: BevResult, grid: BEVGrid, layout: BevLayout) -> Image:
    """Map layers on the map's grid, which may be that of the BEV, occupancy on its own square, on the dark ground."""
    from PIL import Image

    picture = np.empty((layout.side_px, layout.side_px, 3), np.float32)
    picture[:] = GROUND
    mapped = map_grid(grid, result.tasks)
    (x_low, y_low, _), (x_high, y_high, _) = mapped.lower_m, mapped.upper_m
    names = result.tasks.map_classes
    laid = list(MAP_LAYERS)
    order = sorted(range(len(names)), key=lambda n: laid.index(names[n]) if names[n] in laid else len(laid))
    for index in order:
        if not (result.map_probabilities[index] > CLEAR).any():
            continue
        share = _on_picture(result.map_probabilities[index], (x_low, x_high, y_low, y_high), layout)
        _tint(picture, share * MAP_OPACITY, map_colour(names[index], index))
    half = result.tasks.occupancy_half_extent_m
    for step in reversed(range(len(result.occupancy_probabilities))):
        if not (result.occupancy_probabilities[step] > CLEAR).any():
            continue
        share = _on_picture(result.occupancy_probabilities[step], (-half, half, -half, half), layout)
        _tint(picture, share * occupancy_opacity(step, result.tasks), OCCUPANCY)
    return Image.fromarray(np.rint(picture).astype(np.uint8), "RGB")


def occupancy_opacity(step: int, tasks: TaskSpec) -> float:
    """The tint of one step; it fades from now to the last step."""
    return OCCUPANCY_OPACITY * (1 - 0.8 * step / max(1, len(tasks.occupancy_steps_s) - 1))


def _on_picture(
    probabilities: NDArray[np.float32], bounds_m: tuple[float, float, float, float], layout: BevLayout
) -> NDArray[np.float32]:
    """Tint shares [side, side] of probabilities [Y, X] that cover x and y bounds in the ego frame."""
    from PIL import Image

    x_low, x_high, y_low, y_high = bounds_m
    seen = np.nan_to_num(probabilities.astype(np.float32)).T[::-1, ::-1]  # [X, Y]: forward up, left at the left
    rows, columns = seen.shape
    left, top = layout.pixels((x_high, y_high))
    row_px = (x_high - x_low) / rows * layout.px_per_m
    column_px = (y_high - y_low) / columns * layout.px_per_m
    resampled = Image.fromarray(np.ascontiguousarray(seen)).transform(
        (layout.side_px, layout.side_px),
        Image.Transform.AFFINE,
        (1 / column_px, 0, -left / column_px, 0, 1 / row_px, -top / row_px),
        Image.Resampling.BILINEAR,
    )  # picture pixel to cell of the grid; outside of it 0
    ramp = (np.asarray(resampled, np.float32) - CLEAR) / (FULL - CLEAR)
    return np.asarray(np.clip(ramp, 0, 1))


def _tint(picture: NDArray[np.float32], alpha: NDArray[np.float32], colour: Colour) -> None:
    """Blend a colour into a picture [side, side, 3], in place."""
    picture += (np.asarray(colour, np.float32) - picture) * alpha[..., None]
