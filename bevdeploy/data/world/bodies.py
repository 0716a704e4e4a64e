"""What an annotated object is drawn with: the solids of a track, in its own frame, all inside its annotated box.

x forward, y left, z up from the ground; the origin is under the middle of the box.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from bevdeploy.data.world.scene import Colour, Solid, Track
from bevdeploy.errors import GeometryError

SLACK: Final = 0.985
"""Bodies fill this share of their box's length and width: annotated boxes are a little wide, and lidar has noise."""

_TYRE: Colour = (0.05, 0.05, 0.055)
_IRON: Colour = (0.13, 0.13, 0.14)
_CHROME: Colour = (0.6, 0.61, 0.63)
_YELLOW: Colour = (0.93, 0.66, 0.04)
_ORANGE: Colour = (0.95, 0.32, 0.04)
_WHITE: Colour = (0.93, 0.93, 0.92)
_CARS: tuple[Colour, ...] = (
    (0.66, 0.07, 0.08),
    (0.10, 0.20, 0.50),
    (0.86, 0.87, 0.88),
    (0.80, 0.81, 0.83),
    (0.08, 0.085, 0.09),
    (0.20, 0.21, 0.23),
    (0.45, 0.47, 0.50),
    (0.55, 0.57, 0.60),
    (0.48, 0.42, 0.33),
    (0.10, 0.30, 0.24),
    (0.30, 0.42, 0.58),
    (0.36, 0.10, 0.14),
)
_BUSES: tuple[Colour, ...] = ((0.90, 0.58, 0.06), (0.75, 0.10, 0.09), (0.08, 0.45, 0.42), (0.93, 0.74, 0.20))
_CABS: tuple[Colour, ...] = ((0.55, 0.09, 0.08), (0.12, 0.22, 0.48), (0.85, 0.85, 0.85), (0.14, 0.34, 0.22))
_TARPAULINS: tuple[Colour, ...] = ((0.13, 0.22, 0.46), (0.10, 0.34, 0.28), (0.44, 0.12, 0.13))
_CLOTHES: tuple[Colour, ...] = (
    (0.72, 0.16, 0.16),
    (0.16, 0.28, 0.62),
    (0.85, 0.76, 0.25),
    (0.16, 0.16, 0.18),
    (0.86, 0.86, 0.84),
    (0.18, 0.45, 0.28),
    (0.50, 0.28, 0.52),
    (0.50, 0.46, 0.40),
)
_TROUSERS: tuple[Colour, ...] = ((0.10, 0.11, 0.17), (0.18, 0.22, 0.32), (0.30, 0.26, 0.21), (0.07, 0.07, 0.08))
_SKIN: tuple[Colour, ...] = ((0.80, 0.60, 0.48), (0.58, 0.40, 0.29), (0.36, 0.23, 0.16), (0.72, 0.52, 0.40))
_HAIR: tuple[Colour, ...] = ((0.08, 0.06, 0.05), (0.30, 0.20, 0.11), (0.55, 0.42, 0.22), (0.45, 0.45, 0.46))


class _Parts:
    """Collects solids; places and sizes along the box in shares of it, or in metres where the name says so."""

    def __init__(self, track: Track) -> None:
        width, length, height = track.size_wlh_m
        self.width, self.length, self.height = width * SLACK, length * SLACK, height
        self.draws = np.random.default_rng((track.look & 0xFFFFFFFF, 17))
        self.solids: list[Solid] = []

    def pick(self, colours: tuple[Colour, ...]) -> Colour:
        return colours[int(self.draws.integers(len(colours)))]

    def box(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        colour: Colour,
        paint: str = "plain",
        shadow: bool = True,
    ) -> None:
        """From-to along x and y (-0.5..0.5) and z (0..1)."""
        centre = ((x[0] + x[1]) / 2 * self.length, (y[0] + y[1]) / 2 * self.width, (z[0] + z[1]) / 2 * self.height)
        half = ((x[1] - x[0]) / 2 * self.length, (y[1] - y[0]) / 2 * self.width, (z[1] - z[0]) / 2 * self.height)
        self.solids.append(Solid(centre, half, 0.0, colour, paint, shadow))

    def wheel(self, x: float, y: float, radius_m: float, half_width_m: float) -> None:
        """Standing on the ground, its outer side at `y` of the box."""
        radius_m = min(radius_m, (0.5 - abs(x)) * self.length)
        inward = half_width_m * np.sign(y)
        centre = (x * self.length, float(y * self.width - inward), radius_m)
        self.solids.append(Solid(centre, (radius_m, half_width_m, radius_m), 0.0, _TYRE, "wheel", False))

    def axles(self, places: tuple[float, ...], radius_m: float, half_width_m: float = 0.12) -> None:
        for x in places:
            self.wheel(x, 0.5, radius_m, half_width_m)
            self.wheel(x, -0.5, radius_m, half_width_m)


def body_of(track: Track) -> tuple[Solid, ...]:
    """The solids of a track in its own frame.

    Raises:
        GeometryError: nothing is known about how its class looks.
    """
    if track.class_name not in _BODIES:
        raise GeometryError(f"no body for class {track.class_name!r}; there are {', '.join(_BODIES)}")
    parts = _Parts(track)
    _BODIES[track.class_name](parts, track)
    return tuple(parts.solids)


def _car(parts: _Parts, track: Track) -> None:
    colour, kind = parts.pick(_CARS), parts.draws.random()
    # Saloon, hatchback or van, by where the cabin begins and ends.
    start, stop, paint = (-0.4, 0.27, "saloon") if kind < 0.4 else (-0.49, 0.27, "hatch")
    stop, waist = (stop, 0.56) if kind < 0.85 else (0.4, 0.5)
    parts.box((-0.5, 0.5), (-0.485, 0.485), (0.14, waist), colour, "car")
    parts.box((start, stop), (-0.46, 0.46), (waist, 1.0), colour, paint)
    for y in ((-0.5, -0.44), (0.44, 0.5)):
        parts.box((stop - 0.1, stop - 0.07), y, (waist, waist + 0.09), colour, shadow=False)
    parts.axles((-0.31, 0.31), min(0.34, parts.height * 0.22))


def _bus(parts: _Parts, track: Track) -> None:
    colour = parts.pick(_BUSES)
    parts.box((-0.5, 0.5), (-0.49, 0.49), (0.1, 0.95), colour, "bus")
    parts.box((-0.3, 0.1), (-0.3, 0.3), (0.95, 1.0), _WHITE, shadow=False)
    parts.axles((-0.28, 0.3), 0.48, 0.16)


def _truck(parts: _Parts, track: Track) -> None:
    cab = parts.pick(_CABS)
    nose = 0.5 - min(0.36, 2.2 / parts.length)
    parts.box((-0.5, nose - 0.02), (-0.5, 0.5), (0.3, 1.0), _WHITE, "cargo")
    parts.box((-0.49, 0.46), (-0.36, 0.36), (0.14, 0.3), _IRON)
    parts.box((nose, 0.5), (-0.47, 0.47), (0.13, 0.8), cab, "cab")
    parts.box((nose, nose + 0.08), (-0.42, 0.42), (0.8, 0.93), cab)
    parts.axles((-0.36, -0.22, (nose + 0.5) / 2), min(0.5, parts.height * 0.17), 0.16)


def _trailer(parts: _Parts, track: Track) -> None:
    colour = parts.pick(_TARPAULINS)
    parts.box((-0.5, 0.5), (-0.5, 0.5), (0.28, 1.0), colour, "trailer")
    parts.box((-0.5, 0.48), (-0.4, 0.4), (0.2, 0.28), _IRON)
    for y in ((-0.36, -0.3), (0.3, 0.36)):
        parts.box((0.26, 0.28), y, (0.0, 0.2), _CHROME)
    parts.axles((-0.4, -0.3, -0.2), min(0.48, parts.height * 0.15), 0.16)


def _construction_vehicle(parts: _Parts, track: Track) -> None:
    if parts.draws.random() < 0.6:  # an excavator: treads, a house with a cab, boom, stick and bucket
        for y in ((-0.5, -0.27), (0.27, 0.5)):
            parts.box((-0.48, 0.14), y, (0.0, 0.26), _IRON, "tread")
        parts.box((-0.5, 0.08), (-0.42, 0.42), (0.28, 0.58), _YELLOW, "machine")
        parts.box((-0.2, 0.06), (0.04, 0.42), (0.58, 0.92), _YELLOW, "glass")
        for x, z in (((0.06, 0.16), (0.4, 0.72)), ((0.13, 0.24), (0.6, 0.9)), ((0.21, 0.36), (0.84, 1.0))):
            parts.box(x, (-0.1, 0.06), z, _YELLOW)
        for x, z in (((0.34, 0.42), (0.62, 0.93)), ((0.38, 0.46), (0.3, 0.68))):
            parts.box(x, (-0.09, 0.05), z, _YELLOW)
        parts.box((0.34, 0.5), (-0.2, 0.16), (0.1, 0.32), _IRON)
        return
    # A wheel loader: big wheels, engine behind, cab in the middle, arms and a bucket ahead.
    parts.box((-0.5, -0.08), (-0.4, 0.4), (0.26, 0.62), _YELLOW, "machine")
    parts.box((-0.12, 0.12), (-0.3, 0.3), (0.5, 1.0), _YELLOW, "glass")
    parts.box((0.08, 0.3), (-0.3, 0.3), (0.24, 0.48), _YELLOW)
    for y in ((-0.26, -0.16), (0.16, 0.26)):
        parts.box((0.18, 0.4), y, (0.4, 0.52), _YELLOW)
    parts.box((0.36, 0.5), (-0.5, 0.5), (0.04, 0.38), (0.32, 0.3, 0.27))
    parts.axles((-0.3, 0.2), min(0.75, parts.height * 0.24), 0.25)


def _motorcycle(parts: _Parts, track: Track) -> None:
    colour, tall = parts.pick(_CARS[:6]), 0.62 if track.ridden else 0.95
    radius_m = min(0.31, parts.length * 0.16)
    _two_wheels(parts, radius_m, 0.08)
    parts.box((-0.3, 0.24), (-0.16, 0.16), (0.22 * tall, 0.62 * tall), _IRON)
    parts.box((-0.08, 0.2), (-0.2, 0.2), (0.55 * tall, 0.85 * tall), colour)
    parts.box((-0.45, -0.06), (-0.16, 0.16), (0.6 * tall, 0.78 * tall), (0.06, 0.06, 0.06))
    parts.box((0.24, 0.34), (-0.16, 0.16), (0.3 * tall, 0.95 * tall), colour)
    parts.box((0.2, 0.25), (-0.5, 0.5), (0.95 * tall, tall), _CHROME)
    if track.ridden:
        _rider(parts, -0.12, 0.5, helmet=True)


def _bicycle(parts: _Parts, track: Track) -> None:
    colour, tall = parts.pick(_CLOTHES), 0.56 if track.ridden else 0.96
    _two_wheels(parts, min(0.34, parts.length * 0.19), 0.03)
    parts.box((-0.28, 0.3), (-0.05, 0.05), (0.52 * tall, 0.6 * tall), colour)
    parts.box((-0.2, -0.15), (-0.05, 0.05), (0.3 * tall, 0.86 * tall), colour)
    parts.box((0.26, 0.31), (-0.05, 0.05), (0.3 * tall, 0.95 * tall), colour)
    parts.box((-0.25, -0.09), (-0.16, 0.16), (0.86 * tall, 0.92 * tall), _TYRE)
    parts.box((0.22, 0.27), (-0.48, 0.48), (0.94 * tall, tall), _CHROME)
    if track.ridden:
        _rider(parts, -0.1, 0.46, helmet=False)


def _two_wheels(parts: _Parts, radius_m: float, half_width_m: float) -> None:
    x_m = parts.length / 2 - radius_m
    for x in (-x_m, x_m):
        half = (radius_m, min(half_width_m, parts.width / 2), radius_m)
        parts.solids.append(Solid((x, 0.0, radius_m), half, 0.0, _TYRE, "wheel"))


def _rider(parts: _Parts, x: float, seat: float, helmet: bool) -> None:
    cloth, trousers, skin = parts.pick(_CLOTHES), parts.pick(_TROUSERS), parts.pick(_SKIN)
    head_m = min(0.13, parts.height * 0.075)
    neck = 1 - 2 * head_m / parts.height
    for y in ((-0.34, -0.14), (0.14, 0.34)):
        parts.box((x + 0.02, x + 0.18), y, (seat * 0.4, seat + 0.02), trousers)
        parts.box((x + 0.1, x + 0.34), (y[0] * 1.3, y[1] * 1.3) if helmet else y, (neck - 0.16, neck - 0.08), cloth)
    parts.box((x - 0.08, x + 0.12), (-0.36, 0.36), (seat, neck), cloth)
    head = (float((x + 0.05) * parts.length), 0.0, parts.height - head_m)
    colour = parts.pick(((0.85, 0.1, 0.1), _WHITE, _IRON)) if helmet else skin
    half = (head_m, min(head_m, parts.width / 2), head_m)
    parts.solids.append(Solid(head, half, 0.0, colour, "ball"))


def _pedestrian(parts: _Parts, track: Track) -> None:
    cloth, trousers, skin = parts.pick(_CLOTHES), parts.pick(_TROUSERS), parts.pick(_SKIN)
    hair, stride = parts.pick(_HAIR), float(parts.draws.uniform(0.04, 0.22)) * (not track.parked)
    head_m = min(0.12, parts.height * 0.075)
    neck = 1 - 2 * head_m / parts.height
    if track.seated:
        hip, waist = 0.3, 0.42
        for y in ((-0.34, -0.04), (0.04, 0.34)):
            parts.box((-0.2, 0.46), y, (hip, waist), trousers)
            parts.box((0.3, 0.46), y, (0.0, hip), trousers)
        parts.box((-0.34, 0.3), (-0.36, 0.36), (0.0, hip), _IRON)
    else:
        waist = 0.48
        for y, x in (((-0.3, -0.03), stride), ((0.03, 0.3), -stride)):
            parts.box((x - 0.17, x + 0.17), y, (0.03, waist), trousers)
            parts.box((x - 0.17, min(0.5, x + 0.3)), y, (0.0, 0.04), _TYRE)
    parts.box((-0.22, 0.22), (-0.34, 0.34), (waist, neck), cloth)
    sleeve = (cloth[0] * 0.85, cloth[1] * 0.85, cloth[2] * 0.85)
    for y, x in (((-0.5, -0.36), -stride), ((0.36, 0.5), stride)):
        parts.box((x - 0.12, x + 0.12), y, (waist - 0.04, neck - 0.02), sleeve)
    half = (min(head_m, parts.length / 2), min(head_m * 0.85, parts.width / 2), head_m)
    parts.solids.append(Solid((0.0, 0.0, parts.height - head_m), half, 0.0, skin, "ball"))
    cap = (half[0] * 0.93, half[1] * 0.97, head_m * 0.5)
    parts.solids.append(Solid((-0.02 * parts.length, 0.0, parts.height - head_m * 0.5), cap, 0.0, hair, "ball", False))


def _barrier(parts: _Parts, track: Track) -> None:
    # Its long side is its width: a nuScenes barrier faces along its heading.
    parts.box((-0.22, 0.22), (-0.5, 0.5), (0.55, 1.0), _WHITE, "barrier")
    parts.box((-0.16, 0.16), (-0.5, 0.5), (0.22, 0.45), _WHITE, "barrier")
    for y in ((-0.44, -0.36), (0.36, 0.44)):
        parts.box((-0.5, 0.5), y, (0.0, 0.1), _IRON)
        parts.box((-0.12, 0.12), y, (0.1, 0.55), _IRON)


def _cone(parts: _Parts, track: Track) -> None:
    parts.box((-0.5, 0.5), (-0.5, 0.5), (0.0, 0.06), _ORANGE)
    parts.box((-0.36, 0.36), (-0.36, 0.36), (0.06, 1.0), _ORANGE, "cone")


_BODIES: Final[dict[str, Callable[[_Parts, Track], None]]] = {
    "car": _car,
    "truck": _truck,
    "construction_vehicle": _construction_vehicle,
    "bus": _bus,
    "trailer": _trailer,
    "barrier": _barrier,
    "motorcycle": _motorcycle,
    "bicycle": _bicycle,
    "pedestrian": _pedestrian,
    "traffic_cone": _cone,
}
