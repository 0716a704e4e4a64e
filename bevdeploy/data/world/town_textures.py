"""What houses, roofs, crowns and walls show."""

from __future__ import annotations

import numpy as np

from bevdeploy.data.world.brushes import HEIGHT, PANE, Canvas, fill, grain


def tiles(canvas: Canvas) -> None:
    """Rows of roof tiles."""
    grain(canvas, 10, 0.1, 2)
    for k in range(0, HEIGHT, 4):
        canvas[k] = [0.03, 0.03, 0.03, 0.25]


def leaves(canvas: Canvas) -> None:
    """Light and dark leaves."""
    grain(canvas, 3, 0.3, 8)
    grain(canvas, 4, 0.3, 4)
    grain(canvas, 5, 0.25, 2)


def _window(canvas: Canvas, column: int, floor: int, rng: np.random.Generator) -> None:
    """One cell of 4 x 4 of a facade."""
    x, y = column / 4, floor / 4
    kind, frame = rng.random(), (0.9, 0.89, 0.86)
    fill(canvas, (x + 0.047, x + 0.203), (y + 0.047, y + 0.204), frame)
    sky = 0.10 + 0.22 * rng.random() ** 2
    pane = (sky * 0.9, sky * 1.05, sky * 1.25)
    for left, right in ((0.0555, 0.121), (0.1295, 0.195)):
        fill(canvas, (x + left, x + right), (y + 0.0625, y + 0.19), pane)
    if kind < 0.35:
        fill(canvas, (x + 0.0555, x + 0.195), (y + 0.19 - 0.1 * rng.random(), y + 0.19), (0.75, 0.72, 0.65))
    fill(canvas, (x + 0.039, x + 0.211), (y + 0.03, y + 0.047), (0.6, 0.59, 0.56))


def facade(canvas: Canvas) -> None:
    """Plaster with four by four windows."""
    rng = np.random.default_rng(11)
    grain(canvas, 6, 0.05)
    for floor in range(4):
        fill(canvas, (0, 1), (floor / 4, floor / 4 + 0.016), (0.2, 0.19, 0.18), 0.35)
        for column in range(4):
            _window(canvas, column, floor, rng)


def brick(canvas: Canvas) -> None:
    """Bricks with four by four windows."""
    for row in range(0, HEIGHT, 2):
        canvas[row, (row // 2 % 2) * 2 :: 4] = [0.06, 0.05, 0.05, 0.12]
    facade(canvas)


def office(canvas: Canvas) -> None:
    """Bands of glass."""
    rng = np.random.default_rng(12)
    for floor in range(4):
        fill(canvas, (0, 1), (floor / 4 + 0.08, floor / 4 + 0.235), PANE)
        for column in range(8):
            sky = 0.14 + 0.2 * rng.random()
            fill(
                canvas,
                (column / 8 + 0.008, column / 8 + 0.12),
                (floor / 4 + 0.095, floor / 4 + 0.22),
                (sky * 0.8, sky, sky * 1.2),
            )


def shopfront(canvas: Canvas) -> None:
    """Shop windows under awnings, and a door."""
    rng = np.random.default_rng(13)
    grain(canvas, 7, 0.05)
    for column in range(4):
        x = column / 4
        if column == 2:
            fill(canvas, (x + 0.08, x + 0.17), (0.0, 0.72), (0.22, 0.13, 0.09))
            fill(canvas, (x + 0.09, x + 0.16), (0.4, 0.68), PANE)
            continue
        sky = 0.12 + 0.12 * rng.random()
        fill(canvas, (x + 0.02, x + 0.23), (0.16, 0.7), (0.25, 0.24, 0.23))
        fill(canvas, (x + 0.03, x + 0.22), (0.2, 0.66), (sky, sky * 1.1, sky * 1.2))
        goods = ((0.6, 0.3, 0.2), (0.3, 0.45, 0.5), (0.7, 0.6, 0.3), (0.5, 0.5, 0.5))[rng.integers(4)]
        fill(canvas, (x + 0.05, x + 0.2), (0.2, 0.36), goods, 0.6)
        awning = ((0.55, 0.1, 0.1), (0.1, 0.3, 0.2), (0.15, 0.2, 0.4), (0.8, 0.75, 0.6))[rng.integers(4)]
        fill(canvas, (x + 0.01, x + 0.24), (0.74, 0.9), awning)
    fill(canvas, (0, 1), (0.94, 1.0), (0.2, 0.19, 0.18), 0.4)


def rough(canvas: Canvas) -> None:
    """Light and dark patches of bark, hedges and bare walls."""
    grain(canvas, 8, 0.16, 2)
    grain(canvas, 9, 0.12, 8)
