"""A camera as the renderer sees it: the pixel grid that is cast, and where its rays meet ground and sky."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.ground import CELL_M, LEVELS
from bevdeploy.data.world.scene import Float64
from bevdeploy.data.world.sky import SKY_COLUMNS, sky_row
from bevdeploy.errors import GeometryError
from bevdeploy.geometry.rig import Camera

Float32 = NDArray[np.float32]

MAX_CAST_PX: Final = 800
"""Longest image side that is cast pixel by pixel; larger images are cast at an integer fraction and enlarged."""
TAPS: Final = 4
"""Samples of the ground per pixel, along the ray's footprint."""
_FARTHEST_M: Final = 1500.0
NEAR_M: Final = 0.1
"""What lies nearer is not drawn."""


@dataclass(frozen=True, eq=False)
class Pose:
    """Where the ego frame is in the global frame."""

    x_m: float
    y_m: float
    yaw_rad: float

    @property
    def rotation(self) -> Float64:
        """[3, 3], global from ego."""
        cos, sin = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])


@dataclass(frozen=True, eq=False)
class View:
    """The cast pixels of a camera, in row-major order; everything in the ego frame."""

    height_px: int
    width_px: int
    stride: int
    """Raw pixels per cast pixel, along both sides."""
    K: Float64
    """[3, 3], of the cast pixels; the middle of pixel `u` is at `u`."""
    K_inverse: Float64
    cam_from_ego: Float64
    """[3, 3], rotation."""
    eye_m: Float64
    """[3]."""
    column: Float32
    """[height_px * width_px], u of every pixel."""
    ground: NDArray[np.intp]
    """[g], pixels that look at the ground, by mip level."""
    taps_m: NDArray[np.complex64]
    """[TAPS, g], where they sample it: x + iy."""
    distance_m: Float32
    """[g]."""
    level_stop: tuple[int, ...]
    """[LEVELS], how many of the pixels have this mip level or a finer one."""
    reach_m: tuple[float, ...]
    """[LEVELS], the farthest tap of the pixels of each level, from the ego frame's origin."""
    sky: NDArray[np.intp]
    """[s], the other pixels."""
    sky_row: NDArray[np.int32]
    """[s], row of the panorama, times its width."""
    sky_column: NDArray[np.int32]
    """[s], column of the panorama for a vehicle that looks along x."""


def view_of(camera: Camera) -> View:
    """The view of a camera; kept, so that the second call is free.

    Raises:
        GeometryError: K cannot be inverted, or the camera lies below the ground.
    """
    return _view(camera.name, camera.width_px, camera.height_px, camera.K.tobytes(), camera.ego_from_cam.tobytes())


@lru_cache(maxsize=12)
def _view(name: str, width_px: int, height_px: int, K_bytes: bytes, ego_from_cam_bytes: bytes) -> View:
    stride = -(-max(width_px, height_px) // MAX_CAST_PX)
    w, h = -(-width_px // stride), -(-height_px // stride)
    shift = (stride - 1) / 2
    cast_from_raw = np.array([[1 / stride, 0, -shift / stride], [0, 1 / stride, -shift / stride], [0, 0, 1]])
    K = cast_from_raw @ np.frombuffer(K_bytes).reshape(3, 3)
    ego_from_cam = np.frombuffer(ego_from_cam_bytes).reshape(4, 4)
    eye = ego_from_cam[:3, 3]
    try:
        K_inverse = np.linalg.inv(K)
    except np.linalg.LinAlgError as error:
        raise GeometryError(f"camera {name!r}: K cannot be inverted") from error
    if eye[2] <= 0:
        raise GeometryError(f"camera {name!r} is {-eye[2]:.2f} m below the ground")
    v, u = np.divmod(np.arange(h * w), w)
    rays = ego_from_cam[:3, :3] @ K_inverse @ np.stack([u, v, np.ones(h * w)])  # [3, h*w]
    slant = 1 / np.linalg.norm(rays, axis=0)
    rays *= slant
    down = -rays[2] > eye[2] / _FARTHEST_M
    ground, sky = np.flatnonzero(down), np.flatnonzero(~down)
    distance = eye[2] / -rays[2, ground]  # [g]
    # One pixel covers `across` by `along` metres of the ground.
    across = distance * slant[ground] / K[0, 0]
    along = across * distance / eye[2]
    level = np.clip(np.floor(np.log2(np.maximum(across, along / TAPS) / CELL_M) + 0.5), 0, LEVELS - 1)
    order = np.argsort(level, kind="stable")
    ground, level = ground[order], level[order]
    distance, across, along = distance[order], across[order], along[order]
    taps = _taps(rays[:2, ground] * distance + eye[:2, None], rays[:2, ground], across, along, level)
    level_stop = tuple(int(stop) for stop in np.searchsorted(level, np.arange(LEVELS), side="right"))
    azimuth = np.arctan2(rays[1, sky], rays[0, sky])
    return View(
        h,
        w,
        stride,
        K,
        K_inverse,
        ego_from_cam[:3, :3].T.copy(),
        eye.copy(),
        u.astype(np.float32),
        ground,
        taps,
        distance.astype(np.float32),
        level_stop,
        tuple(float(np.abs(taps[:, a:b]).max(initial=0)) for a, b in pairwise((0, *level_stop))),
        sky,
        (sky_row(rays[2, sky]) * SKY_COLUMNS).astype(np.int32),
        np.floor(azimuth / (2 * np.pi) * SKY_COLUMNS).astype(np.int32),
    )


def _taps(hit_m: Float64, heading: Float64, across: Float64, along: Float64, level: Float64) -> NDArray[np.complex64]:
    """Where pixels sample the ground [TAPS, g].

    Spread over their footprint, and over no less than a cell, which blurs the cells' edges as linear interpolation
    does.
    """
    cell = CELL_M * 2**level
    forward = heading / np.linalg.norm(heading, axis=0)
    jitter = np.random.default_rng(7).uniform(-0.5, 0.5, (2, TAPS, len(level))) / TAPS
    strata = (np.arange(TAPS) + 0.5) / TAPS - 0.5
    ahead = (strata[:, None] + jitter[0]) * np.maximum(along, cell)  # [TAPS, g]
    aside = (np.roll(strata, 1)[[0, 2, 1, 3], None] + jitter[1]) * np.maximum(across, cell)
    taps = hit_m[0] + 1j * hit_m[1] + (ahead + 1j * aside) * (forward[0] + 1j * forward[1])
    return np.asarray(taps, np.complex64)


def eye_of(view: View, pose: Pose) -> Float64:
    """The camera's centre in the global frame, [3]."""
    return np.asarray(pose.rotation @ view.eye_m + [pose.x_m, pose.y_m, 0.0])


def balls_in_view(
    centre_m: Float64, radius_m: Float64, view: View, pose: Pose, range_m: float, smallest_px: float
) -> NDArray[np.intp]:
    """Indices of balls [n, 3] of the global frame that meet the field of view within a range, farthest first.

    Those that would be drawn less than `smallest_px` wide are left out.
    """
    cam_from_global = view.cam_from_ego @ pose.rotation.T
    centre = (centre_m - eye_of(view, pose)) @ cam_from_global.T  # [n, 3]
    seen = (centre[:, 2] > NEAR_M - radius_m) & (centre[:, 2] - radius_m < range_m)
    seen &= 2 * radius_m * view.K[0, 0] > smallest_px * centre[:, 2]
    for axis, size_px in ((0, view.width_px), (1, view.height_px)):
        for end, sign in ((-0.5, 1.0), (size_px - 0.5, -1.0)):
            # The plane through the eye and one edge of the image; its normal looks into the view.
            pixel = np.array([end, 0, 1]) if axis == 0 else np.array([0, end, 1])
            inward = np.zeros(3)
            inward[axis], inward[2] = sign, -sign * (view.K_inverse @ pixel)[axis]
            seen &= centre @ (inward / np.linalg.norm(inward)) > -radius_m
    chosen = np.flatnonzero(seen)
    return np.asarray(chosen[np.argsort(-centre[chosen, 2], kind="stable")])
