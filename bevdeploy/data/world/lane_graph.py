"""Lanes of the streets and the curves that join them across intersections; right-hand traffic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bevdeploy.data.world.polylines import chained, joint, parallel, part_of
from bevdeploy.data.world.scene import Float64, Lane
from bevdeploy.data.world.street_network import LANE_M, Arm, Street, StreetNetwork

SPEED_MPS = {1: 8.5, 2: 11.0}
"""By lanes per direction."""
_TURN_MPS = 7.0
_STRAIGHT_RAD = 0.9
"""Up to this change of direction a way across an intersection goes straight on."""


@dataclass(frozen=True)
class _Gate:
    """Where a lane meets an intersection."""

    lane: int
    rank: int
    """0 is the innermost lane of its direction."""
    lanes: int
    """Per direction of that street."""
    arm: int
    """Position of the street among the intersection's arms."""


def lane_graph(network: StreetNetwork) -> tuple[Lane, ...]:
    """All lanes: first those of the streets, then those across intersections."""
    lines: list[Float64] = []
    speeds: list[float] = []
    entries: list[list[_Gate]] = [[] for _ in network.nodes_m]
    exits: list[list[_Gate]] = [[] for _ in network.nodes_m]
    position = {(arm.street, arm.end): k for own in network.arms for k, arm in enumerate(own)}
    for index, street in enumerate(network.streets):
        for end in (0, 1):
            middle = street.open_line_m if end == 0 else street.open_line_m[::-1]
            for rank in range(street.lanes):
                lane = len(lines)
                exits[street.nodes[end]].append(_Gate(lane, rank, street.lanes, position[index, end]))
                entries[street.nodes[1 - end]].append(_Gate(lane, rank, street.lanes, position[index, 1 - end]))
                lines.append(parallel(middle, -(rank + 0.5) * LANE_M))
                speeds.append(SPEED_MPS[street.lanes])
    successors: list[list[int]] = [[] for _ in lines]
    stops: list[bool] = [False] * len(lines)
    intersection: list[int] = [-1] * len(lines)
    for node in range(len(network.nodes_m)):
        major = any(network.streets[arm.street].lanes > 1 for arm in network.arms[node])
        for entry in entries[node]:
            for exit_ in exits[node]:
                if _may_follow(network, node, entry, exit_):
                    line, turning = _across(network, node, entry, exit_, lines)
                    successors[entry.lane].append(len(lines))
                    lines.append(line)
                    successors.append([exit_.lane])
                    speeds.append(_TURN_MPS if turning else speeds[entry.lane])
                    stops.append(major and entry.lanes == 1)
                    intersection.append(node)
    return tuple(
        Lane(line, LANE_M, tuple(after), speed, node, stop)
        for line, after, speed, node, stop in zip(lines, successors, speeds, intersection, stops, strict=True)
    )


def _turn_rad(network: StreetNetwork, node: int, entry: _Gate, exit_: _Gate) -> float:
    """Change of direction, left is positive."""
    arms = network.arms[node]
    turn = arms[exit_.arm].heading_rad - (arms[entry.arm].heading_rad + np.pi)
    return float((turn + np.pi) % (2 * np.pi) - np.pi)


def _may_follow(network: StreetNetwork, node: int, entry: _Gate, exit_: _Gate) -> bool:
    """Right turns from and to the outermost lane, left turns from and to the innermost, straight on in the own one."""
    if entry.arm == exit_.arm:
        return False
    turn = _turn_rad(network, node, entry, exit_)
    if abs(turn) < _STRAIGHT_RAD:
        return entry.rank == exit_.rank
    if turn < 0:
        return entry.rank == entry.lanes - 1 and exit_.rank == exit_.lanes - 1
    return entry.rank == 0 and exit_.rank == 0


def _across(
    network: StreetNetwork, node: int, entry: _Gate, exit_: _Gate, lines: list[Float64]
) -> tuple[Float64, bool]:
    """The way from a lane's end to another's beginning, and whether it turns."""
    if abs(_turn_rad(network, node, entry, exit_)) < _STRAIGHT_RAD:
        start, end = lines[entry.lane][-2:], lines[exit_.lane][:2]
        return joint(start[1], _unit(start), end[0], _unit(end)), False
    before = _approach(network.streets, network.arms[node][entry.arm], (entry.rank + 0.5) * LANE_M)[::-1]
    after = _approach(network.streets, network.arms[node][exit_.arm], -(exit_.rank + 0.5) * LANE_M)
    arc = joint(before[-1], _unit(before[-2:]), after[0], _unit(after[:2]))
    return chained(before, arc, after), True


def _approach(streets: tuple[Street, ...], arm: Arm, left_m: float) -> Float64:
    """From the corner's arc out to the stop line, `left_m` to the left of the middle of the street."""
    street = streets[arm.street]
    return parallel(part_of(street.seen_from(arm.end), street.corner_m[arm.end], street.stop_m[arm.end]), left_m)


def _unit(piece: Float64) -> Float64:
    step = piece[-1] - piece[0]
    return np.asarray(step / np.hypot(*step))
