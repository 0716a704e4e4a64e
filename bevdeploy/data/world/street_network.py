"""Streets between intersections: an irregular grid, some streets wide, some curved."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bevdeploy.data.world.polylines import length_of, part_of
from bevdeploy.data.world.scene import Float64

LANE_M = 3.5
GUTTER_M = 0.5
"""Between the outermost lane and the kerb."""
KERB_RADIUS_M = 6.0
"""Of the kerb at the corners of an intersection."""
STOP_M = 5.0
"""From the corner's arc out to the stop line; the pedestrian crossing lies between."""
STRAIGHT_M = 26.0
"""Streets are straight this far from the middle of an intersection."""


@dataclass(frozen=True)
class TownPlan:
    """What makes one town different from another."""

    columns: int
    rows: int
    block_m: tuple[float, float]
    """Shortest and longest distance of neighbouring streets."""
    jitter_m: float
    """Intersections lie off the grid by up to this much."""
    turn_rad: float
    """The whole grid is rotated."""
    wide: int
    """Grid lines of four lanes."""
    curved: int
    removed: int
    """Streets that the grid lacks."""
    floors: tuple[int, int]
    trees: float
    """Share of the verges' tree places that are taken."""
    bays: float
    """Share of kerb with parking bays."""
    sites: float
    """Share of the plots where builders work."""
    carparks: int
    hedges: float


@dataclass(frozen=True, eq=False)
class Street:
    """A two-way street between two intersections."""

    nodes: tuple[int, int]
    line_m: Float64
    """[n, 2], its middle, from the centre of the first intersection to that of the second."""
    lanes: int
    """Per direction."""
    corner_m: tuple[float, float] = (0.0, 0.0)
    """Length along the middle at which the corners' arcs begin, counted from either end."""
    stop_m: tuple[float, float] = (0.0, 0.0)
    """The same of the stop lines: between them lies the street, beyond them the intersection."""

    @property
    def half_m(self) -> float:
        """From the middle to the kerb."""
        return self.lanes * LANE_M + GUTTER_M

    def seen_from(self, end: int) -> Float64:
        """Its middle line, beginning at one of its two ends."""
        return self.line_m if end == 0 else self.line_m[::-1]

    @property
    def open_line_m(self) -> Float64:
        """The middle line between both intersections."""
        return part_of(self.line_m, self.stop_m[0], length_of(self.line_m) - self.stop_m[1])


@dataclass(frozen=True)
class Arm:
    """A street at one of its intersections."""

    street: int
    end: int
    heading_rad: float
    """Away from the intersection."""


@dataclass(frozen=True, eq=False)
class StreetNetwork:
    """Streets and their intersections."""

    nodes_m: Float64
    """[k, 2] middle of the intersections."""
    streets: tuple[Street, ...]
    arms: tuple[tuple[Arm, ...], ...]
    """Of each node, counter-clockwise."""

    def has_crossings(self, node: int) -> bool:
        """Whether it is an intersection and no mere bend."""
        return len(self.arms[node]) > 2


def street_network(plan: TownPlan, draws: np.random.Generator) -> StreetNetwork:
    """Lays the streets out; the grid's outer streets form a ring, so that every street leads on at both ends."""
    columns, rows = plan.columns, plan.rows
    x = np.concatenate([[0.0], np.cumsum(draws.uniform(*plan.block_m, columns - 1))])
    y = np.concatenate([[0.0], np.cumsum(draws.uniform(*plan.block_m, rows - 1))])
    nodes = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)  # [columns * rows, 2]
    nodes = nodes + draws.uniform(-plan.jitter_m, plan.jitter_m, nodes.shape)
    cos, sin = np.cos(plan.turn_rad), np.sin(plan.turn_rad)
    nodes = nodes @ np.array([[cos, sin], [-sin, cos]])
    inner_lines = [(0, i) for i in range(1, columns - 1)] + [(1, j) for j in range(1, rows - 1)]
    wide = {inner_lines[k] for k in draws.permutation(len(inner_lines))[: plan.wide]}
    pairs = []
    for i in range(columns):
        for j in range(rows):
            if j + 1 < rows:
                pairs.append((i * rows + j, i * rows + j + 1, (0, i)))
            if i + 1 < columns:
                pairs.append((i * rows + j, (i + 1) * rows + j, (1, j)))
    pairs = _without_some(pairs, wide, plan.removed, draws)
    narrow = [k for k, (_, _, line) in enumerate(pairs) if line not in wide]
    curved = set(draws.permutation(narrow)[: plan.curved].tolist())
    streets = []
    for k, (a, b, line) in enumerate(pairs):
        middle = _bent(nodes[a], nodes[b], 1 if draws.random() < 0.5 else -1) if k in curved else nodes[[a, b]]
        streets.append(Street((a, b), middle, 2 if line in wide else 1))
    arms = _arms_of(len(nodes), streets)
    return StreetNetwork(nodes, _with_setbacks(streets, arms), arms)


Pair = tuple[int, int, tuple[int, int]]


def _without_some(pairs: list[Pair], wide: set[tuple[int, int]], count: int, draws: np.random.Generator) -> list[Pair]:
    """Takes streets out where both their intersections keep three arms."""
    for index in draws.permutation(len(pairs)).tolist():
        pair = pairs[index]
        degrees = [sum(node in other[:2] for other in pairs if other) for node in pair[:2]]
        if count > 0 and pair[2] not in wide and min(degrees) > 3:
            pairs = [other for other in pairs if other is not pair]
            return _without_some(pairs, wide, count - 1, draws)
    return pairs


def _bent(start: Float64, end: Float64, side: int) -> Float64:
    """A line that swings to one side between two straight ends, with radii of 32 m and more."""
    total = float(np.hypot(*(end - start)))
    direction = (end - start) / total
    free_m = total - 2 * STRAIGHT_M
    # The bulge is swing * sin^2; its sharpest curvature is 2 pi^2 swing / free^2.
    swing_m = side * min(9.0, free_m**2 / (2 * np.pi**2 * 32.0))
    along = np.concatenate([[0.0], np.linspace(STRAIGHT_M, total - STRAIGHT_M, max(8, round(free_m / 2))), [total]])
    aside = swing_m * np.sin(np.pi * np.clip((along - STRAIGHT_M) / free_m, 0, 1)) ** 2
    return np.asarray(start + along[:, None] * direction + aside[:, None] * np.array([-direction[1], direction[0]]))


def _arms_of(nodes: int, streets: list[Street]) -> tuple[tuple[Arm, ...], ...]:
    arms: list[list[Arm]] = [[] for _ in range(nodes)]
    for index, street in enumerate(streets):
        for end in (0, 1):
            line = street.seen_from(end)
            heading = float(np.arctan2(line[1, 1] - line[0, 1], line[1, 0] - line[0, 0]))
            arms[street.nodes[end]].append(Arm(index, end, heading))
    return tuple(tuple(sorted(own, key=lambda arm: arm.heading_rad)) for own in arms)


def _with_setbacks(streets: list[Street], arms: tuple[tuple[Arm, ...], ...]) -> tuple[Street, ...]:
    corner = np.full((len(streets), 2), 6.0)
    stop = np.zeros((len(streets), 2))
    for own in arms:
        for arm, after in zip(own, own[1:] + own[:1], strict=True):
            angle = (after.heading_rad - arm.heading_rad) % (2 * np.pi)
            if angle < 2.6:
                half, half_after = streets[arm.street].half_m, streets[after.street].half_m
                arc_m = KERB_RADIUS_M / np.tan(angle / 2)
                for one, near, far in ((arm, half, half_after), (after, half_after, half)):
                    # The two kerb lines meet at (far + near cos) / sin along the first.
                    reach = (far + near * np.cos(angle)) / np.sin(angle) + arc_m
                    corner[one.street, one.end] = max(corner[one.street, one.end], reach)
        for arm in own:
            stop[arm.street, arm.end] = corner[arm.street, arm.end] + (STOP_M if len(own) > 2 else 2.0)
    return tuple(
        replace(street, corner_m=tuple(corner[k].tolist()), stop_m=tuple(stop[k].tolist()))
        for k, street in enumerate(streets)
    )
