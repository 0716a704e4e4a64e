"""Frame sets of a made-up street, seen through the real geometry of any rig: for parity, demos and tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.frame_set import FrameSet
from bevdeploy.data.raycast import CameraRays, image_of_street
from bevdeploy.data.street import STEP_S, Street, street_at
from bevdeploy.data.true_boxes import TrueBoxes
from bevdeploy.data.world.sensor_pixels import enlarged
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
        frames = tuple(_image(view, street) for view in rays)
        yield FrameSet(f"synthetic-{seed}-{index:04d}", round(index * STEP_S * 1e6), frames, rig)


def _image(view: CameraRays, street: Street) -> NDArray[np.uint8]:
    """[Hraw, Wraw, 3], at the camera's own size."""
    return enlarged(image_of_street(view, street), view.stride, view.camera.height_px, view.camera.width_px)


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise FrameSourceError(f"a seed cannot be negative, got {seed}")
