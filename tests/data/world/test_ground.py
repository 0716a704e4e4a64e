"""The painted ground, cell by cell against the town's polygons."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.world.ground import BITS, CELL_M, LEVELS, GroundRaster, ground_of, zebra

from .small_scene import rectangle, small_town


@pytest.fixture(scope="module")
def ground() -> GroundRaster:
    return ground_of(small_town())


def kind(x: float, y: float) -> str:
    """What lies at a point of the small town; empty within 0.35 m of any edge."""
    edges_y, inner = (23, 26, 34, 37), 0.35
    near_mark = abs(y - 30) < 0.5 or 45.5 < x < 52.5
    in_park = 10 - inner < x < 30 + inner and 40 - inner < y < 55 + inner
    if in_park:
        clear = 10 + inner < x < 30 - inner and 40 + inner < y < 55 - inner and not 16 < x < 24
        return "carpark" if clear else ""
    if any(abs(y - edge) < inner for edge in edges_y):
        return ""
    if 26 < y < 34:
        return "" if near_mark else "asphalt"
    return "walkway" if 23 < y < 37 else "grass"


def test_colours_of_the_polygons(ground: GroundRaster, rng: np.random.Generator) -> None:
    points = rng.uniform([0, 0], [80, 60], (4000, 2))
    colours = ground.colours_at(points).astype(int)
    kinds = np.array([kind(x, y) for x, y in points])
    red, green, blue = colours.T
    greyish = (np.abs(red - green) < 16) & (np.abs(red - blue) < 24)
    assert {"asphalt", "walkway", "grass", "carpark"} <= set(kinds)
    assert (greyish & (red < 115) & (red > 45))[kinds == "asphalt"].all()
    assert (greyish & (red < 135) & (red > 55))[kinds == "carpark"].all()
    assert (greyish & (red > 100) & (red < 170))[kinds == "walkway"].all()
    assert (green > red + 5)[kinds == "grass"].all()


def test_marks_are_white_and_gaps_are_not(ground: GroundRaster) -> None:
    def red(x: float, y: float) -> int:
        return int(ground.colours_at(np.array([[x, y]]))[0, 0])

    assert red(20.05, 30.0) > 170
    assert red(46.2, 28) > 170
    assert red(55.05, 30.0) > 170
    assert red(58.5, 30.0) < 120
    assert red(20.05, 30.5) < 120
    # Eight stripes of 0.5 m over the street of 8 m, from 26.25 m on.
    for k in range(8):
        assert red(50, 26.5 + k) > 170
        assert red(50, 27.0 + k) < 120 or k == 7
    assert red(20, 25.9) > 150


@pytest.mark.parametrize("turn", range(4))
def test_stripes_run_along_the_street(turn: int) -> None:
    for ring in (rectangle(48, 26, 52, 34), rectangle(48, 26, 52, 34)[::-1]):
        quads = zebra(np.roll(ring, turn, 0))
        assert len(quads) == 8
        for quad in quads:
            assert np.ptp(quad[:, 0]) == pytest.approx(4)
            assert np.ptp(quad[:, 1]) == pytest.approx(0.5)


def test_levels_are_means(ground: GroundRaster, rng: np.random.Generator) -> None:
    def level(number: int) -> np.ndarray:
        rows, columns = ground.shapes[number]
        start = ground.offsets[number]
        texels = ground.texels[start : start + rows * columns]
        return np.stack([texels.reshape(rows, columns) >> BITS * k & 0xFF for k in range(3)], 2).astype(np.float64)

    finest = level(0)
    assert finest.shape[0] >= 60 / CELL_M
    for number in range(1, LEVELS):
        side = 1 << number
        rows, columns = ground.shapes[number]
        means = finest.reshape(rows, side, columns, side, 3).mean((1, 3))
        # Each level rounds once more.
        assert np.abs(level(number) - means).max() <= number * 0.5 + 0.01


def test_beyond_the_edge_is_the_edge(ground: GroundRaster) -> None:
    inside = ground.colours_at(np.array([[79.0, 0.05], [0.05, 10.0]]))
    outside = ground.colours_at(np.array([[79.0, -50.0], [-3.0, 10.0]]))
    np.testing.assert_array_equal(inside, outside)
