"""What stands still during a scene: parked vehicles, works, racks, groups of people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bevdeploy.data.world.classes import KINDS
from bevdeploy.data.world.kerbside import PLACE_M, places_along
from bevdeploy.data.world.map_layers import STRIP_M, WALKWAY_M
from bevdeploy.data.world.scene import Float64, Strip, Town, Track

Near = Callable[[float, float], bool]


class Stand:
    """Collects standing objects."""

    def __init__(self, times_s: tuple[float, float], draws: np.random.Generator) -> None:
        self.times_s, self.draws = np.array(times_s), draws
        self.tracks: list[Track] = []

    def put(
        self, kind: str, x_m: float, y_m: float, yaw_rad: float, parked: bool = False, seated: bool = False
    ) -> tuple[float, float, float]:
        """Puts one object there; returns its size."""
        sort = KINDS[kind]
        size = sort.size(self.draws)
        if seated:
            size = (size[0], size[1] + 0.15, round(size[2] * 0.72, 3))
        poses = np.tile([x_m, y_m, yaw_rad], (2, 1))
        look = int(self.draws.integers(1 << 31))
        self.tracks.append(
            Track(sort.class_name, sort.category, size, self.times_s, poses, look, parked=parked, seated=seated)
        )
        return size

    def put_in(
        self, kind: str, frame: Float64, along_m: float, left_m: float, turn_rad: float = 0.0, parked: bool = False
    ) -> None:
        """Puts one object at a place of a local frame x, y, yaw."""
        x, y = in_frame(frame, along_m, left_m)
        self.put(kind, x, y, float(frame[2]) + turn_rad, parked)


def in_frame(frame: Float64, along_m: float, left_m: float) -> tuple[float, float]:
    """Global place of a point of the frame x, y, yaw."""
    cos, sin = np.cos(frame[2]), np.sin(frame[2])
    return float(frame[0] + cos * along_m - sin * left_m), float(frame[1] + sin * along_m + cos * left_m)


def standing_tracks(town: Town, near: Near, times_s: tuple[float, float], draws: np.random.Generator) -> list[Track]:
    """All of it, where `near` says that it matters."""
    stand = Stand(times_s, draws)
    for strip in town.strips:
        x, y = strip.line_m.mean(axis=0)
        if near(float(x), float(y)):
            _furnish(stand, strip, draws)
    kerb_places = sum(len(places_along(strip)) for strip in town.strips if strip.kind == "bay")
    for x, y, yaw in town.parking[kerb_places:].tolist():
        if near(x, y) and draws.random() < 0.6:
            stand.put("car", x, y, yaw + draws.normal(0, 0.02), parked=True)
    for x, y, yaw in town.long_parking.tolist():
        if near(x, y) and draws.random() < 0.85:
            kind = str(draws.choice(["trailer", "truck", "bus", "construction_vehicle"], p=[0.6, 0.15, 0.2, 0.05]))
            stand.put(kind, x, y, yaw, parked=True)
    for site in town.sites:
        if near(float(site[0]), float(site[1])):
            _building_site(stand, site, draws)
    return stand.tracks


def _furnish(stand: Stand, strip: Strip, draws: np.random.Generator) -> None:
    places = places_along(strip)
    choice = draws.random()
    if strip.kind != "verge" and choice < 0.22 and len(places) >= 3:
        _works(stand, places, draws)
    elif strip.kind == "bay":
        _park(stand, places, draws)
    elif strip.kind == "bare":
        frame = places[len(places) // 2]
        if choice < 0.5:
            rack = "bicycle" if draws.random() < 0.72 else "motorcycle"
            for k in range(int(draws.integers(2, 4))):
                stand.put_in(rack, frame, 1.2 * k - 1.8, 0.0, np.pi / 2 + draws.normal(0, 0.06), parked=True)
        elif choice < 0.7:
            for k in range(int(draws.integers(2, 5))):
                stand.put_in("barrier", frame, 2.7 * k - 4.0, 0.6, np.pi / 2 + draws.normal(0, 0.03))
        elif choice < 0.9:
            for k in range(int(draws.integers(3, 7))):
                stand.put_in("cone", frame, 1.5 * k - 3.7, 0.8 + draws.normal(0, 0.06))
    if strip.kind != "bay" and draws.random() < 0.3:
        _group(stand, places[0], draws)


def _park(stand: Stand, places: Float64, draws: np.random.Generator) -> None:
    k = 0
    while k < len(places):
        x, y, yaw = places[k]
        free = len(places) - k
        what = draws.random()
        if what < 0.17 and free >= 2:
            kind = str(draws.choice(["truck", "bus", "trailer"], p=[0.3, 0.34, 0.36]))
            stand.put_in(kind, places[k], PLACE_M / 2, -0.05, parked=True)
            k += 1
        elif what < 0.19:
            for n in range(int(draws.integers(1, 3))):
                stand.put_in("motorcycle", places[k], 1.3 * n - 1.3, 0.0, np.pi / 2 + draws.normal(0, 0.1), parked=True)
        elif what < 0.80:
            stand.put("car", float(x + draws.normal(0, 0.1)), float(y), float(yaw + draws.normal(0, 0.02)), parked=True)
        k += 1


def _works(stand: Stand, places: Float64, draws: np.random.Generator) -> None:
    """Road works in a strip: cones before and behind, barriers, a machine, workers."""
    middle = (len(places) - 1) / 2
    frame = places[int(middle)]
    half_m = min(len(places) * PLACE_M / 2, 13.0) - (0.0 if len(places) % 2 else 0.5)
    half_m -= abs(middle - int(middle)) * PLACE_M
    stand.put_in("construction_vehicle", frame, 0.0, -0.25, np.pi * float(draws.random() < 0.3), parked=True)
    at_m = 5.2
    while at_m + 1.3 < half_m:
        for side in (-1, 1):
            if at_m < 8.0:
                stand.put_in("barrier", frame, side * at_m, 0.75, np.pi / 2 + draws.normal(0, 0.03))
            else:
                stand.put_in("cone", frame, side * at_m, 0.9 - 0.12 * (at_m - 8.0))
        at_m += 2.7 if at_m < 8.0 else 1.6
    for side in (-1, 1):
        stand.put_in("cone", frame, side * 3.75, 1.25)
    for k in range(3):
        stand.put_in("cone", frame, 3.75, 0.5 - 0.8 * k)
    if draws.random() < 0.6:
        stand.put_in("worker", frame, 5.0, -0.4, draws.uniform(0, 6.28))


def _building_site(stand: Stand, site: Float64, draws: np.random.Generator) -> None:
    """A machine behind a row of barriers along the walkway."""
    if draws.random() < 0.15:
        return
    half_length_m, half_depth_m = float(site[3]), float(site[4])
    front_m = -half_depth_m + 0.9
    for along_m in np.arange(-half_length_m + 1.6, half_length_m - 1.2, 2.75):
        if abs(along_m - 2.0) > 2.0:
            stand.put_in("barrier", site, float(along_m), front_m, np.pi / 2 + draws.normal(0, 0.02))
    for k in range(int(draws.integers(4, 7))):
        stand.put_in("cone", site, 0.2 + 1.1 * k, front_m + 1.2 + 0.12 * k)
    stand.put_in("construction_vehicle", site, -3.5, draws.uniform(-2.0, 1.0), draws.uniform(-0.6, 0.6), parked=True)
    if draws.random() < 0.4:
        stand.put_in("truck", site, 5.5, 3.0, np.pi / 2 + draws.normal(0, 0.1), parked=True)
    for _ in range(int(draws.integers(0, 3))):
        stand.put_in("worker", site, draws.uniform(1.0, 8.0), draws.uniform(-4.0, -1.5), draws.uniform(0, 6.28))


def _group(stand: Stand, frame: Float64, draws: np.random.Generator) -> None:
    """People who stand together behind the walkway's middle."""
    away_m = -(STRIP_M / 2 + WALKWAY_M + 0.35)
    count = int(draws.integers(2, 5))
    turn = draws.uniform(0, 2 * np.pi)
    for k in range(count):
        angle = turn + 2 * np.pi * k / count
        x, y = in_frame(frame, 0.75 * np.cos(angle), away_m + 0.6 * np.sin(angle))
        stand.put("child" if draws.random() < 0.12 else "adult", x, y, float(frame[2]) + angle + np.pi)
