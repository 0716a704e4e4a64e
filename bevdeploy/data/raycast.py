"""Rays of a camera against the ground, the sky and solids: one image of a street, in vectorised NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.street import CROSSING_HALF_M, CROSSING_SPACING_M, KERB_M, LANE_M, WALK_M, EgoPose, Solid, Street
from bevdeploy.errors import GeometryError
from bevdeploy.geometry.frames import Float64, invert, transform
from bevdeploy.geometry.rig import Camera

Float32 = NDArray[np.float32]

_SUN = np.array([0.35, 0.62, 0.70]) / np.linalg.norm([0.35, 0.62, 0.70])
"""Direction to the sun in road coordinates."""
_AMBIENT, _DIFFUSE, _SHADE = 0.52, 0.62, 0.55
_HAZE = np.array([0.76, 0.81, 0.86], np.float32)
_ZENITH = np.array([0.36, 0.56, 0.82], np.float32)
_HAZE_RANGE_M = 170.0
_ASPHALT = 0.33
_NEAR_M = 0.05
_NOISE = np.random.default_rng(20).random((256, 256), np.float32)


@dataclass(frozen=True, eq=False)
class CameraRays:
    """Unit rays of every `stride`-th pixel of a camera, in the ego frame."""

    camera: Camera
    stride: int
    direction: Float32
    """[3, h, w]."""
    origin_m: Float64
    """[3], the camera's centre."""

    @classmethod
    def of(cls, camera: Camera, stride: int) -> CameraRays:
        """Rays through the centres of blocks of `stride` x `stride` raw pixels.

        Raises:
            GeometryError: the camera's K cannot be inverted.
        """
        try:
            cam_from_image = np.linalg.inv(camera.K)
        except np.linalg.LinAlgError as error:
            raise GeometryError(f"camera {camera.name!r}: K cannot be inverted") from error
        h, w = -(-camera.height_px // stride), -(-camera.width_px // stride)
        u = np.arange(w) * stride + (stride - 1) / 2
        v = np.arange(h) * stride + (stride - 1) / 2
        pixels = np.stack([np.tile(u, h), np.repeat(v, w), np.ones(h * w)])  # [3, h*w]
        rays = camera.ego_from_cam[:3, :3] @ cam_from_image @ pixels
        rays /= np.linalg.norm(rays, axis=0)
        return cls(camera, stride, rays.reshape(3, h, w).astype(np.float32), camera.ego_from_cam[:3, 3])


def image_of_street(rays: CameraRays, street: Street) -> NDArray[np.uint8]:
    """RGB image [h, w, 3] that the rays see."""
    direction = rays.direction
    h, w = direction.shape[1:]
    rgb = np.empty((h, w, 3), np.float32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        distance = np.where(direction[2] < -1e-4, -rays.origin_m[2] / direction[2], np.inf).astype(np.float32)  # [h, w]
        distance[distance <= 0] = np.inf
        sky = np.isinf(distance)
        rgb[sky] = _sky(direction[:, sky])
        ground = ~sky
        rgb[ground] = _ground(direction[:, ground], distance[ground], rays, street.ego)
        sun = _turned(_SUN, -street.ego.yaw_rad)
        windows = _windows(rays, [_corners(solid) for solid in street.solids])
        shadow_windows = _windows(rays, [_shadow_corners(solid, sun) for solid in street.solids])
        for solid, window in zip(street.solids, shadow_windows, strict=True):
            if solid.shadow and window is not None:
                _cast_shadow(rgb, distance, rays, solid, sun, window)
        for solid, window in zip(street.solids, windows, strict=True):
            if window is not None:
                _draw(rgb, distance, rays, solid, sun, street.ego, window)
        haze = (1 - np.exp(-distance / _HAZE_RANGE_M))[..., None]  # [h, w, 1]
        haze[sky & np.isinf(distance)] = 0
        rgb += (_HAZE - rgb) * haze
    return np.asarray(np.clip(rgb * 255, 0, 255), np.uint8)


def _sky(direction: Float32) -> Float32:
    """Colours [n, 3]: a gradient with a skyline of distant houses."""
    x, y, z = direction
    elevation = np.clip(z, 0, 1) ** 0.6
    colours = _HAZE + (_ZENITH - _HAZE) * elevation[:, None]  # [n, 3]
    azimuth = np.arctan2(y, x)
    column = (azimuth * 40).astype(np.int32)
    tops = 0.012 + 0.055 * _NOISE[column & 255, 7] ** 2
    built = z < tops
    tint = (0.80 + 0.12 * _NOISE[column & 255, 9])[built, None]
    colours[built] = _HAZE * tint * np.array([0.93, 0.95, 1.0], np.float32)
    return np.asarray(colours, np.float32)


def _ground(direction: Float32, distance: Float32, rays: CameraRays, ego: EgoPose) -> Float32:
    """Colours [n, 3] of the ground in road coordinates; marks fade over the width that one ray covers there."""
    ego_x = rays.origin_m[0] + direction[0] * distance
    ego_y = rays.origin_m[1] + direction[1] * distance
    cos, sin = np.cos(ego.yaw_rad), np.sin(ego.yaw_rad)
    x = (cos * ego_x - sin * ego_y + ego.x_m).astype(np.float32)
    y = (sin * ego_x + cos * ego_y + ego.y_m).astype(np.float32)
    away = np.abs(y)
    ray_m = distance * np.float32(rays.stride / rays.camera.K[0, 0])
    grazing_m = ray_m / np.maximum(-direction[2], 1e-3)
    near = np.exp(-grazing_m / 0.12)
    grain = (_noise(x, y, 18.0) - 0.5) * near
    patches = _noise(x, y, 0.7) - 0.5
    asphalt = _ASPHALT + 0.07 * grain + 0.02 * patches
    colours = np.stack([asphalt, asphalt, asphalt * 1.03], -1)  # [n, 3]

    def lay(colour: tuple[float, float, float], cover: Float32, texture: Float32 | float = 0.0) -> None:
        colours[:] += (np.asarray(colour, np.float32) + np.asarray(texture)[..., None] - colours) * cover[:, None]

    # A line across the view widens with the grazing angle, one along it does not: the mean of both serves all headings.
    blur_m = np.sqrt(ray_m * np.minimum(grazing_m, 4.0)) + 1e-3
    tiles = np.maximum(_stripe(x % 1.5 - 0.75, 0.74, blur_m), 0)
    lay((0.55, 0.54, 0.52), _band(away, KERB_M, WALK_M, blur_m), 0.05 * grain + 0.03 * patches - 0.07 * (1 - tiles))
    lay((0.66, 0.66, 0.65), _band(away, KERB_M, KERB_M + 0.18, blur_m))
    lay((0.27, 0.38, 0.17), _band(away, WALK_M, 1e4, blur_m), 0.14 * grain + 0.08 * patches)
    white = (0.86, 0.86, 0.84)
    dashes = _stripe(x % 6.0 - 1.5, 1.5, blur_m)
    lay(white, _stripe(y, 0.08, blur_m) * dashes, 0.05 * grain)
    lay(white, _stripe(away - LANE_M, 0.06, blur_m), 0.05 * grain)
    from_crossing = (x + CROSSING_SPACING_M / 2) % CROSSING_SPACING_M - CROSSING_SPACING_M / 2
    zebra = _stripe(from_crossing, CROSSING_HALF_M, blur_m) * (away < KERB_M - 0.2)
    lay((_ASPHALT, _ASPHALT, _ASPHALT), zebra)
    lay(white, zebra * _stripe(y % 1.0 - 0.5, 0.25, blur_m), 0.05 * grain)
    brightness = _AMBIENT + _DIFFUSE * _SUN[2]
    return np.asarray(colours * np.float32(brightness), np.float32)


def _noise(x: Float32, y: Float32, per_m: float) -> Float32:
    columns = np.floor(x * per_m).astype(np.int32) & 255
    rows = np.floor(y * per_m).astype(np.int32) & 255
    return np.asarray(_NOISE[columns, rows])


def _stripe(offset: Float32, half_m: float, blur_m: Float32) -> Float32:
    """How much of a ray's footprint, 0..1, lies within `half_m` of a line."""
    inside = np.clip((half_m - np.abs(offset)) / blur_m + 0.5, 0, 1)
    return np.asarray(inside * np.minimum(1, 2 * half_m / blur_m), np.float32)


def _band(away: Float32, start_m: float, stop_m: float, blur_m: Float32) -> Float32:
    return np.asarray(np.clip(np.minimum(away - start_m, stop_m - away) / blur_m + 0.5, 0, 1), np.float32)


def _turned(vector: Float64, yaw_rad: float) -> Float64:
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.array([cos * vector[0] - sin * vector[1], sin * vector[0] + cos * vector[1], vector[2]])


def _corners(solid: Solid) -> Float64:
    """[8, 3], ego frame."""
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], np.float64)
    offsets = signs * solid.half_m
    cos, sin = np.cos(solid.yaw_rad), np.sin(solid.yaw_rad)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return np.asarray(offsets @ turn.T + solid.centre_m)


def _shadow_corners(solid: Solid, sun: Float64) -> Float64:
    """[8, 3], where the corners' shadows fall."""
    corners = _corners(solid)
    return np.asarray(corners - corners[:, 2:] / sun[2] * sun)


def _windows(rays: CameraRays, corners: list[Float64]) -> list[tuple[slice, slice] | None]:
    """Rows and columns of rays that can meet each hull of eight points; None where none can."""
    if not corners:
        return []
    h, w = rays.direction.shape[1:]
    points = transform(invert(rays.camera.ego_from_cam), np.stack(corners))  # [n, 8, 3]
    first, second = np.triu_indices(8, 1)
    a, b = points[:, first], points[:, second]  # [n, 28, 3]
    crosses = (a[..., 2] > _NEAR_M) != (b[..., 2] > _NEAR_M)
    share = np.where(crosses, (_NEAR_M - a[..., 2]) / np.where(crosses, b[..., 2] - a[..., 2], 1), 0)
    points = np.concatenate([points, a + (b - a) * share[..., None]], 1)  # [n, 36, 3]
    seen = np.concatenate([points[:, :8, 2] > _NEAR_M, crosses], 1)  # [n, 36]
    pixels = (points @ rays.camera.K.T)[..., :2] / np.where(seen, points[..., 2], 1)[..., None]  # [n, 36, 2]
    cells = np.clip((pixels - (rays.stride - 1) / 2) / rays.stride, -2, max(h, w) + 2)
    low = np.floor(np.where(seen[..., None], cells, np.inf).min(1))  # [n, 2]
    high = np.ceil(np.where(seen[..., None], cells, -np.inf).max(1)) + 1
    windows: list[tuple[slice, slice] | None] = []
    for (left, top), (right, bottom) in zip(low, high, strict=True):
        rows = (max(0, top), min(h, bottom))
        columns = (max(0, left), min(w, right))
        empty = rows[0] >= rows[1] or columns[0] >= columns[1]
        windows.append(None if empty else (slice(*map(int, rows)), slice(*map(int, columns))))
    return windows


def _cast_shadow(
    rgb: Float32, distance: Float32, rays: CameraRays, solid: Solid, sun: Float64, window: tuple[slice, slice]
) -> None:
    """Darken the ground from which the solid hides the sun."""
    direction, reach = rays.direction[:, window[0], window[1]], distance[window]
    cos, sin = np.cos(solid.yaw_rad), np.sin(solid.yaw_rad)
    x = rays.origin_m[0] - solid.centre_m[0] + direction[0] * reach
    y = rays.origin_m[1] - solid.centre_m[1] + direction[1] * reach
    start = (cos * x + sin * y, cos * y - sin * x, -solid.centre_m[2])
    to_sun = _turned(sun, -solid.yaw_rad)
    if solid.paint == "ball":
        # A ray misses the unit ball of the scaled space when its closest point is farther than 1.
        scaled = [np.asarray(s / half) for s, half in zip(start, solid.half_m, strict=True)]
        step = to_sun / solid.half_m
        along = -sum(s * d for s, d in zip(scaled, step, strict=True)) / (step @ step)
        hidden = sum((s + along * d) ** 2 for s, d in zip(scaled, step, strict=True)) < 1
    else:
        enter, leave = np.float32(0), np.float32(np.inf)
        for s, d, half in zip(start, to_sun, solid.half_m, strict=True):
            enter = np.maximum(enter, np.minimum((-half - s) / d, (half - s) / d))
            leave = np.minimum(leave, np.maximum((-half - s) / d, (half - s) / d))
        hidden = enter <= leave
    rgb[window][hidden & np.isfinite(reach)] *= _SHADE


def _draw(
    rgb: Float32,
    distance: Float32,
    rays: CameraRays,
    solid: Solid,
    sun: Float64,
    ego: EgoPose,
    window: tuple[slice, slice],
) -> None:
    """Colour the rays that meet the solid before anything drawn so far."""
    direction, reach = rays.direction[:, window[0], window[1]], distance[window]
    cos, sin = np.float32(np.cos(solid.yaw_rad)), np.float32(np.sin(solid.yaw_rad))
    local = (cos * direction[0] + sin * direction[1], cos * direction[1] - sin * direction[0], direction[2])
    start = _turned(rays.origin_m - solid.centre_m, -solid.yaw_rad)
    half = np.asarray(solid.half_m)
    if solid.paint == "ball":
        rays_scaled = [d / np.float32(size) for d, size in zip(local, half, strict=True)]
        o = (start / half).astype(np.float32)
        a = sum(d * d for d in rays_scaled)
        b = sum(d * s for d, s in zip(rays_scaled, o, strict=True))
        near = (-b - np.sqrt(b * b - a * (o @ o - 1))) / a  # NaN where the ray misses
        hit = (near > 0) & (near < reach)
    else:
        near, far = np.float32(0), np.float32(np.inf)
        for d, s, size in zip(local, start, half, strict=True):
            low, high = np.float32(-size - s) / d, np.float32(size - s) / d
            near, far = np.maximum(near, np.minimum(low, high)), np.minimum(far, np.maximum(low, high))
        hit = (near <= far) & (near > 0) & (near < reach)
    if not hit.any():
        return
    reach[hit] = near[hit]
    point = np.stack([s + d[hit] * near[hit] for s, d in zip(start, local, strict=True)], -1) / half  # [n, 3] in -1..1
    light = _turned(sun, -solid.yaw_rad)
    if solid.paint == "ball":
        normal = point / half
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        leaves = _noise(np.arctan2(point[:, 1], point[:, 0]), point[:, 2], 9.0)
        colours = np.asarray(solid.colour) * (0.82 + 0.36 * leaves[:, None])
    else:
        axis = np.abs(point).argmax(1)
        normal = np.zeros_like(point)
        rows = np.arange(len(point))
        normal[rows, axis] = np.sign(point[rows, axis])
        colours = painted(solid, point, axis, ego)
    rgb[window][hit] = colours * (_AMBIENT + _DIFFUSE * np.maximum(0, normal @ light))[:, None]


def painted(solid: Solid, point: Float64, axis: NDArray[np.intp], ego: EgoPose) -> Float64:
    """Colours [n, 3] on a cuboid's faces, before light.

    Args:
        solid: the cuboid.
        point: [n, 3] on its surface, -1..1 along its own axes.
        axis: [n], which axis the face looks along.
        ego: where the vehicle stands, so that what is painted stays where it is.
    """
    colours = np.tile(np.asarray(solid.colour), (len(point), 1))  # [n, 3]
    length, width, height = (2 * half for half in solid.half_m)
    x, y, z = point.T
    along = np.where(axis == 0, y * width, x * length) / 2
    if solid.paint in ("car", "bus"):
        radius = 0.34 if solid.paint == "car" else 0.5
        wheel = np.hypot((np.abs(x) - 0.62) * length / 2, (z + 1) * height / 2 - radius * 0.55)
        colours[(axis == 1) & (wheel < radius)] = (0.05, 0.05, 0.05)
        colours[(axis == 1) & (wheel < radius * 0.5)] = (0.5, 0.5, 0.52)
        lamp = (axis == 0) & (np.abs(y) > 0.62) & (np.abs(z - 0.25) < 0.3)
        colours[lamp & (x > 0)] = (1.0, 0.97, 0.85)
        colours[lamp & (x < 0)] = (0.75, 0.05, 0.05)
        plate = (axis == 0) & (np.abs(y) < 0.25) & (np.abs(z + 0.2) < 0.18)
        colours[plate] = (0.9, 0.9, 0.9)
    if solid.paint == "bus":
        pane = (axis != 2) & (np.abs(z - 0.38) < 0.32) & ((axis == 0) | ((along / 1.4) % 1 > 0.1))
        colours[pane] = (0.12, 0.16, 0.2)
    if solid.paint == "glass":
        pillar = (np.abs(np.where(axis == 0, y, x)) > 0.9) | ((axis == 1) & (np.abs(x + 0.02) < 0.05))
        colours[(axis != 2) & ~pillar & (np.abs(z) < 0.8)] = (0.10, 0.14, 0.18)
    if solid.paint == "facade":
        up = (z + 1) * height / 2
        window = (axis != 2) & (np.abs(along % 2.8 - 1.4) < 0.6) & (np.abs(up % 3.2 - 1.8) < 0.75)
        floor = np.floor(up / 3.2).astype(np.intp)
        column = np.floor(along / 2.8).astype(np.intp)
        house = round(solid.centre_m[0] * np.cos(ego.yaw_rad) - solid.centre_m[1] * np.sin(ego.yaw_rad) + ego.x_m)
        pane = 0.12 + 0.3 * _NOISE[(column + 31 * floor + 7 * house) & 255, floor & 255]
        colours[window] = np.stack([pane, pane * 1.1, pane * 1.25], -1)[window]
        colours[(axis != 2) & (up % 3.2 < 0.12)] *= 0.85
    if solid.paint == "barrier":
        colours[(axis != 2) & ((along + z * 0.3) % 0.7 < 0.35)] = (0.8, 0.12, 0.1)
    return colours
