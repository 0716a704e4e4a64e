"""Ground and sky of a view: what shows wherever no solid does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.ground import BITS, CELL_M, GroundRaster
from bevdeploy.data.world.scene import Light
from bevdeploy.data.world.sky import SKY_COLUMNS, TONES, haze_colour, sky_panorama
from bevdeploy.data.world.view import TAPS, Float32, Pose, View

CHUNK: Final = 16384
"""Pixels coloured at a time: their intermediate results stay in the processor's cache."""
_LANE: Final = np.uint32((1 << BITS) - 1)


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
    free = np.flatnonzero(~np.take(covered, view.ground))
    sun = light.diffuse * max(light.sun[2], 0.0)
    # Four taps are summed, so that a quarter of the light makes their mean.
    gains = np.array([light.ambient + sun, light.ambient], np.float32) / TAPS
    for level, start, stop in _chunks(free, view.level_stop):
        chosen = free[start:stop]
        total = _summed(chosen, view, pose, ground, level)
        at = np.take(view.ground, chosen)
        clear = clearness(np.take(view.distance_m, chosen), light)
        gain = np.take(gains, np.take(shaded, at).view(np.uint8))
        gain *= clear
        colours = [(total >> np.uint32(BITS * k) & _LANE).astype(np.float32) for k in range(3)]
        for colour in colours:
            colour *= gain
        pixels[at] = packed(colours, clear, light)


def _chunks(free: NDArray[np.intp], level_stop: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Mip level, start and stop of runs of the free pixels, which are in the order of their levels."""
    start = 0
    for level, stop in enumerate(np.searchsorted(free, level_stop)):
        for first in range(start, int(stop), CHUNK):
            yield level, first, min(first + CHUNK, int(stop))
        start = int(stop)


def _summed(chosen: NDArray[np.intp], view: View, pose: Pose, ground: GroundRaster, level: int) -> NDArray[np.uint32]:
    """Sum of the texels under the taps of some of the view's ground pixels, all of one mip level."""
    rows, columns = ground.shapes[level]
    per_m = 1 / (CELL_M * 2**level)
    turn = np.complex64(np.exp(1j * pose.yaw_rad) * per_m)
    shift = np.complex64(complex(pose.x_m, pose.y_m) * per_m)
    texels = ground.texels[ground.offsets[level] : ground.offsets[level] + rows * columns]
    reach = view.reach_m[level] * per_m + 1
    inside = reach < shift.real < columns - 1 - reach and reach < shift.imag < rows - 1 - reach
    total = np.zeros(len(chosen), np.uint32)
    for tap_m in view.taps_m:
        cell = np.take(tap_m, chosen)
        cell *= turn
        cell += shift
        column, row = cell.real, cell.imag
        if not inside:
            column, row = np.clip(column, 0, columns - 1), np.clip(row, 0, rows - 1)
        index = row.astype(np.int32)
        index *= columns
        index += column.astype(np.int32)
        total += np.take(texels, index)
    return total


def clearness(distance_m: Float32, light: Light) -> Float32:
    """Share of a colour that haze leaves at a distance, in the distance's own memory."""
    distance_m *= np.float32(-1 / light.haze_m)
    return np.asarray(np.exp(distance_m, out=distance_m))


def packed(colours: Sequence[Float32], clear: Float32, light: Light) -> NDArray[np.uint32]:
    """Red, green and blue, 0..255 before tint and haze, as 0x00BBGGRR; `clear` is the share that haze leaves.

    The colours' memory is written over.
    """
    veil = 1 - clear
    word = np.zeros(clear.shape, np.uint32)
    for channel, (value, haze) in enumerate(zip(colours, haze_colour(light), strict=True)):
        value *= np.float32(light.tint[channel])
        value += veil * np.float32(haze * 255)
        np.maximum(value, TONES[0], out=value)
        np.minimum(value, TONES[1], out=value)
        tone = value.astype(np.uint32)
        tone <<= np.uint32(8 * channel)
        word |= tone
    return word
