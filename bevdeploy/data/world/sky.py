"""The sky: a panorama of gradient, clouds and a skyline of far houses, around the horizon of a town."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.scene import Colour, Float64, Light

TONES: Final = (8, 247)
"""Darkest and brightest value of a pixel before the sensor's noise, of which `sensor_pixels` adds at most 8."""
SKY_COLUMNS: Final = 4096
"""Of the panorama, counter-clockwise from east; a power of two."""
_ROWS: Final = 256
_HAZE: Final = np.array([0.78, 0.82, 0.86])
_ZENITH: Final = np.array([0.30, 0.50, 0.80])


@lru_cache(maxsize=4)
def haze_colour(light: Light) -> Colour:
    """What everything fades to: the sky at the horizon, 0..1."""
    bright = min(1.0, 0.55 + 0.42 * (light.ambient + light.diffuse * max(light.sun[2], 0.0)))
    red, green, blue = np.clip(_HAZE * light.tint * bright * 1.08, 0, 1)
    return float(red), float(green), float(blue)


def sky_row(up: Float64) -> Float64:
    """Row of the panorama, whole, for rays that rise by `up` (sine of the elevation); fine at the horizon."""
    return np.asarray(np.floor(np.sqrt(np.clip(up, 0, 1)) * (_ROWS - 1)))


@lru_cache(maxsize=4)
def sky_panorama(light: Light) -> NDArray[np.uint32]:
    """Pixels [256 * SKY_COLUMNS] as 0x00BBGGRR, from the horizon up."""
    up = (np.arange(_ROWS) / (_ROWS - 1)) ** 2  # sine of the elevation
    horizon = np.array(haze_colour(light))
    clear = np.clip(0.25 + light.diffuse, 0, 1)
    zenith = (_ZENITH * clear + _HAZE * 0.72 * (1 - clear)) * light.tint * (horizon.mean() / _HAZE.mean())
    rise = (np.clip(up, 0, 1) ** 0.55)[:, None, None]
    sky = np.tile(horizon + (zenith - horizon) * rise, (1, SKY_COLUMNS, 1))  # [rows, columns, 3]
    sky += (np.clip(horizon * 1.15, 0, 1) - sky) * (_clouds(light) * np.minimum(up * 12, 1)[:, None])[..., None]
    _add_skyline(sky, up, horizon)
    pixels = np.zeros((_ROWS, SKY_COLUMNS, 4), np.uint8)
    pixels[..., :3] = np.clip(sky * 255, *TONES)
    return pixels.view(np.uint32).ravel()  # [rows * columns]


def _clouds(light: Light) -> Float64:
    """Cover [rows, columns]: noise of several scales; the duller the light, the more."""
    rng = np.random.default_rng(zlib.crc32(np.array([*light.sun, light.haze_m]).tobytes()))
    cover = np.zeros((_ROWS, SKY_COLUMNS))
    for cells in (8, 16, 32, 64, 128):
        grid = rng.random((_ROWS * cells // SKY_COLUMNS * 6 + 2, cells))
        grid = np.concatenate([grid, grid[:, :1]], 1)  # around the horizon without a seam
        rows = np.linspace(0, len(grid) - 1.001, _ROWS)
        columns = np.arange(SKY_COLUMNS) * (cells / SKY_COLUMNS)
        cover += _smooth(grid, rows, columns) * (8 / cells) ** 0.8
    cover = (cover - cover.mean()) / cover.std()
    return np.asarray(np.clip(0.45 * cover + 0.7 - light.diffuse, 0, 0.85))


def _smooth(grid: Float64, rows: Float64, columns: Float64) -> Float64:
    """Bilinear samples [len(rows), len(columns)]."""
    r, c = rows.astype(np.intp), columns.astype(np.intp)
    y, x = (rows - r)[:, None], (columns - c)[None]
    upper = grid[r][:, c] * (1 - x) + grid[r][:, c + 1] * x
    lower = grid[r + 1][:, c] * (1 - x) + grid[r + 1][:, c + 1] * x
    return np.asarray(upper * (1 - y) + lower * y)


def _add_skyline(sky: Float64, up: Float64, horizon: Float64) -> None:
    rng = np.random.default_rng(5)
    for depth, (tallest, shade) in enumerate(((0.075, 0.9), (0.05, 0.8))):
        widths = rng.integers(14, 60, SKY_COLUMNS // 14)
        house = np.repeat(np.arange(len(widths)), widths)[:SKY_COLUMNS]
        top = 0.012 + tallest * rng.random(len(widths)) ** 2
        tone = shade + 0.07 * rng.random(len(widths))
        colour = horizon * tone[:, None] * np.array([0.95, 0.97, 1.0])  # [houses, 3]
        built = up[:, None] < top[house][None]
        sky[built] = np.broadcast_to(colour[house], sky.shape)[built]
        if depth == 1:
            trees = up[:, None] < 0.012 + 0.008 * np.repeat(rng.random(SKY_COLUMNS // 8), 8)[None]
            sky[trees] = horizon * np.array([0.72, 0.8, 0.7])
