"""Raw camera frame to network image, not normalised: the resize and crop of training and of deployment, in NumPy.

Source coordinates are computed as PyTorch does: the scale is rounded to float32, then `scale * (i + 0.5) - 0.5` is
rounded once. With float64 the coordinates of a wide image would differ by 1e-4 px.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry.image_transform import ImageTransform

Float32 = NDArray[np.float32]

_ROWS = 16
"""Network rows at a time: 16 rows of 1600 px in float32 stay in a core's cache, the whole image does not."""


@dataclass(frozen=True, eq=False)
class LinearTaps:
    """The two source pixels of every network pixel along one axis, and the share of the upper one."""

    lower: NDArray[np.intp]
    """[net]"""
    upper: NDArray[np.intp]
    """[net]"""
    share: Float32
    """[net], 0..1: `(1 - share) * lower + share * upper`."""


def rows_of_fit(raw_hw: tuple[int, int], net_hw: tuple[int, int], antialias: bool = False) -> tuple[int, int]:
    """First and one past the last raw row that the network image depends on."""
    if antialias:
        used = np.flatnonzero(weights_of_fit(raw_hw, net_hw)[0].any(0))
        return int(used[0]), int(used[-1]) + 1
    along_y, _ = taps_of_fit(raw_hw, net_hw)
    return int(along_y.lower[0]), int(along_y.upper[-1]) + 1


def network_image(
    rows: NDArray[np.uint8], raw_hw: tuple[int, int], net_hw: tuple[int, int], antialias: bool = False
) -> Float32:
    """[H, W, 3] from the rows of a frame that `rows_of_fit` names, [rows, Wraw, 3]; values 0..255, not rounded.

    Raises:
        GeometryError: a size is not positive.
    """
    first, _ = rows_of_fit(raw_hw, net_hw, antialias)
    flat = rows.reshape(len(rows), -1)  # [rows, Wraw*3]
    if antialias:
        weights_y, weights_x = weights_of_fit(raw_hw, net_hw)
        tall = weights_y[:, first : first + len(rows)] @ flat.astype(np.float32)  # [H, Wraw*3]
        return np.asarray(weights_x @ tall.reshape(net_hw[0], raw_hw[1], 3), np.float32)  # [H, W, 3]
    along_y, along_x = taps_of_fit(raw_hw, net_hw)
    lower, upper = along_y.lower - first, along_y.upper - first
    image = np.empty((*net_hw, 3), np.float32)
    for start in range(0, net_hw[0], _ROWS):
        some = slice(start, start + _ROWS)
        tall = blend(flat[lower[some]], flat[upper[some]], along_y.share[some, None])  # [_ROWS, Wraw*3]
        wide = tall.reshape(-1, raw_hw[1], 3)
        left, right = np.take(wide, along_x.lower, 1), np.take(wide, along_x.upper, 1)  # [_ROWS, W, 3]
        image[some] = blend(left, right, along_x.share[:, None])
    return image


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


def triangle_weights(raw: int, resized: int, crop: int, net: int) -> Float32:
    """[net, raw] weights of a linear resize with antialias, as PyTorch's; each row adds up to 1."""
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


def blend(lower: NDArray[Any], upper: NDArray[Any], share: Float32) -> Float32:
    """`lower + share * (upper - lower)` in float32; float32 inputs are overwritten."""
    base, difference = lower.astype(np.float32, copy=False), upper.astype(np.float32, copy=False)
    difference -= base
    difference *= share
    base += difference
    return base


@lru_cache(maxsize=16)
def taps_of_fit(raw_hw: tuple[int, int], net_hw: tuple[int, int]) -> tuple[LinearTaps, LinearTaps]:
    """Taps along y and x of the image transform that fits.

    Raises:
        GeometryError: a size is not positive.
    """
    fit = ImageTransform.fit(raw_hw, net_hw)
    along_y, along_x = (linear_taps(raw_hw[a], fit.resized_hw[a], fit.crop_yx[a], net_hw[a]) for a in (0, 1))
    return along_y, along_x


@lru_cache(maxsize=16)
def weights_of_fit(raw_hw: tuple[int, int], net_hw: tuple[int, int]) -> tuple[Float32, Float32]:
    """Antialiased weights [H, Hraw] and [W, Wraw] of the image transform that fits.

    Raises:
        GeometryError: a size is not positive.
    """
    fit = ImageTransform.fit(raw_hw, net_hw)
    along_y, along_x = (triangle_weights(raw_hw[a], fit.resized_hw[a], fit.crop_yx[a], net_hw[a]) for a in (0, 1))
    return along_y, along_x
