"""A drive through a town: who moves where and when, and in what light."""

from __future__ import annotations

import numpy as np

from bevdeploy.data.world.apart import NEAR_M, apart
from bevdeploy.data.world.drivers import ego_driver, ego_track, moving_tracks, traffic_near
from bevdeploy.data.world.people import Walk, Walkers, walk_tracks, walks_near
from bevdeploy.data.world.polylines import resampled
from bevdeploy.data.world.right_of_way import RightOfWay, ways_of
from bevdeploy.data.world.scene import LEAD_S, Float64, Light, Scene, Town, Track
from bevdeploy.data.world.scene import STEP_S as KEYFRAME_S
from bevdeploy.data.world.standing import standing_tracks
from bevdeploy.data.world.traffic import STEP_S, Driver, Traffic

_WARM_UP_S = 4.0
"""Traffic settles for this long before the first stored moment."""
_WAY_MPS = 9.0
"""The vehicle's way is furnished as far as it would come at this speed."""


def scene_of(town: Town, name: str, seed: int, keyframes: int) -> Scene:
    """One drive of `keyframes` half seconds; the same for the same arguments.

    Raises:
        ValueError: `keyframes` is not positive.
    """
    if keyframes < 1:
        raise ValueError(f"a scene has at least one keyframe, not {keyframes}")
    key = (seed, *name.encode())

    def draws(stream: int) -> np.random.Generator:
        return np.random.default_rng((*key, stream))

    span_s = (keyframes - 1) * KEYFRAME_S
    lasting_s = _WARM_UP_S + LEAD_S + span_s + LEAD_S
    driver = ego_driver(town, lasting_s, draws(0))
    way = resampled(driver.path.points_m[: int(driver.start_m + lasting_s * _WAY_MPS)], 8.0)

    def distance_to(x_m: float, y_m: float) -> float:
        return float(np.hypot(way[:, 0] - x_m, way[:, 1] - y_m).min())

    moving = traffic_near(town, driver, distance_to, lasting_s, draws(1))
    walks = walks_near(town, distance_to, lasting_s, draws(2))
    fronts, walked = _played(town, [driver, *(one.driver for one in moving)], walks, lasting_s)
    times_s = np.round(np.arange(len(fronts)) * STEP_S - LEAD_S - _WARM_UP_S, 6)
    stored = times_s >= -LEAD_S
    times_s, fronts, walked = times_s[stored], fronts[stored], walked[stored]
    ego = ego_track(driver, times_s, fronts[:, 0])
    tracks = standing_tracks(town, lambda x, y: distance_to(x, y) < NEAR_M, (-LEAD_S, span_s + LEAD_S), draws(3))
    for k, one in enumerate(moving):
        tracks += moving_tracks(one, times_s, fronts[:, k + 1])
    tracks += walk_tracks(walks, times_s, walked, draws(4))
    tracks = apart(ego, tracks, town.scenery, times_s)
    return Scene(
        name=name,
        description=_description(town, driver, fronts[:, 0], tracks),
        town=town,
        keyframes=keyframes,
        ego=ego,
        tracks=tuple(tracks),
        light=_light(draws(5)),
        seed=seed,
    )


def _played(town: Town, drivers: list[Driver], walks: list[Walk], lasting_s: float) -> tuple[Float64, Float64]:
    """Fronts of the vehicles [T, n] and places of the walkers [T, m] along their ways, every `traffic.STEP_S`."""
    right_of_way = RightOfWay(ways_of(town))
    traffic = Traffic(town, drivers, right_of_way)
    walkers = Walkers(town, walks, right_of_way, len(drivers))
    fronts, walked = [traffic.front_m], [walkers.at_m]
    for step in range(round(lasting_s / STEP_S)):
        now_s = step * STEP_S
        requests = traffic.step(now_s) + walkers.step(now_s)
        for request in right_of_way.granted(requests, now_s):
            (traffic if request.who < len(drivers) else walkers).grant(request.who)
        fronts.append(traffic.front_m)
        walked.append(walkers.at_m)
    return np.stack(fronts), np.stack(walked)


def _light(draws: np.random.Generator) -> Light:
    azimuth, height = draws.uniform(0, 2 * np.pi), np.radians(draws.uniform(28, 68))
    sun = np.array([np.cos(height) * np.cos(azimuth), np.cos(height) * np.sin(azimuth), np.sin(height)]).tolist()
    warm = float(draws.normal(0, 0.03))
    return Light(
        sun=(sun[0], sun[1], sun[2]),
        ambient=float(draws.uniform(0.42, 0.58)),
        diffuse=float(draws.uniform(0.40, 0.62)),
        tint=(1.0 + warm, 1.0, 1.0 - warm),
        haze_m=float(draws.uniform(180, 450)),
    )


def _description(town: Town, driver: Driver, front_m: Float64, tracks: list[Track]) -> str:
    """Street, ways across intersections in their order, and what stands there, as nuScenes describes its scenes."""
    path = driver.path
    used = [
        town.lanes[int(lane)]
        for lane, start_m, end_m in zip(path.lanes, path.starts_m[:-1], path.starts_m[1:], strict=True)
        if start_m < front_m[-1] and end_m > front_m[0]
    ]
    streets = [lane for lane in used if lane.intersection < 0] or used
    parts = ["4-lane street" if max(lane.speed_mps for lane in streets) > 10 else "2-lane street"]
    for lane in used:
        if lane.intersection >= 0:
            begin, end = np.diff(lane.centreline_m[[0, 1, -2, -1]], axis=0)[[0, 2]]
            turn = float(np.arctan2(begin[0] * end[1] - begin[1] * end[0], begin @ end))
            parts.append("turn left" if turn > 0.7 else "turn right" if turn < -0.7 else "straight on")
    names = {track.class_name for track in tracks}
    parts += ["parked cars"] if any(one.parked and one.class_name == "car" for one in tracks) else []
    parts += ["construction site"] if "construction_vehicle" in names else []
    parts += ["pedestrians"] if "pedestrian" in names else []
    return ", ".join(parts)
