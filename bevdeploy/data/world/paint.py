"""What the faces of solids show, by name, and the atlas of all textures with their mip levels.

A texel is a colour over the solid's own: premultiplied red, green and blue, and how much of the own colour it hides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world import town_textures as town
from bevdeploy.data.world import vehicle_textures as vehicle
from bevdeploy.data.world.brushes import HEIGHT, WIDTH, Canvas
from bevdeploy.errors import GeometryError

LEVELS: Final = 7
"""Mip levels; the last is 2 x 1 texels."""
LEVEL_OFFSET: Final = np.cumsum([0] + [(WIDTH >> k) * (HEIGHT >> k) for k in range(LEVELS)])
"""[LEVELS + 1], where a level begins within its texture."""
TEXELS: Final = int(LEVEL_OFFSET[-1])


@dataclass(frozen=True)
class Paint:
    """What a solid shows."""

    front: Callable[[Canvas], None] | None = None
    back: Callable[[Canvas], None] | None = None
    side: Callable[[Canvas], None] | None = None
    top: Callable[[Canvas], None] | None = None
    ball: bool = False
    """An ellipsoid; it shows `side`, its middle at the texture's."""
    period_m: tuple[float, float] | None = None
    """Metres of one texture along and up a face, which then repeats, a whole number of `cells` times; else it is
    stretched over the face."""
    cells: tuple[int, int] = (1, 1)
    """Equal parts of a repeating texture: faces show a whole number of them."""
    taper: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """How far front, back and both sides lean inward from bottom to top, in half lengths and half widths."""
    gloss: float = 0.0
    """Lidar intensity that comes on top of the colour's, 0..1: reflectors."""


PAINTS: Final[dict[str, Paint]] = {
    "plain": Paint(),
    "rough": Paint(town.rough, town.rough, town.rough, town.rough, period_m=(4.0, 2.0)),
    "car": Paint(vehicle.car_front, vehicle.car_back, vehicle.car_side),
    "saloon": Paint(vehicle.windscreen, vehicle.windscreen, vehicle.saloon_side, taper=vehicle.SALOON),
    "hatch": Paint(vehicle.windscreen, vehicle.windscreen, vehicle.hatch_side, taper=vehicle.HATCH),
    "glass": Paint(vehicle.machine_glass, vehicle.machine_glass, vehicle.machine_glass),
    "bus": Paint(vehicle.bus_front, vehicle.bus_back, vehicle.bus_side),
    "cab": Paint(vehicle.cab_front, None, vehicle.cab_side, taper=(0.25, 0.0, 0.04)),
    "cargo": Paint(vehicle.cargo, vehicle.cargo_back, vehicle.cargo),
    "trailer": Paint(vehicle.tarpaulin, vehicle.trailer_back, vehicle.tarpaulin),
    "machine": Paint(vehicle.machine, vehicle.machine, vehicle.machine),
    "tread": Paint(vehicle.tread, vehicle.tread, vehicle.tread),
    "barrier": Paint(vehicle.barrier, vehicle.barrier, vehicle.barrier, gloss=0.5),
    "cone": Paint(vehicle.cone, vehicle.cone, vehicle.cone, taper=(0.72, 0.72, 0.72), gloss=0.4),
    "roof": Paint(town.tiles, town.tiles, town.tiles, town.tiles, taper=(0.5, 0.5, 0.96), period_m=(4.0, 3.0)),
    "facade": Paint(town.facade, town.facade, town.facade, period_m=(11.2, 12.8), cells=(4, 4)),
    "brick": Paint(town.brick, town.brick, town.brick, period_m=(10.0, 12.8), cells=(4, 4)),
    "office": Paint(town.office, town.office, town.office, period_m=(12.0, 13.6), cells=(8, 4)),
    "shopfront": Paint(town.shopfront, town.shopfront, town.shopfront, period_m=(14.0, 3.4), cells=(4, 1)),
    "ball": Paint(ball=True),
    "leaves": Paint(side=town.leaves, ball=True),
    "wheel": Paint(side=vehicle.wheel, ball=True),
}
"""By name, what `Solid.paint` may be. Houses: facade, brick, office or shopfront; crowns: leaves; walls, trunks and
hedges: rough."""

PAINT_NUMBERS: Final = {name: number for number, name in enumerate(PAINTS)}
TAPERS: Final = np.array([[*paint.taper[:2], paint.taper[2], paint.taper[2], 0, 0] for paint in PAINTS.values()])
"""[paints, 6]: how far front, back, left, right, top and bottom lean inward, in half sizes."""
BALLS: Final = np.array([paint.ball for paint in PAINTS.values()])
"""[paints], whether a paint makes its solid an ellipsoid."""


def paint_number(name: str) -> int:
    """Index of a paint in `PAINTS`.

    Raises:
        GeometryError: no paint has this name.
    """
    if name not in PAINT_NUMBERS:
        raise GeometryError(f"no paint {name!r}; there are {', '.join(PAINTS)}")
    return PAINT_NUMBERS[name]


@lru_cache(maxsize=1)
def texture_atlas() -> NDArray[np.uint32]:
    """Texels [paints * 4 * TEXELS] as 0xAABBGGRR, A the cover.

    Per paint front, back, sides and top; per texture its levels, finest first, row by row from the bottom.
    """
    textures = []
    for paint in PAINTS.values():
        for draw in (paint.front, paint.back, paint.side, paint.top):
            canvas = np.zeros((HEIGHT, WIDTH, 4), np.float32)
            if draw is not None:
                draw(canvas)
            textures.append(_levels_of(canvas))
    return np.concatenate(textures)  # [paints * 4 * TEXELS]


def _levels_of(canvas: Canvas) -> NDArray[np.uint32]:
    levels = []
    for _ in range(LEVELS):
        texels = np.clip(np.round(canvas * 255), 0, 255).astype(np.uint8)
        levels.append(np.ascontiguousarray(texels).view(np.uint32).ravel())
        height, width = max(1, canvas.shape[0] // 2), canvas.shape[1] // 2
        canvas = canvas.reshape(height, -1, width, 2, 4).mean((1, 3))  # [height, width, 4]
    return np.concatenate(levels)  # [TEXELS]
