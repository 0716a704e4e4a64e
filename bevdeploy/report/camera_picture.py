"""Boxes of the ego frame drawn on a camera's image, through its intrinsics and extrinsics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import FrameSourceError
from bevdeploy.geometry.rig import Camera
from bevdeploy.report.bev_picture import box_alpha
from bevdeploy.report.canvas import Canvas, require_pillow, text_width_px
from bevdeploy.report.palette import GROUND, INK, TRUTH, Colour, class_colour, mixed
from bevdeploy.report.projection import (
    EDGES,
    FRONT_FACE,
    corners_in_camera,
    pixels,
    placed,
    polygon_in_front,
    segment_in_front,
    segment_in_image,
)
from bevdeploy.runtime.result import BevResult

if TYPE_CHECKING:
    from PIL.Image import Image

Float64 = NDArray[np.float64]

LABEL_FROM_PX = 22.0
"""Boxes lower than this in a view of 640 px carry no label."""


def camera_picture(
    frame: NDArray[np.uint8],
    camera: Camera,
    result: BevResult,
    truth: NDArray[np.floating[Any]] | None = None,
    width_px: int = 800,
) -> Image:
    """A frame [Hraw, Wraw, 3] with its boxes, `width_px` wide and as high as the camera's image asks for.

    The front face of a box is filled; `truth` [m, 9] (`tasks.BOX_FIELDS`) is drawn in dashed white.

    Raises:
        FrameSourceError: the frame has another size than the camera.
        MissingDependencyError: Pillow is not installed.
    """
    require_pillow()
    from PIL import Image

    if frame.shape != (camera.height_px, camera.width_px, 3) or frame.dtype != np.uint8:
        raise FrameSourceError(
            f"{camera.name}: expected uint8 RGB {camera.width_px} x {camera.height_px} px, "
            f"got {frame.dtype} {frame.shape}"
        )
    height_px = max(1, round(camera.height_px * width_px / camera.width_px))
    canvas = Canvas.over(Image.fromarray(np.ascontiguousarray(frame), "RGB"), width_px, height_px)
    view = _View(canvas, camera, width_px / camera.width_px, width_px / 640)
    boxes = result.boxes.astype(np.float64)
    corners = corners_in_camera(boxes, camera)  # [n, 8, 3]
    visible = [int(n) for n in np.flatnonzero(placed(boxes)) if view.sees(corners[n])]
    visible.sort(key=lambda n: -float(np.linalg.norm(corners[n].mean(0))))  # the nearest last, on top
    for n in visible:
        name, label = result.tasks.classes[int(result.labels[n])], int(result.labels[n])
        view.draw_box(corners[n], class_colour(name, label), box_alpha(float(result.scores[n])))
    if truth is not None:
        for box in corners_in_camera(truth[placed(truth)], camera):
            view.draw_truth(box)
    view.draw_name()
    for n in reversed(visible):
        name, label = result.tasks.classes[int(result.labels[n])], int(result.labels[n])
        text = f"{name.replace('_', ' ')} {result.scores[n]:.2f}"
        view.draw_label(corners[n], text, class_colour(name, label))
    return canvas.image()


class _View:
    """One camera's canvas; `scale` leads from raw pixels to it, `unit` from a view of 640 px to its lines and text."""

    def __init__(self, canvas: Canvas, camera: Camera, scale: float, unit: float) -> None:
        self.canvas, self.camera, self.scale, self.unit = canvas, camera, scale, unit
        self._taken: list[tuple[float, float, float, float]] = []

    def sees(self, corners_cam: Float64) -> bool:
        """Whether an edge of the box [8, 3] crosses the image in front of the camera."""
        return any(True for _ in self._edges(corners_cam))

    def draw_box(self, corners_cam: Float64, colour: Colour, alpha: float) -> None:
        face = polygon_in_front(corners_cam[list(FRONT_FACE)])
        if len(face) >= 3:
            self.canvas.polygon(pixels(face, self.camera) * self.scale, colour, 0.22 * alpha)
        edges = list(self._edges(corners_cam))
        for ends in edges:
            self.canvas.line(ends, GROUND, 3.0 * self.unit, 0.45 * alpha)
        for ends in edges:
            self.canvas.line(ends, colour, 1.5 * self.unit, alpha)

    def draw_truth(self, corners_cam: Float64) -> None:
        edges = list(self._edges(corners_cam))
        for ends in edges:
            self.canvas.line(ends, GROUND, 2.2 * self.unit, 0.3)
        for ends in edges:
            self.canvas.dashes(ends, TRUTH, 1.0 * self.unit, 3.5 * self.unit)

    def draw_label(self, corners_cam: Float64, text: str, colour: Colour) -> None:
        """Class and score above the box, where the box is high enough and no nearer label stands."""
        ends = np.concatenate(list(self._edges(corners_cam)))  # [2 * edges, 2]
        (left, top), (right, bottom) = ends.min(0), ends.max(0)
        size = 11.5 * self.unit
        if bottom - top < LABEL_FROM_PX * self.unit:
            return
        width = text_width_px(text, size) + 8 * self.unit
        x = float(np.clip((left + right - width) / 2, 0, self.canvas.width_px - width))
        y = float(np.clip(top - 17.5 * self.unit, 0, self.canvas.height_px - 16 * self.unit))
        if self._take((x, y, x + width, y + 16 * self.unit)):
            self.canvas.plate((x, y, x + width, y + 16 * self.unit), 3 * self.unit, GROUND, 0.72)
            self.canvas.text((x + 4 * self.unit, y + 8 * self.unit), text, size, mixed(colour, INK, 0.3), "lm")

    def draw_name(self) -> None:
        size = 13 * self.unit
        width = text_width_px(self.camera.name, size) + 16 * self.unit
        plate = (8 * self.unit, 8 * self.unit, 8 * self.unit + width, 30 * self.unit)
        self._take(plate)
        self.canvas.plate(plate, 5 * self.unit, GROUND, 0.72)
        self.canvas.text((16 * self.unit, 19 * self.unit), self.camera.name, size, INK, "lm")

    def _take(self, plate: tuple[float, float, float, float]) -> bool:
        """Whether a label's place (left, top, right, bottom) is free; it is taken from now on."""
        left, top, right, bottom = plate
        if any(left < r and l < right and top < b and t < bottom for l, t, r, b in self._taken):  # noqa: E741
            return False
        self._taken.append(plate)
        return True

    def _edges(self, corners_cam: Float64) -> Iterator[Float64]:
        """Ends [2, 2] on the canvas of the edges that are in front of the camera and in the image."""
        for start, end in EDGES:
            ends_cam = segment_in_front(corners_cam[start], corners_cam[end])
            if ends_cam is None:
                continue
            ends = pixels(ends_cam, self.camera) * self.scale
            inside = segment_in_image(ends, self.canvas.width_px, self.canvas.height_px)
            if inside is not None:
                yield inside
