"""What the lidar on the roof measures of a scene: one turn of 32 rings, as if taken in an instant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.paint import PAINTS
from bevdeploy.data.world.scene import Float64, Scene, Track
from bevdeploy.data.world.solid_arrays import SolidArrays, solids_near, track_poses
from bevdeploy.geometry.frames import compose, rotation_from_quaternion, transform

RINGS: Final = 32
ELEVATIONS_DEG: Final = (-30.67, 10.67)
"""Of the lowest and the highest ring (HDL-32E data sheet)."""
AZIMUTHS: Final = 1080
"""Firings per turn."""
RANGES_M: Final = (0.9, 70.0)
_NOISE_M: Final = 0.02
_GROUND_ALBEDO: Final = 0.3
_GLOSS: Final = np.array([paint.gloss for paint in PAINTS.values()])

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class LidarSweep:
    """The returns of one turn."""

    points: Float32
    """[n, 5]: x, y, z in metres in the lidar's frame, intensity 0..255, ring 0..31 from the lowest up."""
    counts: Int32
    """[tracks], points inside each track's box, its faces included."""


def lidar_sweep(scene: Scene, ego_from_lidar: Float64, time_s: float) -> LidarSweep:
    """The sweep at a time; the same for the same arguments.

    Raises:
        GeometryError: a solid has an unknown paint.
    """
    x, y, yaw = scene.ego.pose_at(time_s)
    turn = rotation_from_quaternion(np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]))
    global_from_lidar = compose(turn, [x, y, 0]) @ ego_from_lidar
    directions = _directions()
    solids = solids_near(scene, time_s, (float(global_from_lidar[0, 3]), float(global_from_lidar[1, 3])), RANGES_M[1])
    range_m, echo = first_hits(solids, global_from_lidar)
    rng = np.random.default_rng((scene.seed & 0xFFFFFFFF, 32, round(time_s * 1e6) & 0xFFFFFFFF))
    noise, luck, shine = rng.random((3, len(range_m)), np.float32)
    returned = (range_m > RANGES_M[0]) & (range_m < RANGES_M[1])
    returned &= luck > 0.02 + 0.3 * np.minimum(range_m / RANGES_M[1], 1) ** 2
    ray = np.flatnonzero(returned)
    # The logistic distribution, within 1 % of the normal one.
    spread = np.clip(noise[ray], 1e-4, 1 - 1e-4)
    normal = np.log(spread / (1 - spread)) / 1.702
    measured = (range_m[ray] + _NOISE_M * normal).astype(np.float64)
    points = np.empty((len(ray), 5), np.float32)
    points[:, :3] = directions[ray] * measured[:, None]
    points[:, 3] = np.clip(255 * echo[ray] * (0.8 + 0.4 * shine[ray]), 0, 255)
    points[:, 4] = ray % RINGS
    return LidarSweep(points, points_in_tracks(points, scene, global_from_lidar, time_s))


@lru_cache(maxsize=1)
def _directions() -> Float64:
    """Unit rays [AZIMUTHS * RINGS, 3] in the lidar's frame; the rings of one firing follow each other."""
    azimuth = np.arange(AZIMUTHS)[:, None] * (2 * np.pi / AZIMUTHS)
    elevation = np.deg2rad(np.linspace(*ELEVATIONS_DEG, RINGS))[None]
    flat = np.cos(elevation)
    rays = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation) + 0 * azimuth], -1)
    return np.asarray(rays.reshape(-1, 3))


def first_hits(solids: SolidArrays, global_from_lidar: Float64) -> tuple[Float32, Float32]:
    """Distance of each ray's first hit on the ground or a solid, infinite where there is none, and its echo, 0..1."""
    rotation, eye = global_from_lidar[:3, :3], global_from_lidar[:3, 3]
    rays = (_directions() @ rotation.T).astype(np.float32)  # [r, 3], global frame
    with np.errstate(divide="ignore"):
        range_m = np.where(rays[:, 2] < 0, np.float32(-eye[2]) / rays[:, 2], np.float32(np.inf)).astype(np.float32)
    echo = np.maximum(-rays[:, 2], 0) ** np.float32(0.3) * np.float32(_GROUND_ALBEDO * 0.6)
    solid, ray = _candidates(solids, global_from_lidar)
    near, facing = _distances(solids, solid, rays[ray], eye)
    hit = np.flatnonzero(near < range_m[ray])
    solid, ray, near, facing = solid[hit], ray[hit], near[hit], facing[hit]
    np.minimum.at(range_m, ray, near)
    first = near == range_m[ray]
    grey = solids.colour @ [0.3, 0.5, 0.2]
    bright = (0.08 + 0.45 * grey)[solid[first]] * (0.35 + 0.65 * facing[first]) + _GLOSS[solids.paint[solid[first]]]
    echo[ray[first]] = bright
    return range_m, echo


def _candidates(solids: SolidArrays, global_from_lidar: Float64) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of a solid and a ray that may hit it: all rays within its azimuths and elevations, seen from the lidar."""
    rotation, eye = global_from_lidar[:3, :3], global_from_lidar[:3, 3]
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], np.float64)
    cos, sin = np.cos(solids.yaw_rad)[:, None], np.sin(solids.yaw_rad)[:, None]
    offset = signs * solids.half_m[:, None]  # [n, 8, 3]
    turned = [cos * offset[..., 0] - sin * offset[..., 1], sin * offset[..., 0] + cos * offset[..., 1], offset[..., 2]]
    centre = solids.centre_m - eye
    corners = (np.stack(turned, 2) + centre[:, None]) @ rotation  # [n, 8, 3], lidar's frame
    flat = np.hypot(corners[..., 0], corners[..., 1])
    # The nearest point of its ground plan; a lidar that is not quite upright sees it a little nearer.
    plan = np.stack([cos[:, 0] * centre[:, 0] + sin[:, 0] * centre[:, 1],
                     cos[:, 0] * centre[:, 1] - sin[:, 0] * centre[:, 0]], 1)  # fmt: skip
    outside = np.maximum(np.abs(plan) - solids.half_m[:, :2], 0)
    tilt = float(np.hypot(rotation[2, 0], rotation[2, 1]))
    closest = np.hypot(outside[:, 0], outside[:, 1]) - tilt * np.linalg.norm(corners, axis=2).max(1)
    above, beneath = closest < 0.05, np.maximum(closest, 0.05)
    low, high = corners[..., 2].min(1), corners[..., 2].max(1)
    lowest = np.arctan2(low, np.where(low < 0, beneath, flat.max(1)))
    highest = np.arctan2(high, np.where(high > 0, beneath, flat.max(1)))
    first_deg, last_deg = ELEVATIONS_DEG
    per_rad = (RINGS - 1) / np.deg2rad(last_deg - first_deg)
    ring = np.clip(np.ceil((lowest - np.deg2rad(first_deg)) * per_rad - 1e-6), 0, RINGS).astype(np.int64)
    rings = np.clip(np.floor((highest - np.deg2rad(first_deg)) * per_rad + 1e-6) + 1, 0, RINGS).astype(np.int64) - ring
    middle = centre @ rotation
    towards = np.arctan2(middle[:, 1], middle[:, 0])
    spread = np.arctan2(corners[..., 1], corners[..., 0]) - towards[:, None]
    spread = (spread + np.pi) % (2 * np.pi) - np.pi
    step = 2 * np.pi / AZIMUTHS
    first = np.ceil((towards + spread.min(1)) / step - 1e-6).astype(np.int64)
    firings = np.floor((towards + spread.max(1)) / step + 1e-6).astype(np.int64) + 1 - first
    first, firings = np.where(above, 0, first), np.where(above, AZIMUTHS, firings)
    near = (closest < RANGES_M[1]) & (rings > 0)
    firings = np.where(near, firings, 0)
    # All firings of all solids, then all rings of each.
    solid = np.repeat(np.arange(len(firings)), firings)
    firing = (np.arange(len(solid)) + np.repeat(first - (np.cumsum(firings) - firings), firings)) % AZIMUTHS
    height = rings[solid]
    pair = np.repeat(np.arange(len(solid)), height)
    upward = np.arange(len(pair)) + np.repeat(ring[solid] - (np.cumsum(height) - height), height)
    return solid[pair], firing[pair] * RINGS + upward


def _distances(solids: SolidArrays, solid: NDArray[np.intp], rays: Float32, eye: Float64) -> tuple[Float32, Float32]:
    """How far along its ray [p, 3] each solid is met, infinite where it is not, and the cosine of incidence."""
    cos, sin = np.cos(solids.yaw_rad), np.sin(solids.yaw_rad)
    away = eye - solids.centre_m
    start = np.stack([cos * away[:, 0] + sin * away[:, 1], cos * away[:, 1] - sin * away[:, 0], away[:, 2]], 1)
    cos32, sin32 = cos.astype(np.float32)[solid], sin.astype(np.float32)[solid]
    local = (cos32 * rays[:, 0] + sin32 * rays[:, 1], cos32 * rays[:, 1] - sin32 * rays[:, 0], rays[:, 2])
    distance = np.full(len(solid), np.inf, np.float32)
    facing = np.ones(len(solid), np.float32)
    box, ball = np.flatnonzero(~solids.ball[solid]), np.flatnonzero(solids.ball[solid])
    enter, leave = np.zeros(len(box), np.float32), np.full(len(box), np.inf, np.float32)
    # Each of six planes leaves behind what lies on its outer side; see `SolidArrays.taper_m`.
    lean = solids.taper_m / (2 * solids.half_m[:, 2:])
    rise, steepness = local[2][box], np.sqrt(1 + lean**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        for side in range(6):
            axis, sign = side // 2, 1 - 2 * (side % 2)
            room = solids.half_m[:, axis] - sign * start[:, axis]
            room = (room - lean[:, side] * (start[:, 2] + solids.half_m[:, 2])).astype(np.float32)
            outward = np.float32(sign) * local[axis][box]
            if lean[:, side].any():
                outward += lean[:, side].astype(np.float32)[solid[box]] * rise
            at = room[solid[box]] / outward
            closer = (outward < 0) & (at > enter)
            enter = np.where(closer, at, enter)
            facing[box] = np.where(closer, -outward / steepness[:, side].astype(np.float32)[solid[box]], facing[box])
            leave = np.where(outward > 0, np.minimum(leave, at), leave)
            # Along a plane, and outside of it: never met.
            leave = np.where((outward == 0) & (room[solid[box]] < 0), np.float32(-1), leave)
    met = (enter <= leave) & (enter > 0)
    distance[box[met]] = enter[met]
    half = solids.half_m[solid[ball]]
    scaled = np.stack([component[ball] for component in local], 1) / half
    origin = start[solid[ball]] / half
    square = np.einsum("pc,pc->p", scaled, scaled)
    along = np.einsum("pc,pc->p", scaled, origin)
    inside = along**2 - square * (np.einsum("pc,pc->p", origin, origin) - 1)
    near = (-along - np.sqrt(np.maximum(inside, 0))) / square
    met = (inside > 0) & (near > 0)
    distance[ball[met]] = near[met]
    return distance, facing


def points_in_tracks(points: Float32, scene: Scene, global_from_lidar: Float64, time_s: float) -> Int32:
    """How many points [n, >= 3] of the lidar's frame lie inside the box of each track, [tracks]."""
    at = transform(global_from_lidar, points[:, :3].astype(np.float64))  # [n, 3]
    at = at[np.argsort(at[:, 0], kind="stable")]
    poses = track_poses(scene, time_s)
    radius = np.array([np.hypot(*track.size_wlh_m[:2]) / 2 for track in scene.tracks]).reshape(-1) + 1e-6
    first = np.searchsorted(at[:, 0], poses[:, 0] - radius)
    last = np.searchsorted(at[:, 0], poses[:, 0] + radius)
    counts = np.zeros(len(scene.tracks), np.int32)
    for k in np.flatnonzero(last > first):
        part = at[first[k] : last[k]]
        part = part[np.abs(part[:, 1] - poses[k, 1]) <= radius[k]]
        if len(part):
            counts[k] = int(_inside(part, scene.tracks[k], time_s).sum())
    return counts


def _inside(at: Float64, track: Track, time_s: float) -> NDArray[np.bool_]:
    x, y, yaw = track.pose_at(time_s)
    width, length, height = track.size_wlh_m
    cos, sin = np.cos(yaw), np.sin(yaw)
    along = cos * (at[:, 0] - x) + sin * (at[:, 1] - y)
    aside = cos * (at[:, 1] - y) - sin * (at[:, 0] - x)
    return np.asarray(
        (abs(along) <= length / 2) & (abs(aside) <= width / 2) & (abs(at[:, 2] - height / 2) <= height / 2)
    )
