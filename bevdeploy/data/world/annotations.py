"""Which objects of a keyframe are annotated, and with what: visibility, attribute, lidar points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.scene import Scene, Track

RANGE_M = 80.0
"""Objects further from the ego vehicle are not annotated."""
MOVING_MPS = 0.2
"""Slower counts as standing."""


def annotations_at(
    scene: Scene,
    time_s: float,
    visible: NDArray[np.float64],
    unoccluded: NDArray[np.float64],
    lidar_points: NDArray[np.signedinteger[Any]],
) -> list[dict[str, Any]]:
    """Objects within 80 m of the ego that the lidar hits or a camera sees, as nuScenes annotates.

    Args:
        scene: what is there.
        time_s: time of the keyframe.
        visible: pixels of each track in all six images [tracks].
        unoccluded: the same, were nothing before it [tracks].
        lidar_points: returns from each track [tracks].
    """
    ego_x, ego_y, _ = scene.ego.pose_at(time_s)
    rows = []
    for index, track in enumerate(scene.tracks):
        if not (visible[index] > 0 or lidar_points[index] > 0):
            continue
        x, y, yaw = track.pose_at(time_s)
        if np.hypot(x - ego_x, y - ego_y) > RANGE_M:
            continue
        rows.append(
            {
                "track": index,
                "pose": [x, y, yaw],
                "visibility": visibility_of(float(visible[index]), float(unoccluded[index])),
                "lidar_points": int(lidar_points[index]),
                "attribute": attribute_of(track, time_s),
            }
        )
    return rows


def visibility_of(visible: float, unoccluded: float) -> int:
    """Level 1 to 4, as in nuScenes, of the share that is seen: up to 40, 60, 80, 100 %."""
    share = visible / unoccluded if unoccluded > 0 else 0.0
    return 1 + sum(share > limit for limit in (0.4, 0.6, 0.8))


def attribute_of(track: Track, time_s: float) -> str:
    """The attribute's name; '' for what has none (barriers, cones)."""
    kind = track.category.split(".")
    moving = float(np.hypot(*track.velocity_at(time_s))) > MOVING_MPS
    if kind[:2] == ["human", "pedestrian"]:
        if track.seated:
            return "pedestrian.sitting_lying_down"
        return "pedestrian.moving" if moving else "pedestrian.standing"
    if track.category in ("vehicle.bicycle", "vehicle.motorcycle"):
        return "cycle.with_rider" if track.ridden else "cycle.without_rider"
    if kind[0] == "vehicle":
        if track.parked:
            return "vehicle.parked"
        return "vehicle.moving" if moving else "vehicle.stopped"
    return ""
