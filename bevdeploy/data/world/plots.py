"""What lies behind the walkways: houses, car parks, green squares, building sites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bevdeploy.data.world.kerbside import tree
from bevdeploy.data.world.map_layers import STRIP_M, WALKWAY_M
from bevdeploy.data.world.overlaps import corners_of, overlap
from bevdeploy.data.world.polylines import length_of, parallel, points_at, resampled
from bevdeploy.data.world.scene import Float64, Solid
from bevdeploy.data.world.street_network import Street, StreetNetwork, TownPlan

_FLOOR_M = 3.1
_WALLS = (
    (0.62, 0.42, 0.34),
    (0.74, 0.68, 0.57),
    (0.55, 0.55, 0.58),
    (0.68, 0.58, 0.50),
    (0.48, 0.36, 0.32),
    (0.80, 0.78, 0.72),
    (0.58, 0.62, 0.60),
)
_HEDGE = (0.13, 0.29, 0.11)
_FENCE = (0.60, 0.62, 0.60)
_CAR_PARK_M = (18.0, 29.0)
"""Along the street and away from it."""
_SITE_M = (20.0, 15.0)
_LONG_PLACE_M = 13.5
_SECOND_ROW_M = 19.0
"""Behind the walkway: houses that are seen between those of the front row."""


@dataclass(eq=False)
class Plots:
    """What was laid out so far."""

    solids: list[Solid] = field(default_factory=list)
    carparks: list[Float64] = field(default_factory=list)
    driveways: list[Float64] = field(default_factory=list)
    parking: list[tuple[float, float, float]] = field(default_factory=list)
    long_parking: list[tuple[float, float, float]] = field(default_factory=list)
    sites: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    taken: list[Float64] = field(default_factory=list)
    """Rectangles x, y, yaw, half length, half width."""


@dataclass(frozen=True, eq=False)
class _Front:
    """A stretch of one street side: its own x runs along the street, its y away from it."""

    x_m: float
    y_m: float
    yaw_rad: float
    """In direction of traffic on the other side: the plot lies to the left."""
    behind_m: float
    """From the kerb to the plot's edge."""

    def at(self, along_m: float, away_m: float) -> tuple[float, float]:
        """Global place of a point of the plot, from the middle of its edge."""
        cos, sin = float(np.cos(self.yaw_rad)), float(np.sin(self.yaw_rad))
        return self.x_m + cos * along_m - sin * away_m, self.y_m + sin * along_m + cos * away_m

    def rectangle(self, half_length: float, near_m: float, far_m: float) -> Float64:
        """x, y, yaw, half length, half width of a part of the plot."""
        x, y = self.at(0.0, (near_m + far_m) / 2)
        return np.array([x, y, self.yaw_rad, half_length, (far_m - near_m) / 2])


Lay = Callable[[Plots, _Front, tuple[float, float], TownPlan, np.random.Generator], None]


def plots_of(network: StreetNetwork, plan: TownPlan, draws: np.random.Generator) -> Plots:
    """Fills the blocks, street side by street side; nothing stands on streets, walkways or another plot."""
    plots = Plots()
    lines = [resampled(street.line_m, 2.0) for street in network.streets]
    widths = [np.full(len(line), street.half_m) for line, street in zip(lines, network.streets, strict=True)]
    corridors = np.concatenate(lines), np.concatenate(widths) + STRIP_M + WALKWAY_M
    sides = [(street, side) for street in network.streets for side in (-1, 1)]
    order = draws.permutation(len(sides)).tolist()
    carparks = plan.carparks
    for index in order[: 4 * plan.carparks]:
        street, side = sides[index]
        if carparks and _laid(_lay_carpark, plots, corridors, _front(street, side, 0.5), _CAR_PARK_M, plan, draws):
            carparks -= 1
    for index in order[::-1]:
        if draws.random() < plan.sites:
            street, side = sides[index]
            front = _front(street, side, float(draws.uniform(0.3, 0.7)))
            _laid(_lay_site, plots, corridors, front, _SITE_M, plan, draws)
    for street, side in sides:
        total, at_m = length_of(street.line_m), 14.0
        while at_m < total - 14.0:
            size = (float(draws.uniform(10, 19)), float(draws.uniform(9, 14)))
            front = _front(street, side, (at_m + size[0] / 2) / total)
            lay = _lay_garden if draws.random() < 0.08 else _lay_house
            at_m += size[0] + 0.6 if _laid(lay, plots, corridors, front, size, plan, draws) else 3.0
    for street, side in sides:
        for share in (0.35, 0.65):
            size = (float(draws.uniform(14, 22)), float(draws.uniform(10, 14)))
            _laid(_lay_house, plots, corridors, _front(street, side, share, _SECOND_ROW_M), size, plan, draws)
    return plots


def _front(street: Street, side: int, share: float, back_m: float = 0.0) -> _Front:
    """The edge of a plot behind the walkway; `share` of the street's length along it, `back_m` off."""
    behind_m = STRIP_M + WALKWAY_M + back_m
    line = street.line_m if side > 0 else street.line_m[::-1]
    edge = parallel(line, street.half_m + behind_m)
    at_m = length_of(edge) * (share if side > 0 else 1 - share)
    (x0, y0), (x, y), (x1, y1) = points_at(edge, np.array([at_m - 1.0, at_m, at_m + 1.0]))
    return _Front(float(x), float(y), float(np.arctan2(y1 - y0, x1 - x0)), behind_m)


def _laid(
    lay: Lay,
    plots: Plots,
    corridors: tuple[Float64, Float64],
    front: _Front,
    size: tuple[float, float],
    plan: TownPlan,
    draws: np.random.Generator,
) -> bool:
    """Lays a plot out if it is free of streets and other plots; whether it was."""
    rectangle = front.rectangle(size[0] / 2, 0.3, size[1] + 3.0)
    outline = corners_of(rectangle)
    outline = resampled(np.concatenate([outline, outline[:1]]), 2.0)
    middles, half_m = corridors
    near = np.abs(middles - rectangle[:2]).max(axis=1) < half_m + 30.0
    gaps = outline[:, None] - middles[near][None]  # [m, n, 2]
    if ((gaps**2).sum(axis=-1) < (half_m[near] - 0.2) ** 2).any():
        return False
    if plots.taken and bool(overlap(rectangle, np.array(plots.taken)).any()):
        return False
    plots.taken.append(rectangle)
    lay(plots, front, size, plan, draws)
    return True


def _lay_house(
    plots: Plots, front: _Front, size: tuple[float, float], plan: TownPlan, draws: np.random.Generator
) -> None:
    setback_m = float(draws.uniform(1.6, 3.6))
    height_m = _FLOOR_M * int(draws.integers(plan.floors[0], plan.floors[1] + 1)) + 0.6
    x, y = front.at(0.0, setback_m + size[1] / 2)
    colour = _WALLS[int(draws.integers(len(_WALLS)))]
    half = ((size[0] - draws.uniform(0.0, 2.0)) / 2, size[1] / 2, height_m / 2)
    plots.solids.append(Solid((x, y, height_m / 2), half, front.yaw_rad, colour, "facade"))
    if setback_m > 2.4 and draws.random() < plan.hedges:
        # Left and right of the entrance.
        for side in (-1, 1):
            centre = front.at(side * (size[0] / 4 + 0.6), 0.7)
            plots.solids.append(Solid((*centre, 0.5), (size[0] / 4 - 1.0, 0.3, 0.5), front.yaw_rad, _HEDGE))


def _lay_garden(
    plots: Plots, front: _Front, size: tuple[float, float], plan: TownPlan, draws: np.random.Generator
) -> None:
    for along_m in np.arange(-size[0] / 2 + 3.0, size[0] / 2 - 2.0, 5.0):
        x, y = front.at(float(along_m), float(draws.uniform(3.5, size[1])))
        plots.solids += tree(x, y, float(draws.uniform(5.0, 8.5)), draws)
    x, y = front.at(0.0, 0.7)
    plots.solids.append(Solid((x, y, 0.45), (size[0] / 2 - 0.5, 0.3, 0.45), front.yaw_rad, _HEDGE))


def _lay_site(
    plots: Plots, front: _Front, size: tuple[float, float], plan: TownPlan, draws: np.random.Generator
) -> None:
    x, y = front.at(0.0, size[1] / 2)
    plots.sites.append((x, y, front.yaw_rad, size[0] / 2, size[1] / 2))
    # A fence on the three sides away from the street.
    for along_m, away_m, half in (
        (0.0, size[1], (size[0] / 2, 0.06, 1.0)),
        (-size[0] / 2, size[1] / 2, (0.06, size[1] / 2, 1.0)),
        (size[0] / 2, size[1] / 2, (0.06, size[1] / 2, 1.0)),
    ):
        plots.solids.append(Solid((*front.at(along_m, away_m), 1.0), half, front.yaw_rad, _FENCE))


def _lay_carpark(
    plots: Plots, front: _Front, size: tuple[float, float], plan: TownPlan, draws: np.random.Generator
) -> None:
    plots.carparks.append(corners_of(front.rectangle(size[0] / 2, 0.5, size[1])))
    plots.driveways.append(corners_of(front.rectangle(3.0, -front.behind_m, 0.5)))
    for k in range(int((size[1] - 1.0) // 2.8)):
        x, y = front.at(-size[0] / 2 + 2.8, 0.8 + (k + 0.5) * 2.8)
        plots.parking.append((x, y, front.yaw_rad + (np.pi if draws.random() < 0.6 else 0.0)))
    for k in range(int((size[1] - 1.0) // _LONG_PLACE_M)):
        x, y = front.at(size[0] / 2 - 2.2, 0.8 + (k + 0.5) * _LONG_PLACE_M)
        plots.long_parking.append((x, y, front.yaw_rad + np.pi / 2 * (1 if draws.random() < 0.5 else -1)))
