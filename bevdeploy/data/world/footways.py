"""Where people walk: along the walkways, around the corners, over the crossings."""

from __future__ import annotations

import numpy as np

from bevdeploy.data.world.map_layers import CROSSING_BEFORE_STOP_M, STRIP_M, WALKWAY_M
from bevdeploy.data.world.polylines import joint, length_of, parallel, part_of
from bevdeploy.data.world.scene import Crossing, Float64
from bevdeploy.data.world.street_network import StreetNetwork

_WALK_M = STRIP_M + WALKWAY_M / 2
"""From the kerb to the middle of the walkway."""
_WAIT_M = 0.7
"""People wait this far from the kerb."""


def footways(network: StreetNetwork) -> tuple[tuple[Float64, ...], tuple[Crossing, ...]]:
    """Footpaths, whose ends coincide where they meet, and those that cross streets."""
    paths: list[Float64] = []
    for street in network.streets:
        from_m, to_m = (_turn_off_m(network, street.nodes[end], street.stop_m[end]) for end in (0, 1))
        middle = part_of(street.line_m, from_m, length_of(street.line_m) - to_m)
        paths += [parallel(middle, side * (street.half_m + _WALK_M)) for side in (-1, 1)]
    crossings: list[Crossing] = []
    for node, arms in enumerate(network.arms):
        sides = []
        for arm in arms:
            street = network.streets[arm.street]
            at_m = _turn_off_m(network, node, street.stop_m[arm.end])
            piece = part_of(street.seen_from(arm.end), at_m, at_m + 1.0)
            sides.append([parallel(piece, side * (street.half_m + _WALK_M)) for side in (-1, 1)])
            if network.has_crossings(node):
                path = np.stack([sides[-1][0][0], sides[-1][1][0]])
                reach_m = _WALK_M - _WAIT_M
                crossings.append(Crossing(len(paths), len(crossings), node, reach_m, length_of(path) - reach_m))
                paths.append(path)
        for (_, left), (right, _) in zip(sides, sides[1:] + sides[:1], strict=True):
            paths.append(joint(left[0], left[0] - left[1], right[0], right[1] - right[0]))
    return tuple(paths), tuple(crossings)


def _turn_off_m(network: StreetNetwork, node: int, stop_m: float) -> float:
    """Where the way around the corner begins: at the crossing, if there is one."""
    return stop_m - CROSSING_BEFORE_STOP_M if network.has_crossings(node) else stop_m
