"""One frame twice: what is true at the left, what the student says at the right, under the cameras of the frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.geometry.rig import CameraRig
from bevdeploy.report.bev_layout import BevLayout
from bevdeploy.report.bev_picture import bev_view
from bevdeploy.report.camera_picture import camera_picture
from bevdeploy.report.canvas import Canvas, require_pillow
from bevdeploy.report.frame_picture import FrameTitle, camera_row, surround_rows, title_picture
from bevdeploy.report.legend import legend_picture
from bevdeploy.report.palette import GROUND, INK
from bevdeploy.runtime.result import BevResult

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH_PX = 1920
LEGEND_SHARE = 0.17


def truth_picture(
    frames: Sequence[NDArray[np.uint8]] | None,
    rig: CameraRig | None,
    truth: BevResult,
    result: BevResult,
    grid: BEVGrid,
    title: FrameTitle,
    width_px: int = WIDTH_PX,
) -> Image:
    """Truth and result side by side, each with its boxes, map, occupancy and plans.

    `frames` are RGB images [Hraw, Wraw, 3] in the order of `rig`, with the result's boxes drawn over them and the true
    ones dashed; without them the picture has no cameras. `grid` says where the map probabilities of both lie.

    Raises:
        FrameSourceError: a frame has another size than its camera.
        MissingDependencyError: Pillow is not installed.
    """
    require_pillow()
    from PIL import Image

    unit = width_px / WIDTH_PX
    margin, gap = round(16 * unit), round(8 * unit)
    inner_px = width_px - 2 * margin
    parts = [title_picture(title, inner_px, round(74 * unit), unit)]
    if frames is not None and rig is not None:
        above, below = surround_rows(rig)
        rows = [row for row in (*above, *below) if row]
        cell_px = (inner_px - (max(map(len, rows)) - 1) * gap) // max(2, *map(len, rows))
        views = [camera_picture(frames[n], each, result, truth.boxes, cell_px) for n, each in enumerate(rig.cameras)]
        parts += [camera_row([views[n] for n in row], inner_px, gap) for row in rows]
    parts.append(_both(truth, result, grid, inner_px, gap, unit))
    height_px = sum(part.height for part in parts) + gap * (len(parts) - 1) + 2 * margin
    picture = Image.new("RGB", (width_px, height_px), GROUND)
    y = margin
    for part in parts:
        picture.paste(part, (margin, y))
        y += part.height + gap
    return picture


def _both(truth: BevResult, result: BevResult, grid: BEVGrid, width_px: int, gap_px: int, unit: float) -> Image:
    """Legend, truth, result with the true boxes dashed over its own."""
    from PIL import Image

    legend_px = round(LEGEND_SHARE * width_px)
    side_px = (width_px - legend_px - 2 * gap_px) // 2
    heading_px = round(40 * unit)
    layout = BevLayout.around(grid, side_px)
    row = Image.new("RGB", (width_px, heading_px + side_px), GROUND)
    row.paste(legend_picture(result, legend_px, heading_px + side_px, 1.1 * unit, True), (0, 0))
    views = (("TRUTH", bev_view(truth, layout, grid)), ("PREDICTED", bev_view(result, layout, grid, truth.boxes)))
    for index, (name, view) in enumerate(views):
        x = legend_px + gap_px + index * (side_px + gap_px)
        heading = Canvas(side_px, heading_px, GROUND)
        heading.text((side_px / 2, heading_px / 2), name, 19 * unit, INK, "mm")
        row.paste(heading.image(), (x, 0))
        row.paste(view, (x, heading_px))
    return row
