"""The four towns, named as nuScenes' maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bevdeploy.data.world.footways import footways
from bevdeploy.data.world.kerbside import bays_of, strips_of, verge_solids
from bevdeploy.data.world.lane_graph import lane_graph
from bevdeploy.data.world.map_layers import street_layers
from bevdeploy.data.world.plots import Plots, plots_of
from bevdeploy.data.world.polylines import resampled
from bevdeploy.data.world.scene import Float64, Strip, Town
from bevdeploy.data.world.street_network import StreetNetwork, TownPlan, street_network

_MARGIN_M = 62.0
"""Around the outermost streets: walkways, houses, and the 57 m of map that the devkit draws around a vehicle."""
TOWN_PLANS = {
    "boston-seaport": TownPlan(4, 4, (78.0, 104.0), 3.0, 0.07, 2, 2, 1, (4, 8), 0.6, 0.54, 0.22, 3, 0.1),
    "singapore-onenorth": TownPlan(4, 4, (84.0, 106.0), 6.0, -0.05, 1, 8, 2, (3, 6), 0.9, 0.44, 0.22, 2, 0.4),
    "singapore-queenstown": TownPlan(3, 5, (68.0, 92.0), 5.0, 0.16, 2, 4, 2, (3, 7), 0.75, 0.5, 0.24, 4, 0.3),
    "singapore-hollandvillage": TownPlan(5, 4, (68.0, 82.0), 5.0, -0.10, 0, 5, 4, (2, 3), 0.85, 0.5, 0.22, 3, 0.7),
}


def town_of(location: str, seed: int) -> Town:
    """The town of one nuScenes location; the same for the same seed.

    Raises:
        ValueError: there is no such location.
    """
    if location not in TOWN_PLANS:
        raise ValueError(f"no town {location!r}; there are {', '.join(TOWN_PLANS)}")
    plan = TOWN_PLANS[location]
    key = (seed, list(TOWN_PLANS).index(location))
    network = _moved(street_network(plan, np.random.default_rng((*key, 0))))
    polygons, lines, intersections = street_layers(network)
    strips = strips_of(network, plan, np.random.default_rng((*key, 1)))
    plots = plots_of(network, plan, np.random.default_rng((*key, 2)))
    strips = _without_driveways(strips, plots)
    bays, places, bare = bays_of(strips)
    polygons["drivable_area"] += [*bays, *plots.driveways, *plots.carparks]
    polygons["carpark_area"] += [*bays, *plots.carparks]
    polygons["walkway"] += bare
    footpaths, crossings = footways(network)
    solids = verge_solids(strips, plan, np.random.default_rng((*key, 3))) + plots.solids
    return Town(
        location=location,
        size_m=_extent(network),
        polygons={layer: tuple(rings) for layer, rings in polygons.items()},
        lines={layer: tuple(parts) for layer, parts in lines.items()},
        lanes=lane_graph(network),
        parking=np.concatenate([places, np.array(plots.parking).reshape(-1, 3)]),
        footpaths=footpaths,
        scenery=tuple(solids),
        intersections=tuple(intersections),
        crossings=crossings,
        strips=strips,
        long_parking=np.array(plots.long_parking).reshape(-1, 3),
        sites=np.array(plots.sites).reshape(-1, 5),
    )


def _moved(network: StreetNetwork) -> StreetNetwork:
    """Shifts the streets so that the margin's lower corner is the origin."""
    points = np.concatenate([street.line_m for street in network.streets])
    shift = _MARGIN_M - points.min(axis=0)
    streets = tuple(replace(street, line_m=street.line_m + shift) for street in network.streets)
    return replace(network, nodes_m=network.nodes_m + shift, streets=streets)


def _extent(network: StreetNetwork) -> tuple[float, float]:
    x, y = np.concatenate([street.line_m for street in network.streets]).max(axis=0) + _MARGIN_M
    return float(np.ceil(x)), float(np.ceil(y))


def _without_driveways(strips: tuple[Strip, ...], plots: Plots) -> tuple[Strip, ...]:
    """Leaves out the strips that car parks' driveways cross."""
    if not plots.driveways:
        return strips
    centres = np.array([ring.mean(axis=0) for ring in plots.driveways])  # [k, 2]

    def free(line: Float64) -> bool:
        return float(np.hypot(*(resampled(line, 1.0)[:, None] - centres[None]).reshape(-1, 2).T).min()) > 4.6

    return tuple(strip for strip in strips if free(strip.line_m))
