"""One picture of one frame: the cameras around the BEV they were turned into.

Cameras that look ahead stand above the BEV, those that look back below it; the car's left is the picture's left.
The order comes from the rig's extrinsics, so that any rig finds its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import FrameSourceError
from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.geometry.rig import CameraRig
from bevdeploy.report.bev_layout import BevLayout
from bevdeploy.report.bev_picture import bev_view
from bevdeploy.report.camera_picture import camera_picture
from bevdeploy.report.canvas import Canvas, require_pillow, text_width_px
from bevdeploy.report.legend import legend_picture, nearest_picture
from bevdeploy.report.palette import GROUND, INK, MUTED, NOTE, PANEL
from bevdeploy.runtime.result import BevResult

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_ROW = 4
"""Cameras side by side."""
DEFAULT_WIDTH_PX = 1920


@dataclass(frozen=True)
class FrameTitle:
    """What the strip above the pictures says."""

    frame: str
    """Token or name of the frame."""
    student: str
    engine: str
    """File name of the engine or checkpoint."""
    latency_ms: float | None = None
    """From frames in memory to the result; None where it was not measured."""
    note: str | None = None
    """What a reader must know, such as 'untrained weights'."""


def frame_picture(
    frames: Sequence[NDArray[np.uint8]],
    rig: CameraRig,
    result: BevResult,
    grid: BEVGrid,
    title: FrameTitle,
    truth: NDArray[np.floating[Any]] | None = None,
    width_px: int = DEFAULT_WIDTH_PX,
) -> Image:
    """All cameras with their boxes around the BEV, under a title strip.

    `frames` are RGB images [Hraw, Wraw, 3] in the order of the rig; `grid` (the contract's) says where the map
    probabilities lie; `truth` [m, 9] (`tasks.BOX_FIELDS`) is drawn in dashed white.

    Raises:
        FrameSourceError: a frame is missing, or has another size than its camera.
        MissingDependencyError: Pillow is not installed.
    """
    require_pillow()
    from PIL import Image

    if len(frames) != len(rig.cameras):
        raise FrameSourceError(f"{len(frames)} images for the {len(rig.cameras)} cameras {', '.join(rig.names)}")
    unit = width_px / DEFAULT_WIDTH_PX
    margin, gap = round(16 * unit), round(8 * unit)
    inner_px = width_px - 2 * margin
    above, below = surround_rows(rig)
    columns = max(2, *(len(row) for row in (*above, *below)))
    cell_px = (inner_px - (columns - 1) * gap) // columns
    views = [camera_picture(frames[n], camera, result, truth, cell_px) for n, camera in enumerate(rig.cameras)]
    parts = [title_picture(title, inner_px, round(74 * unit), unit)]
    parts += [camera_row([views[n] for n in row], inner_px, gap) for row in above]
    parts.append(_bev_row(result, grid, truth, inner_px, unit))
    parts += [camera_row([views[n] for n in row], inner_px, gap) for row in below]
    height_px = sum(part.height for part in parts) + gap * (len(parts) - 1) + 2 * margin
    picture = Image.new("RGB", (width_px, height_px), GROUND)
    y = margin
    for part in parts:
        picture.paste(part, (margin, y))
        y += part.height + gap
    return picture


def surround_rows(rig: CameraRig) -> tuple[list[list[int]], list[list[int]]]:
    """Camera indices in rows above and below the BEV, by where each camera looks.

    A camera within 90 degrees of straight ahead stands above, from left to right; the others stand below, back left at
    the left. A row has at most `LONGEST_ROW` cameras.
    """
    axes = np.array([camera.ego_from_cam[:2, 2] for camera in rig.cameras])  # [N, 2]: optical axes on the ground
    yaw_deg = np.rad2deg(np.arctan2(axes[:, 1], axes[:, 0]))
    ahead = [n for n in range(len(yaw_deg)) if abs(yaw_deg[n]) <= 90.5]  # half a degree: side cameras are not exact
    behind = [n for n in range(len(yaw_deg)) if n not in ahead]
    ahead.sort(key=lambda n: -yaw_deg[n])
    behind.sort(key=lambda n: yaw_deg[n] % 360)
    return _rows(ahead), _rows(behind)


def _rows(order: list[int]) -> list[list[int]]:
    if not order:
        return []
    count = -(-len(order) // LONGEST_ROW)
    return [part.tolist() for part in np.array_split(np.array(order), count)]


def camera_row(views: list[Image], width_px: int, gap_px: int) -> Image:
    """Views side by side, in the middle of the row."""
    from PIL import Image

    height_px = max(view.height for view in views)
    row = Image.new("RGB", (width_px, height_px), GROUND)
    x = (width_px - sum(view.width for view in views) - (len(views) - 1) * gap_px) // 2
    for view in views:
        row.paste(view, (x, (height_px - view.height) // 2))
        x += view.width + gap_px
    return row


def _bev_row(
    result: BevResult, grid: BEVGrid, truth: NDArray[np.floating[Any]] | None, width_px: int, unit: float
) -> Image:
    """Legend, BEV, nearest objects."""
    from PIL import Image

    side_px = width_px // 2
    left_px = (width_px - side_px) // 2
    row = Image.new("RGB", (width_px, side_px), GROUND)
    row.paste(legend_picture(result, left_px, side_px, 1.3 * unit, truth is not None), (0, 0))
    row.paste(bev_view(result, BevLayout.around(grid, side_px), grid, truth), (left_px, 0))
    row.paste(nearest_picture(result, width_px - left_px - side_px, side_px, 1.15 * unit), (left_px + side_px, 0))
    return row


def title_picture(title: FrameTitle, width_px: int, height_px: int, unit: float) -> Image:
    """Frame at the left; student, engine and latency below it; the note as a badge at the right."""
    canvas = Canvas(width_px, height_px, GROUND)
    canvas.plate((0, 0, width_px, height_px), 6 * unit, PANEL)
    right = width_px - 18 * unit
    if title.note:
        size = 18 * unit
        width = text_width_px(title.note, size) + 24 * unit
        top, bottom = height_px / 2 - 17 * unit, height_px / 2 + 17 * unit
        canvas.plate((right - width, top, right, bottom), 17 * unit, NOTE)
        canvas.text((right - width / 2, height_px / 2 + unit), title.note, size, GROUND, "mm")
        right -= width + 18 * unit
    latency = "latency not measured" if title.latency_ms is None else f"{title.latency_ms:.1f} ms"
    room = right - 18 * unit
    canvas.text((18 * unit, 32 * unit), _shortened(title.frame, 23 * unit, room), 23 * unit, INK)
    facts = f"{title.student}   |   {title.engine}   |   {latency}"
    canvas.text((18 * unit, 58 * unit), _shortened(facts, 17 * unit, room), 17 * unit, MUTED)
    return canvas.image()


def _shortened(text: str, size_px: float, room_px: float) -> str:
    """The text, or as much of it as fits."""
    if text_width_px(text, size_px) <= room_px:
        return text
    while text and text_width_px(text + "...", size_px) > room_px:
        text = text[:-1]
    return text + "..."
