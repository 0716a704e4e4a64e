"""Ground and sky of a view: what shows wherever no solid does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.ground import CELL_M, GroundRaster
from bevdeploy.data.world.scene import Light
from bevdeploy.data.world.sky import SKY_COLUMNS, TONES, haze_colour, sky_panorama
from bevdeploy.data.world.view import TAPS, Float32, Pose, View

CHUNK: Final = 8192
"""Pixels coloured at a time: their intermediate results stay in the processor's cache."""


def paint_sky(pixels: NDArray[np.uint32], covered: NDArray[np.bool_], view: View, pose: Pose, light: Light) -> None:
    """Colour the view's sky pixels that nothing covers, 0x00BBGGRR, in place."""
    free = np.flatnonzero(~covered[view.sky])
    turn = round(pose.yaw_rad / (2 * np.pi) * SKY_COLUMNS)
    column = (view.sky_column[free] + turn) & (SKY_COLUMNS - 1)
    pixels[view.sky[free]] = np.take(sky_panorama(light), view.sky_row[free] + column)


def paint_ground(
    pixels: NDArray[np.uint32],
    covered: NDArray[np.bool_],
    shaded: NDArray[np.bool_],
    view: View,
    pose: Pose,
    ground: GroundRaster,
    light: Light,
) -> None:
    """Colour the view's ground pixels that nothing covers, 0x00BBGGRR, in place; the sun misses the shaded ones."""
    free = np.flatnonzero(~covered[view.ground])
    sun = light.diffuse * max(light.sun[2], 0.0)
    # Four taps are summed, so that a quarter of the light makes their mean.
    gains = np.array([light.ambient + sun, light.ambient], np.float32) / TAPS
    for level, start, stop in _chunks(free, view.level_stop):
        chosen = free[start:stop]
        texels = _sampled(view.taps_m[chosen], pose, ground, level)  # [k, TAPS]
        # Two colours per word: the sum of the taps takes no more than 10 of 16 bits.
        red_blue = _summed(texels & np.uint32(0x00FF00FF)).view(np.uint16)
        green = _summed((texels >> np.uint32(8)) & np.uint32(0xFF)).view(np.uint16)
        red, green, blue = red_blue[0::2], green[0::2], red_blue[1::2]
        at = view.ground[chosen]
        clear = np.exp(view.distance_m[chosen] * np.float32(-1 / light.haze_m))
        gain = clear * gains[shaded[at].view(np.uint8)]
        pixels[at] = packed((red * gain, green * gain, blue * gain), clear, light)


def _chunks(free: NDArray[np.intp], level_stop: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Mip level, start and stop of runs of the free pixels, which are in the order of their levels."""
    start = 0
    for level, stop in enumerate(np.searchsorted(free, level_stop)):
        for first in range(start, int(stop), CHUNK):
            yield level, first, min(first + CHUNK, int(stop))
        start = int(stop)


def _sampled(taps_m: NDArray[np.complex64], pose: Pose, ground: GroundRaster, level: int) -> NDArray[np.uint32]:
    """Texels under points of the ego frame, x + iy."""
    rows, columns = ground.shapes[level]
    per_m = 1 / (CELL_M * 2**level)
    cell = taps_m * np.complex64(np.exp(1j * pose.yaw_rad) * per_m)
    cell += np.complex64(complex(pose.x_m, pose.y_m) * per_m)
    column, row = np.clip(cell.real, 0, columns - 1), np.clip(cell.imag, 0, rows - 1)
    index = row.astype(np.int32)
    index *= columns
    index += column.astype(np.int32)
    begin = ground.offsets[level]
    return np.take(ground.texels[begin : begin + rows * columns], index)


def _summed(texels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Sum over the taps [k, TAPS]."""
    pairs = texels[:, :2] + texels[:, 2:]
    return np.asarray(pairs[:, 0] + pairs[:, 1])


def packed(colour: tuple[Float32, Float32, Float32], clear: Float32, light: Light) -> NDArray[np.uint32]:
    """Red, green and blue, 0..255 before tint and haze, as 0x00BBGGRR; `clear` is the share that haze leaves."""
    veil = 1 - clear
    word = np.zeros(clear.shape, np.uint32)
    for channel, haze in enumerate(haze_colour(light)):
        value = colour[channel] * np.float32(light.tint[channel])
        value += veil * np.float32(haze * 255)
        np.maximum(value, TONES[0], out=value)
        np.minimum(value, TONES[1], out=value)
        word |= value.astype(np.uint32) << np.uint32(8 * channel)
    return word
