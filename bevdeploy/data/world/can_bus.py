"""Pose messages of the CAN bus expansion, as the devkit's `NuScenesCanBus` reads them.

One message every 20 ms: `utime` (microseconds), `pos` and `orientation` (w, x, y, z) in the global frame, `vel`,
`accel` (with gravity, as an IMU feels it) and `rotation_rate` in the ego frame; metres, seconds, radians.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bevdeploy.data.world.scene import STEP_S, Scene, Track
from bevdeploy.geometry.frames import Float64

STEP_US = 20_000
"""50 Hz."""
LEAD_US = 500_000
"""Messages begin and end so long before the first and after the last keyframe."""
GRAVITY = 9.81
HALF_S = 0.1
"""Speeds and turn rates are differences over twice this: paths are polylines, a vehicle is not."""

WITHOUT_CAN_BUS = frozenset((*range(161, 169), *range(170, 177), *range(309, 315)))
"""Scene numbers that the devkit refuses to read, since their logs have no CAN bus data (`can_blacklist`)."""


def has_can_bus(name: str) -> bool:
    """Whether a scene `scene-0061` has CAN bus messages in nuScenes."""
    return int(name.removeprefix("scene-")) not in WITHOUT_CAN_BUS


def pose_messages(scene: Scene, start_us: int) -> list[dict[str, Any]]:
    """Messages from half a second before the first keyframe, at `start_us`, to half a second after the last."""
    last_us = round((scene.keyframes - 1) * STEP_S * 1e6)
    offsets_us = np.arange(-LEAD_US, last_us + LEAD_US + 1, STEP_US)  # [M]
    times_s = offsets_us / 1e6
    x, y, yaw = _poses(scene.ego, times_s)
    velocity = _velocity(scene.ego, times_s)  # [2, M], global
    accel = (_velocity(scene.ego, times_s + HALF_S) - _velocity(scene.ego, times_s - HALF_S)) / (2 * HALF_S)
    turn = (_poses(scene.ego, times_s + HALF_S)[2] - _poses(scene.ego, times_s - HALF_S)[2]) / (2 * HALF_S)
    forward, left = np.stack([np.cos(yaw), np.sin(yaw)]), np.stack([-np.sin(yaw), np.cos(yaw)])  # [2, M]
    columns = np.stack(
        [
            x,
            y,
            np.cos(yaw / 2),
            np.sin(yaw / 2),
            (velocity * forward).sum(0),
            (velocity * left).sum(0),
            (accel * forward).sum(0),
            (accel * left).sum(0),
            turn,
        ],
        axis=1,
    )  # [M, 9]
    return [
        {
            "accel": [ax, ay, GRAVITY],
            "orientation": [qw, 0.0, 0.0, qz],
            "pos": [px, py, 0.0],
            "rotation_rate": [0.0, 0.0, rate],
            "utime": start_us + int(offset_us),
            "vel": [vx, vy, 0.0],
        }
        for offset_us, (px, py, qw, qz, vx, vy, ax, ay, rate) in zip(
            offsets_us, np.round(columns, 9).tolist(), strict=True
        )
    ]


def _poses(track: Track, times_s: Float64) -> Float64:
    """x, y, yaw [3, M]."""
    return np.stack([np.interp(times_s, track.times_s, column) for column in track.poses.T])


def _velocity(track: Track, times_s: Float64) -> Float64:
    """Global velocity [2, M]."""
    ahead, behind = _poses(track, times_s + HALF_S), _poses(track, times_s - HALF_S)
    return (ahead - behind)[:2] / (2 * HALF_S)
