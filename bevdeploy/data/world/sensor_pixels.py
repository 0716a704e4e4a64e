"""From cast pixels to an image: the sensor's noise, and enlarging what was cast at a fraction."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_SIGMA: Final = 2.2
_LARGEST: Final = 8
_TILE_PX: Final = 64


def noisy(pixels: NDArray[np.uint32], seed: tuple[int, ...]) -> Image:
    """The pixels [h, w], 0x00BBGGRR, with a sensor's noise, as an image [h, w, 4]: the fourth byte is 0.

    Each of their colours is at least 8 and at most 247: the noise of all three is added in one sum, without a carry.
    """
    h, w = pixels.shape
    y, x = np.random.default_rng(seed).integers(_TILE_PX, size=2)
    words = pixels + _noise(h + _TILE_PX, w + _TILE_PX)[y : y + h, x : x + w]
    return words.view(np.uint8).reshape(h, w, 4)


@lru_cache(maxsize=4)
def _noise(h: int, w: int) -> NDArray[np.uint32]:
    """Noise of three colours [h, w], modulo 2^32."""
    draws = np.random.default_rng(3).normal(0, _SIGMA, (h, w, 3))
    steps = np.clip(np.round(draws), -_LARGEST, _LARGEST).astype(np.int64)
    return np.asarray((steps @ [1, 1 << 8, 1 << 16]) & 0xFFFFFFFF, np.uint32)


def enlarged(image: Image, stride: int, height_px: int, width_px: int) -> Image:
    """The image [h, w, c] at its camera's size, interpolated linearly between block centres."""
    for axis, size_px in ((0, height_px), (1, width_px)):
        image = _stretched(image, axis, stride, size_px)
    return image  # [height_px, width_px, c]


def _stretched(image: Image, axis: int, stride: int, size_px: int) -> Image:
    if stride == 1:
        return image
    lines = np.moveaxis(image, axis, 0).astype(np.uint16)  # [lines, other, c]
    before = np.concatenate([lines[:1], lines[:-1]])
    after = np.concatenate([lines[1:], lines[-1:]])
    stretched = np.empty((len(lines) * stride, *lines.shape[1:]), np.uint8)
    for phase in range(stride):
        offset = (phase - (stride - 1) / 2) / stride
        weight = round(abs(offset) * 128)
        neighbour = after if offset > 0 else before
        stretched[phase::stride] = (lines * (128 - weight) + neighbour * weight + 64) >> 7
    return np.ascontiguousarray(np.moveaxis(stretched[:size_px], 0, axis))
