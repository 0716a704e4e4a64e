"""Frame sets of a made-up street, seen through the real geometry of any rig: for parity, demos and tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.frame_set import FrameSet
from bevdeploy.data.raycast import CameraRays, image_of_street
from bevdeploy.data.street import STEP_S, street_at
from bevdeploy.data.true_boxes import TrueBoxes
from bevdeploy.errors import FrameSourceError
from bevdeploy.geometry.rig import CameraRig

MAX_CAST_PX = 800
"""Longest image side that is cast ray by ray; larger images are cast at an integer fraction and enlarged."""


def synthetic_frame_sets(rig: CameraRig, count: int, seed: int = 0) -> Iterator[FrameSet]:
    """`count` consecutive frame sets, half a second apart; the same for the same rig and seed.

    Raises:
        FrameSourceError: the count or the seed is negative.
    """
    if count < 0:
        raise FrameSourceError(f"a number of frame sets cannot be negative, got {count}")
    _check_seed(seed)
    return _rendered(rig, count, seed)


def synthetic_scene(index: int, seed: int = 0) -> TrueBoxes:
    """The true boxes of frame set `index`, within 60 m; hidden ones included.

    Raises:
        FrameSourceError: the index or the seed is negative.
    """
    if index < 0:
        raise FrameSourceError(f"the index of a frame set cannot be negative, got {index}")
    _check_seed(seed)
    return street_at(index, seed).boxes


def _rendered(rig: CameraRig, count: int, seed: int) -> Iterator[FrameSet]:
    rays = []
    for camera in rig.cameras:
        stride = -(-max(camera.width_px, camera.height_px) // MAX_CAST_PX)
        rays.append(CameraRays.of(camera, stride))
    for index in range(count):
        street = street_at(index, seed)
        frames = tuple(_enlarged(image_of_street(view, street), view) for view in rays)
        yield FrameSet(f"synthetic-{seed}-{index:04d}", round(index * STEP_S * 1e6), frames, rig)


def _enlarged(image: NDArray[np.uint8], view: CameraRays) -> NDArray[np.uint8]:
    """The image [h, w, 3] at its camera's size, interpolated linearly between block centres."""
    for axis, size_px in ((0, view.camera.height_px), (1, view.camera.width_px)):
        image = _stretched(image, axis, view.stride, size_px)
    return image  # [Hraw, Wraw, 3]


def _stretched(image: NDArray[np.uint8], axis: int, stride: int, size_px: int) -> NDArray[np.uint8]:
    if stride == 1:
        return image
    lines = np.moveaxis(image, axis, 0).astype(np.uint16)  # [lines, other, 3]
    before = np.concatenate([lines[:1], lines[:-1]])
    after = np.concatenate([lines[1:], lines[-1:]])
    stretched = np.empty((len(lines) * stride, *lines.shape[1:]), np.uint8)
    for phase in range(stride):
        offset = (phase - (stride - 1) / 2) / stride
        weight = round(abs(offset) * 128)
        neighbour = after if offset > 0 else before
        stretched[phase::stride] = (lines * (128 - weight) + neighbour * weight + 64) >> 7
    return np.ascontiguousarray(np.moveaxis(stretched[:size_px], 0, axis))


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise FrameSourceError(f"a seed cannot be negative, got {seed}")
