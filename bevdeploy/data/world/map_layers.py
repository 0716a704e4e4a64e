"""Polygons and lines of a street network, by the names of nuScenes' map layers."""

from __future__ import annotations

import numpy as np

from bevdeploy.data.world.polylines import chained, joint, parallel, part_of, ring_between
from bevdeploy.data.world.scene import Float64
from bevdeploy.data.world.street_network import LANE_M, Arm, Street, StreetNetwork

STRIP_M = 2.4
"""Width of the strip between kerb and walkway: parking bays, trees."""
WALKWAY_M = 3.4
CROSSING_M = 3.0
CROSSING_BEFORE_STOP_M = 2.7
"""From the stop line to the middle of the pedestrian crossing."""
_STOP_LINE_M = 0.6


def street_layers(network: StreetNetwork) -> tuple[dict[str, list[Float64]], dict[str, list[Float64]], list[int]]:
    """Polygons by layer, lines by layer, and which road segments are intersections (one per node, in their order)."""
    polygons: dict[str, list[Float64]] = {
        name: []
        for name in (
            "drivable_area",
            "road_segment",
            "road_block",
            "lane",
            "ped_crossing",
            "walkway",
            "stop_line",
            "carpark_area",
        )
    }
    lines: dict[str, list[Float64]] = {"road_divider": [], "lane_divider": []}
    for street in network.streets:
        _add_street(street, polygons, lines)
    first = len(polygons["road_segment"])
    for node, arms in enumerate(network.arms):
        _add_intersection(network, node, arms, polygons)
    return polygons, lines, list(range(first, first + len(network.arms)))


def _add_street(street: Street, polygons: dict[str, list[Float64]], lines: dict[str, list[Float64]]) -> None:
    middle, half_m = street.open_line_m, street.half_m
    for layer in ("drivable_area", "road_segment"):
        polygons[layer].append(ring_between(middle, -half_m, half_m))
    lines["road_divider"].append(middle)
    for line in (middle, middle[::-1]):
        polygons["road_block"].append(ring_between(line, -half_m, 0.0))
        polygons["walkway"].append(ring_between(line, -half_m - STRIP_M - WALKWAY_M, -half_m - STRIP_M))
        for rank in range(street.lanes):
            polygons["lane"].append(ring_between(line, -(rank + 1) * LANE_M, -rank * LANE_M))
            if rank:
                lines["lane_divider"].append(parallel(line, -rank * LANE_M))


def _add_intersection(
    network: StreetNetwork, node: int, arms: tuple[Arm, ...], polygons: dict[str, list[Float64]]
) -> None:
    kerbs = []
    for arm, after in zip(arms, arms[1:] + arms[:1], strict=True):
        kerb = corner_line(network.streets, arm, after, 0.0)
        outer = corner_line(network.streets, arm, after, STRIP_M + WALKWAY_M)
        polygons["walkway"].append(np.concatenate([kerb, outer[::-1]]))
        kerbs.append(kerb)
    # Each kerb leads from an arm to the next one counter-clockwise: one after the other they are the outline.
    outline = chained(*kerbs)
    for layer in ("drivable_area", "road_segment"):
        polygons[layer].append(outline)
    if network.has_crossings(node):
        for arm in arms:
            street = network.streets[arm.street]
            stop_m, line = street.stop_m[arm.end], street.seen_from(arm.end)
            centre_m = stop_m - CROSSING_BEFORE_STOP_M
            across = part_of(line, centre_m - CROSSING_M / 2, centre_m + CROSSING_M / 2)
            polygons["ped_crossing"].append(ring_between(across, -street.half_m, street.half_m))
            before = part_of(line, stop_m, stop_m + _STOP_LINE_M)
            polygons["stop_line"].append(ring_between(before, 0.0, street.lanes * LANE_M))


def corner_line(streets: tuple[Street, ...], arm: Arm, after: Arm, behind_kerb_m: float) -> Float64:
    """Around the corner between two neighbouring arms, stop line to stop line, behind the kerb by `behind_kerb_m`."""
    ends = []
    for one, side in ((arm, 1), (after, -1)):
        street = streets[one.street]
        line = part_of(street.seen_from(one.end), street.corner_m[one.end], street.stop_m[one.end])
        ends.append(parallel(line, side * (street.half_m + behind_kerb_m)))
    inward, outward = ends[0][::-1], ends[1]
    # Far behind the kerb the arc begins nearer to the stop line than the kerb's.
    if behind_kerb_m:
        inward, outward = inward[:1], outward[-1:]
    heading_in, heading_out = ends[0][0] - ends[0][-1], ends[1][-1] - ends[1][0]
    unit_in, unit_out = heading_in / np.hypot(*heading_in), heading_out / np.hypot(*heading_out)
    return chained(inward, joint(inward[-1], unit_in, outward[0], unit_out), outward)
