"""InstanceMask: one object in one raw image; and masks of polygons, boxes and run lengths. NumPy only.

Pixel (u, v) covers [u, u + 1) x [v, v + 1) of the raw image's coordinates and belongs to a shape that holds its centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry.frames import Float64

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class InstanceMask:
    """One object that a camera sees."""

    class_name: str
    """Of `virtual_points.LABEL_CLASSES`."""
    score: float
    """0..1, the detector's."""
    mask: Mask
    """[h, w], the part of the raw image that holds the object, or all of it."""
    corner_px: tuple[int, int] = (0, 0)
    """u, v of the mask's first pixel."""

    def pixels(self) -> NDArray[np.int64]:
        """[n, 2] u, v of the mask's pixels, by rows."""
        v, u = np.nonzero(self.mask)
        return np.asarray(np.stack([u, v], 1) + np.array(self.corner_px), np.int64)

    def holds(self, pixels: NDArray[np.int64]) -> Mask:
        """[n] whether pixels [n, 2] u, v lie in the mask; pixels anywhere are allowed."""
        height, width = self.mask.shape
        u, v = (pixels - np.array(self.corner_px)).T
        near = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        held = np.zeros(len(pixels), bool)
        held[near] = self.mask[v[near], u[near]]
        return held


def mask_of_polygons(polygons: Sequence[Float64], image_hw: tuple[int, int]) -> tuple[Mask, tuple[int, int]]:
    """Pixels whose centres lie in any of the polygons; each is filled by the even-odd rule.

    Args:
        polygons: [n, 2] u, v each, finite; they may reach beyond the image.
        image_hw: height and width of the raw image, px.

    Returns:
        The mask [h, w] of the part of the image that the polygons span, and u, v of its first pixel; [0, 0] where they
        span none.
    """
    height, width = image_hw
    vertices = np.concatenate([np.zeros((0, 2)), *polygons])  # [n, 2]
    if not len(vertices):
        return np.zeros((0, 0), bool), (0, 0)
    left, top = (int(low) for low in np.clip(np.floor(vertices.min(0)), 0, (width, height)))
    right, bottom = (int(high) for high in np.clip(np.ceil(vertices.max(0)), (left, top), (width, height)))
    mask = np.zeros((bottom - top, right - left), bool)  # [h, w]
    if not mask.size:
        return np.zeros((0, 0), bool), (0, 0)
    for polygon in polygons:
        mask |= _filled(np.asarray(polygon, np.float64) - (left, top), *mask.shape)
    return mask, (left, top)


def _filled(polygon: Float64, height: int, width: int) -> Mask:
    """[height, width] where an odd number of edges lies left of a pixel's centre."""
    crossings = np.zeros((height, width + 1), np.int32)
    for (u0, v0), (u1, v1) in pairwise([*polygon.tolist(), polygon[0].tolist()]):
        if v0 > v1:
            u0, v0, u1, v1 = u1, v1, u0, v0
        first, end = (int(np.clip(np.ceil(v - 0.5), 0, height)) for v in (v0, v1))  # centres in [v0, v1)
        rows = np.arange(first, end)
        if len(rows):
            u = u0 + (rows + 0.5 - v0) * ((u1 - u0) / (v1 - v0))  # [rows]
            np.add.at(crossings, (rows, np.clip(np.ceil(u - 0.5), 0, width).astype(np.int64)), 1)
    return np.asarray(np.cumsum(crossings, 1)[:, :width] & 1, bool)  # [height, width]


def mask_of_runs(runs: Sequence[int], image_hw: tuple[int, int]) -> Mask:
    """[height, width] of COCO's run lengths: down the columns, the first run outside of the object.

    Raises:
        ValueError: a run is negative, or the runs do not make the image.
    """
    height, width = image_hw
    lengths = np.asarray(runs, np.int64)
    if lengths.ndim != 1 or (lengths < 0).any() or (lengths > height * width).any():
        raise ValueError("run lengths must be whole numbers from 0 to the image's pixels")
    if lengths.sum() != height * width:
        raise ValueError(f"run lengths sum to {lengths.sum()}, the image has {height} x {width} pixels")
    inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)  # [height*width]
    return inside.reshape(width, height).T  # [height, width]


def runs_of_text(text: str) -> list[int]:
    """The run lengths of COCO's compressed text, as pycocotools writes it.

    Each number takes characters of six bits above '0': five of the value, lowest first, and one that says that more
    follow. From the fourth on, a number is the difference to the one two before it.

    Raises:
        ValueError: a character that the text cannot have, or the last number is cut short.
    """
    runs: list[int] = []
    value, shift = 0, 0
    for letter in text:
        bits = ord(letter) - ord("0")
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError(f"character {letter!r} in compressed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:  # a negative difference
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    if shift:
        raise ValueError("compressed run lengths that end inside a number")
    return runs
