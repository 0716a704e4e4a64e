"""Raw camera frames to normalised network images, in NumPy: the resize of training, on the host of a deployment.

Source coordinates are computed as PyTorch does: the scale is rounded to float32, then `scale * (i + 0.5) - 0.5` is
rounded once. With float64 the coordinates of a wide image would differ from training's by 1e-4 px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry.image_transform import ImageTransform
from bevdeploy.runtime.contract import Preprocessing

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LinearTaps:
    """The two source pixels of every network pixel along one axis, and the share of the upper one."""

    lower: NDArray[np.intp]
    """[net]"""
    upper: NDArray[np.intp]
    """[net]"""
    share: Float32
    """[net], 0..1: `(1 - share) * lower + share * upper`."""


def images_from_frames(
    frames: Sequence[NDArray[np.uint8]], net_hw: tuple[int, int], preprocessing: Preprocessing
) -> Float32:
    """Resize, crop and normalise; each camera by the image transform that fits its own raw size.

    Args:
        frames: RGB images [Hraw, Wraw, 3], one per camera in network order.
        net_hw: network image height and width, px.
        preprocessing: mean, standard deviation and kind of resize.

    Returns:
        [1, N, 3, H, W].

    Raises:
        GeometryError: an image has no pixels.
    """
    mean = np.array(preprocessing.mean, np.float32)
    std = np.array(preprocessing.std, np.float32)
    resized = _antialias_resized if preprocessing.resize == "antialias" else _linear_resized
    images = np.empty((1, len(frames), 3, *net_hw), np.float32)
    for n, frame in enumerate(frames):
        height, width = frame.shape[:2]
        image = resized(frame, (height, width), net_hw)  # [W, 3, H]
        image -= mean[:, None]
        image /= std[:, None]
        images[0, n] = image.transpose(1, 2, 0)  # [3, H, W]
    return images


def linear_taps(raw: int, resized: int, crop: int, net: int) -> LinearTaps:
    """Taps of a linear resize without antialias, half-pixel centres, edges clamped.

    Args:
        raw: pixels of the raw image along the axis.
        resized: pixels after the resize.
        crop: first resized pixel that is kept.
        net: pixels that are kept.
    """
    scale = np.float32(raw) / np.float32(resized)
    centres = np.arange(crop, crop + net) + 0.5
    source = np.maximum((float(scale) * centres - 0.5).astype(np.float32), np.float32(0))  # rounded once
    lower = np.minimum(source.astype(np.intp), raw - 1)
    share: Float32 = np.clip(source - lower.astype(np.float32), 0, 1).astype(np.float32)
    return LinearTaps(lower, np.minimum(lower + 1, raw - 1), share)


def resample_weights(raw: int, resized: int, crop: int, net: int, antialias: bool) -> Float32:
    """The resize and crop of one axis as a constant matrix, for a graph of matrix products.

    Args:
        raw: pixels of the raw image along the axis.
        resized: pixels after the resize.
        crop: first resized pixel that is kept.
        net: pixels that are kept.
        antialias: triangle filter of the width of the reduction, as PyTorch's antialiased bilinear resize.

    Returns:
        [net, raw]; a network image is `weights_y @ frame @ weights_x.T`. Each row adds up to 1.
    """
    if antialias:
        return _triangle_weights(raw, resized, crop, net)
    taps = linear_taps(raw, resized, crop, net)
    weights, rows = np.zeros((net, raw), np.float32), np.arange(net)
    weights[rows, taps.lower] += 1 - taps.share
    weights[rows, taps.upper] += taps.share  # upper equals lower at the edge
    return weights


def _triangle_weights(raw: int, resized: int, crop: int, net: int) -> Float32:
    half = np.float32(0.5)
    scale = np.float32(raw) / np.float32(resized)
    support = np.maximum(scale, np.float32(1))
    centres = scale * (np.arange(crop, crop + net).astype(np.float32) + half)  # [net]
    first = np.maximum((centres - support + half).astype(np.intp), 0)
    last = np.minimum((centres + support + half).astype(np.intp), raw)
    pixels = np.arange(raw)
    distance = np.abs(pixels.astype(np.float32) - centres[:, None] + half) / support  # [net, raw]
    inside = (pixels >= first[:, None]) & (pixels < last[:, None]) & (distance < 1)
    weights = np.where(inside, 1 - distance, np.float32(0))
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def _linear_resized(frame: NDArray[np.uint8], raw_hw: tuple[int, int], net_hw: tuple[int, int]) -> Float32:
    """[Hraw, Wraw, 3] to [W, 3, H]: columns last to first, so that every gather copies long runs."""
    along_y, along_x = _taps_of_fit(raw_hw, net_hw)
    rows = frame.reshape(raw_hw[0], -1)  # [Hraw, Wraw*3]
    tall = _blend(rows[along_y.lower], rows[along_y.upper], along_y.share[:, None])  # [H, Wraw*3]
    columns = np.ascontiguousarray(tall.T).reshape(raw_hw[1], 3, net_hw[0])  # [Wraw, 3, H]
    return _blend(columns[along_x.lower], columns[along_x.upper], along_x.share[:, None, None])  # [W, 3, H]


def _blend(lower: NDArray[Any], upper: NDArray[Any], share: Float32) -> Float32:
    """`lower + share * (upper - lower)` in float32."""
    base, difference = lower.astype(np.float32, copy=False), upper.astype(np.float32, copy=False)
    difference -= base
    difference *= share
    base += difference
    return base


def _antialias_resized(frame: NDArray[np.uint8], raw_hw: tuple[int, int], net_hw: tuple[int, int]) -> Float32:
    """[Hraw, Wraw, 3] to [W, 3, H]."""
    along_y, along_x = _weights_of_fit(raw_hw, net_hw)
    tall = along_y @ frame.reshape(raw_hw[0], -1).astype(np.float32)  # [H, Wraw*3]
    columns = np.ascontiguousarray(tall.T).reshape(raw_hw[1], -1)  # [Wraw, 3*H]
    return np.asarray(along_x @ columns, np.float32).reshape(net_hw[1], 3, net_hw[0])  # [W, 3, H]


@lru_cache(maxsize=16)
def _taps_of_fit(raw_hw: tuple[int, int], net_hw: tuple[int, int]) -> tuple[LinearTaps, LinearTaps]:
    fit = ImageTransform.fit(raw_hw, net_hw)
    along_y, along_x = (linear_taps(raw_hw[a], fit.resized_hw[a], fit.crop_yx[a], net_hw[a]) for a in (0, 1))
    return along_y, along_x


@lru_cache(maxsize=16)
def _weights_of_fit(raw_hw: tuple[int, int], net_hw: tuple[int, int]) -> tuple[Float32, Float32]:
    fit = ImageTransform.fit(raw_hw, net_hw)
    along_y, along_x = (
        resample_weights(raw_hw[a], fit.resized_hw[a], fit.crop_yx[a], net_hw[a], antialias=True) for a in (0, 1)
    )
    return along_y, along_x
