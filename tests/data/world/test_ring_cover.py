"""Cover of cells by rings, against their areas and against points."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.world.ring_cover import RingEdges, strokes

from .small_scene import rectangle


def star(rng: np.random.Generator, corners: int) -> np.ndarray:
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(3, 9, corners)
    return np.stack([12 + radius * np.cos(angle), 11 + radius * np.sin(angle)], 1)


def area(ring: np.ndarray) -> float:
    x, y = ring.T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def holds(ring: np.ndarray, x: float, y: float) -> bool:
    inside = False
    for (xa, ya), (xb, yb) in zip(ring, np.roll(ring, -1, 0), strict=True):
        if (ya > y) != (yb > y) and x < xa + (y - ya) / (yb - ya) * (xb - xa):
            inside = not inside
    return inside


@pytest.mark.parametrize("turned", [1, -1])
def test_cover_of_stars(turned: int, rng: np.random.Generator) -> None:
    for _ in range(5):
        ring = star(rng, 9)[::turned]
        cover = RingEdges.of([ring], 0.25).cover(0, 96, 100)
        assert cover.shape == (96, 100)
        assert cover.sum() * 0.25**2 == pytest.approx(area(ring), rel=0.01)
        for row, column in rng.integers(0, 96, (200, 2)):
            points = [(column + i, row + j) for i in (0.02, 0.5, 0.98) for j in (0.02, 0.5, 0.98)]
            inside = {holds(ring, x * 0.25, y * 0.25) for x, y in points}
            if len(inside) == 1:
                # A corner may cut a sliver off between the nine points.
                assert abs(cover[row, column] - inside.pop()) < 0.4


def test_bands_are_parts_of_the_whole(rng: np.random.Generator) -> None:
    edges = RingEdges.of([star(rng, 11), star(rng, 5)], 0.25)
    whole = edges.cover(0, 96, 100)
    np.testing.assert_allclose(np.concatenate([edges.cover(row, 32, 100) for row in (0, 32, 64)]), whole, atol=1e-5)


def test_what_leaves_the_raster_is_cut_off() -> None:
    cover = RingEdges.of([rectangle(-5, -5, 2, 50)], 0.5).cover(0, 8, 10)
    np.testing.assert_array_equal(cover, np.tile([1.0] * 4 + [0.0] * 6, (8, 1)))


def test_exact_shares_of_cells() -> None:
    cover = RingEdges.of([rectangle(1.25, 1, 2.5, 2.5), rectangle(2, 1, 2.5, 2)], 1.0).cover(0, 4, 4)
    np.testing.assert_allclose(cover, [[0, 0, 0, 0], [0, 0.75, 1, 0], [0, 0.375, 0.25, 0], [0, 0, 0, 0]])


def test_strokes_have_their_length_and_width() -> None:
    line = np.array([[0, 0], [0, 0], [10, 0], [10, 20.0]])
    assert sum(area(quad) for quad in strokes(line, 0.2)) == pytest.approx(30 * 0.2)
    dashes = strokes(line, 0.2, 3.0, 3.0)
    assert sum(area(quad) for quad in dashes) == pytest.approx(15 * 0.2)
    assert strokes(line[:2], 0.2) == []
