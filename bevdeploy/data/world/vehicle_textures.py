"""What the bodies of annotated objects show, face by face."""

from __future__ import annotations

from typing import Final

import numpy as np

from bevdeploy.data.world.brushes import HEIGHT, INK, LAMP, PANE, RED, SKY_PANE, WIDTH, Canvas, disc, fill


def car_front(canvas: Canvas) -> None:
    """Head lamps, grille and plate."""
    fill(canvas, (0.0, 1.0), (0.0, 0.14), INK)
    fill(canvas, (0.28, 0.72), (0.36, 0.72), INK)
    fill(canvas, (0.38, 0.62), (0.16, 0.34), (0.92, 0.92, 0.9))
    for x in ((0.04, 0.24), (0.76, 0.96)):
        fill(canvas, x, (0.46, 0.8), LAMP)
        fill(canvas, x, (0.18, 0.3), INK)


def car_back(canvas: Canvas) -> None:
    """Tail lamps and plate."""
    fill(canvas, (0.0, 1.0), (0.0, 0.16), INK)
    fill(canvas, (0.36, 0.64), (0.42, 0.62), (0.92, 0.92, 0.9))
    for x in ((0.02, 0.2), (0.8, 0.98)):
        fill(canvas, x, (0.48, 0.88), RED)
        fill(canvas, x, (0.48, 0.56), (0.9, 0.55, 0.2))


def car_side(canvas: Canvas) -> None:
    """Doors, wheel arches, and the edges of the lamps."""
    fill(canvas, (0.0, 1.0), (0.0, 0.12), INK)
    for x in (0.19, 0.81):
        disc(canvas, (x, 0.06), (0.095, 0.72), INK)
    for x in (0.335, 0.52, 0.675):
        fill(canvas, (x, x + 0.008), (0.14, 1.0), INK, 0.7)
    for x in (0.47, 0.64):
        fill(canvas, (x, x + 0.035), (0.74, 0.82), INK, 0.8)
    fill(canvas, (0.0, 0.04), (0.55, 0.8), RED)
    fill(canvas, (0.96, 1.0), (0.55, 0.8), LAMP)


def windscreen(canvas: Canvas) -> None:
    """One pane in a frame."""
    fill(canvas, (0.08, 0.92), (0.06, 0.84), PANE)
    fill(canvas, (0.08, 0.92), (0.6, 0.84), SKY_PANE)


def _windows(canvas: Canvas, taper: tuple[float, float, float], pillars: tuple[float, ...]) -> None:
    """Side windows between slanted posts."""
    y, x = (np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5) / np.array([HEIGHT, WIDTH])[:, None, None]
    ahead, behind = 1 - taper[0] / 2 * y - x, x - taper[1] / 2 * y  # from the posts, along the car
    glass = (ahead > 0.05) & (behind > 0.05) & (y > 0.06) & (y < 0.8)
    for at in pillars:
        glass &= np.abs(x - at) > 0.014
    canvas[glass] = [*PANE, 1.0]
    canvas[glass & (y > 0.55)] = [*SKY_PANE, 1.0]


SALOON: Final = (0.62, 0.42, 0.14)
HATCH: Final = (0.55, 0.16, 0.12)


def saloon_side(canvas: Canvas) -> None:
    """Windows of a saloon."""
    _windows(canvas, SALOON, (0.46,))


def hatch_side(canvas: Canvas) -> None:
    """Windows of a hatchback or a van."""
    _windows(canvas, HATCH, (0.3, 0.56))


def machine_glass(canvas: Canvas) -> None:
    """A pane of a working machine."""
    fill(canvas, (0.1, 0.9), (0.1, 0.85), PANE)
    fill(canvas, (0.1, 0.9), (0.65, 0.85), SKY_PANE)


def cone(canvas: Canvas) -> None:
    """Two white bands."""
    for y in ((0.3, 0.5), (0.66, 0.82)):
        fill(canvas, (0.0, 1.0), y, (0.95, 0.95, 0.95))


def bus_front(canvas: Canvas) -> None:
    """Windscreen, destination display and head lamps."""
    fill(canvas, (0.05, 0.95), (0.36, 0.8), PANE)
    fill(canvas, (0.495, 0.505), (0.36, 0.8), INK)
    fill(canvas, (0.18, 0.82), (0.85, 0.96), INK)
    fill(canvas, (0.26, 0.74), (0.88, 0.93), (1.0, 0.7, 0.1))
    fill(canvas, (0.0, 1.0), (0.0, 0.06), INK)
    for x in ((0.06, 0.2), (0.8, 0.94)):
        fill(canvas, x, (0.12, 0.22), LAMP)


def bus_back(canvas: Canvas) -> None:
    """A pane, the engine's grille and tail lamps."""
    fill(canvas, (0.14, 0.86), (0.56, 0.84), PANE)
    fill(canvas, (0.2, 0.8), (0.12, 0.34), (0.2, 0.2, 0.2))
    for x in ((0.02, 0.1), (0.9, 0.98)):
        fill(canvas, x, (0.14, 0.46), RED)
    fill(canvas, (0.0, 1.0), (0.0, 0.06), INK)


def bus_side(canvas: Canvas) -> None:
    """A band of windows, two doors and a white stripe."""
    for k in range(8):
        fill(canvas, (0.02 + k * 0.122, 0.128 + k * 0.122), (0.46, 0.84), PANE)
        fill(canvas, (0.02 + k * 0.122, 0.128 + k * 0.122), (0.76, 0.84), (0.24, 0.3, 0.36))
    for x in (0.27, 0.84):
        fill(canvas, (x, x + 0.1), (0.06, 0.84), (0.16, 0.18, 0.2))
        fill(canvas, (x + 0.046, x + 0.054), (0.06, 0.84), (0.7, 0.7, 0.7))
    fill(canvas, (0.0, 1.0), (0.3, 0.38), (0.95, 0.95, 0.95))
    fill(canvas, (0.0, 1.0), (0.0, 0.05), INK)


def cab_front(canvas: Canvas) -> None:
    """Windscreen, grille and head lamps of a lorry."""
    fill(canvas, (0.06, 0.94), (0.52, 0.9), PANE)
    fill(canvas, (0.2, 0.8), (0.14, 0.44), INK)
    for x in ((0.04, 0.18), (0.82, 0.96)):
        fill(canvas, x, (0.1, 0.24), LAMP)


def cab_side(canvas: Canvas) -> None:
    """Window and door of a lorry."""
    fill(canvas, (0.34, 0.9), (0.54, 0.9), PANE)
    fill(canvas, (0.32, 0.33), (0.1, 0.95), INK, 0.8)
    fill(canvas, (0.3, 0.8), (0.0, 0.1), INK)


def cargo(canvas: Canvas) -> None:
    """The ribs of a cargo box."""
    for k in range(16):
        fill(canvas, (k / 16, k / 16 + 0.012), (0.0, 1.0), (0.4, 0.4, 0.4), 0.35)
    fill(canvas, (0.0, 1.0), (0.94, 1.0), (0.5, 0.5, 0.52))
    fill(canvas, (0.0, 1.0), (0.0, 0.06), (0.35, 0.35, 0.37))


def cargo_back(canvas: Canvas) -> None:
    """Two doors with their bars, and tail lamps."""
    fill(canvas, (0.49, 0.51), (0.0, 1.0), INK)
    for x in (0.36, 0.62):
        fill(canvas, (x, x + 0.02), (0.05, 0.95), (0.45, 0.45, 0.47))
    for lamp in ((0.0, 0.12), (0.88, 1.0)):
        fill(canvas, lamp, (0.0, 0.1), RED)
    for frame in ((0.0, 0.03), (0.97, 1.0)):
        fill(canvas, frame, (0.0, 1.0), (0.4, 0.4, 0.42))


def tarpaulin(canvas: Canvas) -> None:
    """Folds and a white panel."""
    for k in range(12):
        fill(canvas, (k / 12, k / 12 + 0.02), (0.0, 1.0), (0.0, 0.0, 0.0), 0.35)
    fill(canvas, (0.3, 0.7), (0.35, 0.7), (0.92, 0.92, 0.92))
    fill(canvas, (0.0, 1.0), (0.0, 0.1), (0.3, 0.3, 0.32))


def trailer_back(canvas: Canvas) -> None:
    """Doors over a striped bumper."""
    fill(canvas, (0.0, 1.0), (0.0, 0.12), (0.85, 0.1, 0.05))
    for k in range(6):
        fill(canvas, (k / 6, k / 6 + 0.08), (0.0, 0.12), (0.95, 0.95, 0.9))
    fill(canvas, (0.49, 0.51), (0.12, 1.0), INK)


def machine(canvas: Canvas) -> None:
    """A dark grille over a striped hem."""
    fill(canvas, (0.0, 1.0), (0.0, 0.2), INK)
    for k in range(9):
        fill(canvas, (k / 8 - 0.0625, k / 8), (0.0, 0.2), (0.9, 0.72, 0.05))
    fill(canvas, (0.08, 0.5), (0.45, 0.85), (0.15, 0.15, 0.15))


def tread(canvas: Canvas) -> None:
    """Links of a caterpillar track."""
    for k in range(12):
        fill(canvas, (k / 12, k / 12 + 0.03), (0.0, 1.0), (0.28, 0.26, 0.23))
    fill(canvas, (0.05, 0.95), (0.4, 0.6), (0.25, 0.24, 0.22))


def barrier(canvas: Canvas) -> None:
    """Red and white stripes, slanted."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    red = (x + y // 2) % 32 < 16
    canvas[red] = [0.82, 0.07, 0.06, 1.0]
    canvas[~red] = [0.95, 0.95, 0.93, 1.0]


def wheel(canvas: Canvas) -> None:
    """Rim and four holes."""
    disc(canvas, (0.5, 0.5), (0.33, 0.33), (0.55, 0.56, 0.58))
    for x, y in ((0.5, 0.66), (0.5, 0.34), (0.66, 0.5), (0.34, 0.5)):
        disc(canvas, (x, y), (0.08, 0.08), INK)
