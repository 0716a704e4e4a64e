"""Keeps a scene free of overlaps."""

from __future__ import annotations

import numpy as np

from bevdeploy.data.world.drivers import EGO_REAR_M, EGO_SIZE_WLH_M
from bevdeploy.data.world.overlaps import overlap
from bevdeploy.data.world.scene import Float64, Solid, Track

NEAR_M = 85.0
"""What never comes this near to the recording vehicle is left out."""
_ROOM_M = 0.04
"""Around every object."""
_OVERHEAD_M = 2.0
"""What begins higher above the ground hinders nobody."""


def rectangles_of(track: Track, times_s: Float64, ahead_m: float = 0.0) -> Float64:
    """The track's rectangles x, y, yaw, half length, half width at these times; [T, 5]."""
    x, y, yaw = (np.interp(times_s, track.times_s, column) for column in track.poses.T)
    half = np.tile([track.size_wlh_m[1] / 2, track.size_wlh_m[0] / 2], (len(times_s), 1))  # [T, 2]
    return np.column_stack([x + ahead_m * np.cos(yaw), y + ahead_m * np.sin(yaw), yaw, half])


def ego_rectangles(ego: Track, times_s: Float64) -> Float64:
    """The same of the recording vehicle, whose pose is that of its rear axle."""
    return rectangles_of(ego, times_s, EGO_SIZE_WLH_M[1] / 2 - EGO_REAR_M)


def ground_rectangles(scenery: tuple[Solid, ...]) -> Float64:
    """Rectangles [k, 5] of the scenery that reaches down to where people walk."""
    low = [solid for solid in scenery if solid.centre_m[2] - solid.half_m[2] < _OVERHEAD_M]
    rows = [[*solid.centre_m[:2], solid.yaw_rad, *solid.half_m[:2]] for solid in low]
    return np.array(rows, np.float64).reshape(-1, 5)


def apart(ego: Track, tracks: list[Track], scenery: tuple[Solid, ...], times_s: Float64) -> list[Track]:
    """The tracks that come near the recording vehicle; of two that overlap at any of these times only the first.

    What stands still keeps off the scenery too.
    """
    own = ego_rectangles(ego, times_s)
    fixed = ground_rectangles(scenery)
    kept: list[Track] = []
    boxes = np.empty((len(tracks) + 1, len(times_s), 5))
    reach_m = np.zeros(len(tracks) + 1)
    boxes[0], reach_m[0] = own, np.hypot(*own[0, 3:])
    for track in tracks:
        box = rectangles_of(track, times_s)
        box[:, 3:] += _ROOM_M
        radius_m = float(np.hypot(*box[0, 3:]))
        if np.hypot(*(box - own)[:, :2].T).min() > NEAR_M:
            continue
        if len(track.times_s) == 2 and bool(overlap(box[0], fixed).any()):
            continue
        count = len(kept) + 1
        gaps = np.hypot(*np.moveaxis(boxes[:count, :, :2] - box[:, :2], -1, 0))  # [count, T]
        rows, at = np.nonzero(gaps < radius_m + reach_m[:count, None])
        if bool(overlap(boxes[rows, at], box[at]).any()):
            continue
        kept.append(track)
        boxes[count], reach_m[count] = box, radius_m
    return kept
