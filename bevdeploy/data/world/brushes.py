"""What textures are drawn with: rectangles, discs and specks on a small canvas."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.scene import Colour

WIDTH_BITS: Final = 7
WIDTH: Final = 1 << WIDTH_BITS
HEIGHT: Final = 64
"""Texels of every texture, powers of two; row 0 is the bottom of a face."""

Canvas = NDArray[np.float32]
"""[HEIGHT, WIDTH, 4]: premultiplied colour and cover."""

INK: Colour = (0.04, 0.04, 0.045)
PANE: Colour = (0.09, 0.12, 0.15)
SKY_PANE: Colour = (0.26, 0.33, 0.4)
RED: Colour = (0.78, 0.05, 0.05)
LAMP: Colour = (1.0, 0.97, 0.86)


def fill(canvas: Canvas, x: tuple[float, float], y: tuple[float, float], colour: Colour, cover: float = 1.0) -> None:
    """Paint a rectangle; x from left to right and y from bottom to top, both 0..1."""
    rows = slice(round(y[0] * HEIGHT), max(round(y[1] * HEIGHT), round(y[0] * HEIGHT) + 1))
    columns = slice(round(x[0] * WIDTH), max(round(x[1] * WIDTH), round(x[0] * WIDTH) + 1))
    part = canvas[rows, columns]
    part *= 1 - cover
    part += np.array([*colour, 1.0], np.float32) * cover


def disc(canvas: Canvas, centre: tuple[float, float], radius: tuple[float, float], colour: Colour) -> None:
    """Paint an ellipse; centre and radii 0..1 of the canvas."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    away = np.hypot(((x + 0.5) / WIDTH - centre[0]) / radius[0], ((y + 0.5) / HEIGHT - centre[1]) / radius[1])
    canvas[away < 1] = [*colour, 1.0]


def grain(canvas: Canvas, seed: int, depth: float, cell: int = 1) -> None:
    """Light and dark specks of `cell` texels."""
    noise = np.random.default_rng(seed).random((HEIGHT // cell, WIDTH // cell))
    noise = np.kron(noise, np.ones((cell, cell))) - 0.5  # [HEIGHT, WIDTH]
    cover = np.abs(noise)[..., None] * 2 * depth
    canvas *= 1 - cover
    canvas += np.concatenate([np.where(noise > 0, 1.0, 0.0)[..., None] * cover] * 3 + [cover], -1)
