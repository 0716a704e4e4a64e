"""The texture atlas: every paint has four textures, each level the mean of the finer one."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.world.brushes import HEIGHT, WIDTH
from bevdeploy.data.world.paint import LEVEL_OFFSET, LEVELS, PAINTS, TEXELS, paint_number, texture_atlas
from bevdeploy.errors import GeometryError


def level(texture: int, number: int) -> np.ndarray:
    start = texture * TEXELS + LEVEL_OFFSET[number]
    texels = texture_atlas()[start : start + (WIDTH >> number) * (HEIGHT >> number)]
    return texels.view(np.uint8).reshape(HEIGHT >> number, WIDTH >> number, 4).astype(np.float64)


def test_levels_are_means_of_the_finest() -> None:
    assert texture_atlas().shape == (len(PAINTS) * 4 * TEXELS,)
    for texture in range(len(PAINTS) * 4):
        finest = level(texture, 0)
        for number in range(1, LEVELS):
            side = 1 << number
            means = finest.reshape(HEIGHT >> number, side, WIDTH >> number, side, 4).mean((1, 3))
            assert np.abs(level(texture, number) - means).max() <= 1.0


def test_colours_are_premultiplied() -> None:
    texels = texture_atlas().view(np.uint8).reshape(-1, 4).astype(int)
    assert (texels[:, :3].max(1) <= texels[:, 3] + 1).all()


def test_plain_shows_its_own_colour_and_a_car_does_not() -> None:
    assert not level(paint_number("plain") * 4, 0).any()
    front = level(paint_number("car") * 4, 0)
    assert 0.2 < (front[..., 3] > 0).mean() < 0.9


def test_an_unknown_paint_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"no paint 'gold'; there are plain, "):
        paint_number("gold")
