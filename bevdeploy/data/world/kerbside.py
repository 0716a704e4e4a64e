"""What lies between kerb and walkway: parking bays, verges with trees and lamps, bare paving."""

from __future__ import annotations

import numpy as np

from bevdeploy.data.world.map_layers import STRIP_M
from bevdeploy.data.world.polylines import length_of, parallel, part_of, points_at, ring_between, tangents_of
from bevdeploy.data.world.scene import Float64, Solid, Strip
from bevdeploy.data.world.street_network import StreetNetwork, TownPlan

PLACE_M = 6.2
"""Length of a parking place along the kerb."""
_LAMP_M = 32.0
_BARK = (0.30, 0.22, 0.15)
_STEEL = (0.42, 0.44, 0.46)


def strips_of(network: StreetNetwork, plan: TownPlan, draws: np.random.Generator) -> tuple[Strip, ...]:
    """Cuts both sides of every street into strips."""
    strips = []
    for street in network.streets:
        middle = street.open_line_m
        for line in (middle, middle[::-1]):
            kerbside = parallel(line, -(street.half_m + STRIP_M / 2))
            at_m, end_m = 2.0, length_of(kerbside) - 2.0
            while end_m - at_m > PLACE_M:
                kind = ("bay", "verge", "bare")[int(draws.choice(3, p=_shares(plan)))]
                pieces = int(draws.integers(3, 7)) if kind == "bay" else int(draws.integers(2, 4))
                pieces = min(pieces, int((end_m - at_m) // PLACE_M))
                strips.append(Strip(part_of(kerbside, at_m, at_m + pieces * PLACE_M), kind))
                at_m += pieces * PLACE_M + (1.0 if kind == "bay" else 0.0)
    return tuple(strips)


def _shares(plan: TownPlan) -> tuple[float, float, float]:
    return plan.bays, (1 - plan.bays) * 0.6, (1 - plan.bays) * 0.4


def bays_of(strips: tuple[Strip, ...]) -> tuple[tuple[Float64, ...], Float64, tuple[Float64, ...]]:
    """Polygons of the parking bays, parking places [k, 3], and the polygons of bare strips."""
    rings, places, bare = [], [np.zeros((0, 3))], []
    for strip in strips:
        ring = ring_between(strip.line_m, -STRIP_M / 2, STRIP_M / 2)
        if strip.kind == "bay":
            rings.append(ring)
            places.append(places_along(strip))
        if strip.kind == "bare":
            bare.append(ring)
    return tuple(rings), np.concatenate(places), tuple(bare)


def places_along(strip: Strip) -> Float64:
    """Places of `PLACE_M` along a strip: x, y, yaw in driving direction; [k, 3]."""
    count = max(1, round(length_of(strip.line_m) / PLACE_M))
    at_m = (np.arange(count) + 0.5) * length_of(strip.line_m) / count
    ahead = points_at(strip.line_m, at_m + 0.5) - points_at(strip.line_m, at_m - 0.5)  # [k, 2]
    return np.column_stack([points_at(strip.line_m, at_m), np.arctan2(ahead[:, 1], ahead[:, 0])])


def verge_solids(strips: tuple[Strip, ...], plan: TownPlan, draws: np.random.Generator) -> list[Solid]:
    """Trees and lamps of the verges."""
    solids: list[Solid] = []
    since_lamp_m = _LAMP_M / 2
    for strip in strips:
        total = length_of(strip.line_m)
        since_lamp_m += total
        if strip.kind != "verge":
            continue
        for at_m in np.arange(3.0, total - 2.0, 6.2):
            x, y = points_at(strip.line_m, np.array([at_m]))[0]
            if since_lamp_m > _LAMP_M:
                tangent = tangents_of(strip.line_m)[0]
                solids += lamp(float(x), float(y), float(np.arctan2(tangent[1], tangent[0])))
                since_lamp_m = 0.0
            elif draws.random() < plan.trees:
                solids += tree(float(x), float(y), draws.uniform(4.5, 6.5), draws)
    return solids


def tree(x_m: float, y_m: float, height_m: float, draws: np.random.Generator) -> list[Solid]:
    """A trunk and a crown that begins above people's heads."""
    green = (0.15 + 0.1 * draws.random(), 0.34 + 0.12 * draws.random(), 0.12)
    crown_m, clear_m = height_m * draws.uniform(0.20, 0.27), 2.2
    crown_half_m = (height_m - clear_m) / 2
    trunk = Solid((x_m, y_m, clear_m / 2 + 0.3), (0.15, 0.15, clear_m / 2 + 0.3), 0.3, _BARK)
    crown = (x_m, y_m, clear_m + crown_half_m)
    return [trunk, Solid(crown, (crown_m, crown_m, crown_half_m), 0.0, green, "ball")]


def lamp(x_m: float, y_m: float, yaw_rad: float) -> list[Solid]:
    """A lamp post whose arm reaches over the lane, to the left of `yaw_rad`."""
    reach_m, height_m = 1.0, 6.2
    head = (x_m - reach_m * float(np.sin(yaw_rad)), y_m + reach_m * float(np.cos(yaw_rad)), height_m)
    post = Solid((x_m, y_m, height_m / 2), (0.09, 0.09, height_m / 2), yaw_rad, _STEEL)
    return [post, Solid(head, (0.15, reach_m, 0.07), yaw_rad, _STEEL, shadow=False)]
