"""A made-up street without end: what stands and moves along it at every half second, in the ego frame.

The road runs along road x, y to the left, the ground is z = 0; right-hand traffic, two lanes between parked cars.
Every stretch draws from its own seeded generator, so that frame `k` needs no frame before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bevdeploy.data.true_boxes import TrueBoxes

STEP_S = 0.5
"""Seconds between consecutive frame sets, as nuScenes' keyframes."""

LANE_M = 3.5
KERB_M = 6.1
"""Distance of the kerb from the middle line."""
WALK_M = 9.3
"""Outer edge of the sidewalk."""
CROSSING_SPACING_M, CROSSING_HALF_M = 56.0, 2.0
"""Zebra crossings: distance between two, and half the width of one."""

_BEHIND_M, _AHEAD_M = 70.0, 110.0
_LABEL_RANGE_M = 60.0
_EGO_SPEED_MPS = 7.0
_STREAMS = {"parked": 0, "traffic": 1, "people": 2, "trees": 3, "houses": 4, "works": 5}

Colour = tuple[float, float, float]
_CAR_COLOURS: tuple[Colour, ...] = (
    (0.72, 0.10, 0.10),
    (0.12, 0.25, 0.55),
    (0.82, 0.83, 0.85),
    (0.12, 0.13, 0.14),
    (0.45, 0.47, 0.50),
    (0.75, 0.62, 0.30),
    (0.15, 0.40, 0.32),
)
_HOUSE_COLOURS: tuple[Colour, ...] = (
    (0.62, 0.42, 0.34),
    (0.74, 0.68, 0.57),
    (0.55, 0.55, 0.58),
    (0.68, 0.58, 0.50),
    (0.48, 0.36, 0.32),
)
_CLOTHES: tuple[Colour, ...] = (
    (0.75, 0.2, 0.2),
    (0.2, 0.35, 0.7),
    (0.85, 0.8, 0.3),
    (0.25, 0.25, 0.28),
    (0.85, 0.85, 0.85),
)
_CONE_COLOUR: Colour = (0.9, 0.33, 0.06)
_BARK: Colour = (0.30, 0.22, 0.15)


@dataclass(frozen=True)
class Solid:
    """A cuboid or an ellipsoid that fills it; ego frame, metres."""

    centre_m: tuple[float, float, float]
    half_m: tuple[float, float, float]
    """Half its length (along its own x), width and height."""
    yaw_rad: float
    colour: Colour
    """Albedo, 0..1."""
    paint: str = "plain"
    """plain, car, glass, bus, facade, barrier, or ball (the ellipsoid)."""
    shadow: bool = True


@dataclass(frozen=True)
class EgoPose:
    """Where the vehicle stands on the road."""

    x_m: float
    y_m: float
    yaw_rad: float


@dataclass(frozen=True)
class Street:
    """What can be seen from the vehicle at one moment."""

    ego: EgoPose
    solids: tuple[Solid, ...]
    boxes: TrueBoxes


@dataclass(frozen=True)
class _Thing:
    """A labelled object in road coordinates."""

    class_name: str
    x_m: float
    y_m: float
    yaw_rad: float
    size_m: tuple[float, float, float]
    """Width, length, height."""
    velocity_mps: tuple[float, float]
    colour: Colour


def street_at(index: int, seed: int) -> Street:
    """The street around the vehicle at frame set `index`."""
    time_s = index * STEP_S
    x_m = _EGO_SPEED_MPS * time_s
    # The vehicle drifts a little within its lane, and turns by as much as that takes.
    ego = EgoPose(x_m, -LANE_M / 2 + 0.25 * np.sin(x_m / 25), float(np.arctan(0.01 * np.cos(x_m / 25))))
    things = [thing for thing in _things(ego, time_s, seed) if not _hits_ego(thing, ego)]
    solids = [solid for thing in things for solid in _solids_of(thing)]
    solids += _scenery(ego, seed)
    near = [thing for thing in things if np.hypot(thing.x_m - ego.x_m, thing.y_m - ego.y_m) < _LABEL_RANGE_M]
    rows = [_box_row(thing, ego) for thing in near]
    boxes = TrueBoxes(np.array(rows, np.float32).reshape(-1, 9), tuple(thing.class_name for thing in near))  # [n, 9]
    return Street(ego, tuple(_in_ego(solid, ego) for solid in solids), boxes)


def _draws(seed: int, stream: str, slot: int) -> np.random.Generator:
    return np.random.default_rng((seed, _STREAMS[stream], slot & 0xFFFFFFFF))


def _slots(x_m: float, spacing_m: float) -> range:
    return range(int((x_m - _BEHIND_M) // spacing_m), int((x_m + _AHEAD_M) // spacing_m) + 1)


def _crossing_distance_m(x_m: float) -> float:
    return abs((x_m + CROSSING_SPACING_M / 2) % CROSSING_SPACING_M - CROSSING_SPACING_M / 2)


def _things(ego: EgoPose, time_s: float, seed: int) -> Iterator[_Thing]:
    for side in (-1, 1):
        for slot in _slots(ego.x_m, 7.2):
            draws = _draws(seed, "parked", 2 * slot + (side > 0))
            x_m = slot * 7.2 + draws.uniform(-0.5, 0.5)
            if draws.random() < 0.62 and _crossing_distance_m(x_m) > 6:
                yaw = (0.0 if side < 0 else np.pi) + draws.normal(0, 0.02)
                yield _car(draws, x_m, side * 4.95, yaw, 0.0)
    for direction, y_m, spacing_m in ((1, -LANE_M / 2, 24.0), (-1, LANE_M / 2, 19.0)):
        speed_mps = direction * (_EGO_SPEED_MPS if direction > 0 else 8.5)
        for slot in _slots(ego.x_m - speed_mps * time_s, spacing_m):
            draws = _draws(seed, "traffic", 2 * slot + (direction > 0))
            x_m = slot * spacing_m + draws.uniform(-4, 4) + 14 * (direction > 0) + speed_mps * time_s
            kind, heading = draws.random(), 0.0 if direction > 0 else np.pi
            if kind < 0.14:
                size = (2.9, 11.0, 3.3) if kind < 0.07 else (2.4, 7.2, 3.0)
                name = "bus" if kind < 0.07 else "truck"
                colour = (0.85, 0.62, 0.12) if name == "bus" else (0.78, 0.79, 0.80)
                yield _Thing(name, x_m, y_m, heading, size, (speed_mps, 0.0), colour)
            elif kind < 0.8:
                yield _car(draws, x_m, y_m, heading + draws.normal(0, 0.01), speed_mps)
    yield from _people(ego, time_s, seed)
    for slot in _slots(ego.x_m, 45.0):
        draws = _draws(seed, "works", slot)
        x_m, y_m = slot * 45.0 + 12.0, -KERB_M - 0.8
        if draws.random() < 0.6:
            for k in range(4):
                size, place = (0.42, 0.42, 0.85), (x_m + 1.6 * k, y_m + 0.25 * k)
                yield _Thing("traffic_cone", *place, 0.0, size, (0.0, 0.0), _CONE_COLOUR)
            yaw, size = draws.normal(0, 0.1), (2.2, 0.4, 1.0)
            yield _Thing("barrier", x_m + 8.0, y_m + 0.5, yaw, size, (0.0, 0.0), (0.85, 0.85, 0.82))


def _people(ego: EgoPose, time_s: float, seed: int) -> Iterator[_Thing]:
    for slot in _slots(ego.x_m, 5.0):
        draws = _draws(seed, "people", slot)
        side, forward = (1 if draws.random() < 0.5 else -1), (1 if draws.random() < 0.5 else -1)
        height_m, colour = draws.uniform(1.55, 1.9), _CLOTHES[draws.integers(len(_CLOTHES))]
        size = (0.62, 0.5, height_m)
        if draws.random() < 0.55:
            speed_mps = forward * draws.uniform(0.8, 1.5)
            # People walk to and fro on a stretch of 8 s; nobody leaves the slot far behind.
            phase_s = (time_s + draws.uniform(0, 16)) % 16
            there = phase_s < 8
            offset_m, velocity = (speed_mps * phase_s, speed_mps) if there else (speed_mps * (16 - phase_s), -speed_mps)
            x_m = slot * 5.0 + offset_m
            y_m = side * draws.uniform(KERB_M + 0.9, WALK_M - 0.5)
            yield _Thing("pedestrian", x_m, y_m, 0.0 if velocity > 0 else np.pi, size, (velocity, 0.0), colour)
    for slot in _slots(ego.x_m, CROSSING_SPACING_M):
        for who in range(2):
            draws = _draws(seed, "people", 1_000_003 * (who + 1) + slot)
            phase_s = (time_s + draws.uniform(0, 22)) % 22
            y_m, x_m = KERB_M + 1.5 - 1.3 * phase_s, slot * CROSSING_SPACING_M + draws.uniform(-1.4, 1.4)
            if abs(y_m) < KERB_M + 1.5:
                colour = _CLOTHES[draws.integers(len(_CLOTHES))]
                yield _Thing("pedestrian", x_m, y_m, -np.pi / 2, (0.62, 0.5, 1.75), (0.0, -1.3), colour)


def _car(draws: np.random.Generator, x_m: float, y_m: float, yaw_rad: float, speed_mps: float) -> _Thing:
    size = (draws.uniform(1.75, 1.95), draws.uniform(4.1, 4.9), draws.uniform(1.45, 1.75))
    colour = _CAR_COLOURS[draws.integers(len(_CAR_COLOURS))]
    return _Thing("car", x_m, y_m, float(yaw_rad), size, (speed_mps, 0.0), colour)


def _hits_ego(thing: _Thing, ego: EgoPose) -> bool:
    """Whether it would stand on the vehicle's own place, 1.2 m ahead of its origin, 4.5 m long and 2 m wide."""
    ahead_m, aside_m = thing.x_m - ego.x_m - 1.2, thing.y_m - ego.y_m
    along_m = max(thing.size_m[1] * abs(np.cos(thing.yaw_rad)), thing.size_m[0])
    return abs(ahead_m) < along_m / 2 + 4.5 and abs(aside_m) < 1.6


def _solids_of(thing: _Thing) -> list[Solid]:
    """The cuboids and balls that an object is drawn with, in road coordinates; together they fill its box."""
    (width, length, height), colour = thing.size_m, thing.colour
    cos, sin = np.cos(thing.yaw_rad), np.sin(thing.yaw_rad)

    def part(along: float, z: float, half: tuple[float, float, float], colour: Colour, paint: str = "plain") -> Solid:
        centre = (thing.x_m + along * length * cos, thing.y_m + along * length * sin, z * height)
        return Solid(centre, (half[0] * length, half[1] * width, half[2] * height), thing.yaw_rad, colour, paint)

    if thing.class_name == "car":
        body = part(0, 0.335, (0.5, 0.5, 0.265), colour, "car")
        return [body, part(-0.06, 0.8, (0.29, 0.44, 0.2), colour, "glass")]
    if thing.class_name == "truck":
        cab: Colour = (0.55, 0.12, 0.12)
        return [part(-0.14, 0.54, (0.36, 0.5, 0.46), colour), part(0.37, 0.42, (0.13, 0.48, 0.38), cab, "bus")]
    if thing.class_name == "bus":
        return [part(0, 0.53, (0.5, 0.5, 0.47), colour, "bus")]
    if thing.class_name == "pedestrian":
        trousers, skin = (0.13, 0.14, 0.2), (0.72, 0.53, 0.42)
        legs = part(0, 0.24, (0.28, 0.3, 0.24), trousers)
        return [legs, part(0, 0.66, (0.36, 0.42, 0.2), colour), part(0, 0.93, (0.24, 0.2, 0.07), skin, "ball")]
    if thing.class_name == "traffic_cone":
        white = (0.92, 0.92, 0.92)
        foot, top = part(0, 0.05, (0.5, 0.5, 0.05), colour), part(0, 0.85, (0.15, 0.15, 0.15), colour)
        return [foot, part(0, 0.3, (0.32, 0.32, 0.2), colour), part(0, 0.6, (0.24, 0.24, 0.1), white), top]
    return [part(0, 0.5, (0.5, 0.5, 0.5), colour, "barrier")]


def _scenery(ego: EgoPose, seed: int) -> list[Solid]:
    """Trees and houses in road coordinates: drawn, not labelled."""
    solids = []
    for side in (-1, 1):
        for slot in _slots(ego.x_m, 13.0):
            draws = _draws(seed, "trees", 2 * slot + (side > 0))
            x_m, y_m, height_m = slot * 13.0 + draws.uniform(-3, 3), side * (WALK_M + 1.3), draws.uniform(4.5, 7.5)
            green = (0.16 + 0.1 * draws.random(), 0.36 + 0.1 * draws.random(), 0.12)
            crown_m = height_m * draws.uniform(0.26, 0.34)
            if draws.random() < 0.75:
                trunk, crown = (0.16, 0.16, height_m * 0.25), (crown_m, crown_m, height_m * 0.32)
                solids.append(Solid((x_m, y_m, height_m * 0.25), trunk, 0.3, _BARK))
                solids.append(Solid((x_m, y_m, height_m * 0.68), crown, 0.0, green, "ball"))
        for slot in _slots(ego.x_m, 17.0):
            draws = _draws(seed, "houses", 2 * slot + (side > 0))
            depth_m, height_m, gap_m = draws.uniform(8, 14), 3.2 * draws.integers(2, 6), draws.uniform(0, 3)
            centre = (slot * 17.0, side * (WALK_M + 4.5 + depth_m / 2), height_m / 2)
            if draws.random() < 0.88:
                half = ((17.0 - gap_m) / 2, depth_m / 2, height_m / 2)
                colour = _HOUSE_COLOURS[draws.integers(len(_HOUSE_COLOURS))]
                solids.append(Solid(centre, half, 0.0, colour, "facade", shadow=False))
    return solids


def _xy_in_ego(x_m: float, y_m: float, ego: EgoPose) -> tuple[float, float]:
    cos, sin = np.cos(ego.yaw_rad), np.sin(ego.yaw_rad)
    dx, dy = x_m - ego.x_m, y_m - ego.y_m
    return float(cos * dx + sin * dy), float(-sin * dx + cos * dy)


def _in_ego(solid: Solid, ego: EgoPose) -> Solid:
    x, y, z = solid.centre_m
    centre = (*_xy_in_ego(x, y, ego), z)
    return Solid(centre, solid.half_m, solid.yaw_rad - ego.yaw_rad, solid.colour, solid.paint, solid.shadow)


def _box_row(thing: _Thing, ego: EgoPose) -> list[float]:
    """A labelled object in the columns of `tasks.BOX_FIELDS`."""
    x, y = _xy_in_ego(thing.x_m, thing.y_m, ego)
    vx, vy = _xy_in_ego(thing.velocity_mps[0] + ego.x_m, thing.velocity_mps[1] + ego.y_m, ego)
    yaw = (thing.yaw_rad - ego.yaw_rad + np.pi) % (2 * np.pi) - np.pi
    return [x, y, thing.size_m[2] / 2, *thing.size_m, yaw, vx, vy]
