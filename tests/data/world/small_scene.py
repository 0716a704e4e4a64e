"""A street corner made by hand, and a slow caster of single rays that the fast sensors must agree with."""

from __future__ import annotations

import numpy as np

from bevdeploy.data.world.paint import BALLS, PAINTS
from bevdeploy.data.world.scene import Light, Scene, Solid, Town, Track
from bevdeploy.data.world.solid_arrays import SolidArrays

LIGHT = Light((0.48, -0.36, 0.8), 0.5, 0.6, (1.0, 1.0, 1.0), 300.0)

SIZES = {
    "car": (1.9, 4.5, 1.6),
    "truck": (2.5, 7.5, 3.1),
    "construction_vehicle": (2.7, 6.5, 3.2),
    "bus": (2.9, 11.0, 3.4),
    "trailer": (2.6, 12.0, 3.9),
    "barrier": (2.5, 0.5, 1.0),
    "motorcycle": (0.8, 2.1, 1.5),
    "bicycle": (0.6, 1.7, 1.35),
    "pedestrian": (0.65, 0.7, 1.75),
    "traffic_cone": (0.4, 0.4, 1.0),
}


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def small_town(scenery: tuple[Solid, ...] = ()) -> Town:
    """80 m x 60 m: a street along x from y = 26 to 34, walkways beside it, a crossing at x = 50."""
    polygons = {
        "drivable_area": (rectangle(0, 26, 80, 34),),
        "walkway": (rectangle(0, 23, 80, 26), rectangle(0, 34, 80, 37)),
        "ped_crossing": (rectangle(48, 26, 52, 34),),
        "stop_line": (rectangle(46, 26, 46.4, 30),),
        "carpark_area": (rectangle(10, 40, 30, 55),),
    }
    lines = {
        "road_divider": (np.array([[0.0, 30.0], [46.0, 30.0]]),),
        "lane_divider": (np.array([[54.0, 30.0], [80.0, 30.0]]),),
    }
    return Town("boston-seaport", (80.0, 60.0), polygons, lines, (), np.array([[20.0, 45.0, 0.3]]), (), scenery)


def track(name: str, x: float, y: float, yaw: float = 0.0, look: int = 1, speed: float = 0.0, **flags: bool) -> Track:
    times = np.array([-1.0, 0.5, 4.0])
    along = np.outer(speed * times, [np.cos(yaw), np.sin(yaw)])
    poses = np.column_stack([x + along[:, 0], y + along[:, 1], np.full(3, yaw)])
    return Track(name, name, SIZES[name], times, poses, look, **flags)


def scene_with(
    tracks: tuple[Track, ...], scenery: tuple[Solid, ...] = (), ego: tuple[float, float, float] = (20, 28, 0.1)
) -> Scene:
    vehicle = Track("car", "vehicle.car", (1.85, 4.084, 1.6), np.array([0.0]), np.array([ego], np.float64), 0)
    return Scene("scene-0001", "by hand", small_town(scenery), 4, vehicle, tracks, LIGHT, 7)


def busy_scene() -> Scene:
    """One of everything around the vehicle, houses and trees behind."""
    places = [
        (29, 28.2),
        (36, 32),
        (33, 38),
        (45, 31.8),
        (8, 32),
        (26, 24.5),
        (31, 25),
        (27, 31),
        (25, 26.2),
        (24, 30.4),
    ]
    tracks = tuple(
        track(name, x, y, 0.3 * k, look=k, ridden=k % 2 == 0)
        for k, (name, (x, y)) in enumerate(zip(SIZES, places, strict=True))
    )
    scenery = (
        Solid((30, 48, 5), (8, 4, 5), 0.05, (0.6, 0.5, 0.4), "facade"),
        Solid((50, 15, 8), (9, 6, 8), 0.0, (0.6, 0.6, 0.6), "office"),
        Solid((10, 12, 3), (6, 5, 3), 0.4, (0.7, 0.6, 0.5), "plain"),
        Solid((26, 36, 1.5), (0.15, 0.15, 1.5), 0.3, (0.3, 0.2, 0.1)),
        Solid((26, 36, 4.5), (2, 1.6, 1.8), 0.3, (0.2, 0.4, 0.1), "ball"),
        Solid((40, 24, 2.5), (1.2, 1.2, 1.0), 0.0, (0.2, 0.4, 0.1), "ball"),
    )
    return scene_with(tracks, scenery)


def first_hit(solids: SolidArrays, eye: np.ndarray, ray: np.ndarray) -> tuple[int, float]:
    """Index of the first solid that a ray meets, and how far along; -1 and infinity where it meets none.

    A solid is the set of points that satisfy its inequalities; the ray is cut by one of them after the other.
    """
    best = (-1, np.inf)
    for k in range(len(solids)):
        cos, sin = np.cos(solids.yaw_rad[k]), np.sin(solids.yaw_rad[k])
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        half = solids.half_m[k]
        start, step = turn @ (eye - solids.centre_m[k]) / half, turn @ ray / half
        if BALLS[solids.paint[k]]:
            a, b, c = step @ step, start @ step, start @ start - 1
            if b * b <= a * c:
                continue
            enter, leave = (-b - np.sqrt(b * b - a * c)) / a, (-b + np.sqrt(b * b - a * c)) / a
        else:
            front, back, side = list(PAINTS.values())[solids.paint[k]].taper
            # normal . point <= 1 - lean: the walls stand at 1 at the bottom (-1) and at 1 - taper at the top (+1).
            walls = [([1, 0, front / 2], front / 2), ([-1, 0, back / 2], back / 2), ([0, 1, side / 2], side / 2),
                     ([0, -1, side / 2], side / 2), ([0, 0, 1], 0), ([0, 0, -1], 0)]  # fmt: skip
            enter, leave = 0.0, np.inf
            for normal, lean in walls:
                room, rate = 1 - lean - np.dot(normal, start), float(np.dot(normal, step))
                if rate > 0:
                    leave = min(leave, room / rate)
                elif rate < 0:
                    enter = max(enter, room / rate)
                elif room < 0:
                    leave = -1.0
        if 0 < enter <= leave and enter < best[1]:
            best = (k, enter)
    return best
