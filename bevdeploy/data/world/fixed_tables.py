"""The tables that are the same for every scene: attributes, categories, visibility levels, sensors, calibration.

Names and levels are nuScenes' (schema of the data set); descriptions are our own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bevdeploy.data.world.options import WorldOptions
from bevdeploy.data.world.sensor_rig import LIDAR, ego_from_lidar, world_rig
from bevdeploy.data.world.tokens import token_of
from bevdeploy.geometry.frames import Float64

Row = dict[str, Any]

ATTRIBUTES = {
    "vehicle.moving": "Drives.",
    "vehicle.stopped": "Stands for a moment, with a driver in it.",
    "vehicle.parked": "Stands for good.",
    "cycle.with_rider": "Somebody sits on it.",
    "cycle.without_rider": "Nobody sits on it.",
    "pedestrian.sitting_lying_down": "Sits or lies.",
    "pedestrian.standing": "Stands.",
    "pedestrian.moving": "Walks or runs.",
}

CATEGORIES = (
    "human.pedestrian.adult",
    "human.pedestrian.child",
    "human.pedestrian.wheelchair",
    "human.pedestrian.stroller",
    "human.pedestrian.personal_mobility",
    "human.pedestrian.police_officer",
    "human.pedestrian.construction_worker",
    "animal",
    "vehicle.car",
    "vehicle.motorcycle",
    "vehicle.bicycle",
    "vehicle.bus.bendy",
    "vehicle.bus.rigid",
    "vehicle.truck",
    "vehicle.construction",
    "vehicle.emergency.ambulance",
    "vehicle.emergency.police",
    "vehicle.trailer",
    "movable_object.barrier",
    "movable_object.trafficcone",
    "movable_object.pushable_pullable",
    "movable_object.debris",
    "static_object.bicycle_rack",
)
"""All 23 of nuScenes; the ten detection classes come from them."""

VISIBILITY = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}


def attribute_token(name: str) -> str:
    """Token of an attribute by name."""
    return token_of("attribute", name)


def category_token(name: str) -> str:
    """Token of a category by name."""
    return token_of("category", name)


def calibration_token(channel: str, options: WorldOptions) -> str:
    """Token of a sensor's calibration; one vehicle recorded all scenes of a world."""
    return token_of("calibrated_sensor", channel, options.width_px, options.height_px)


def fixed_tables(options: WorldOptions) -> dict[str, list[Row]]:
    """Rows of attribute, category, visibility, sensor and calibrated_sensor."""
    rig = world_rig(options.width_px, options.height_px)
    sensors = [(camera.name, "camera", camera.ego_from_cam, camera.K.tolist()) for camera in rig.cameras]
    sensors.append((LIDAR, "lidar", ego_from_lidar(), []))
    return {
        "attribute": [
            {"token": attribute_token(name), "name": name, "description": text} for name, text in ATTRIBUTES.items()
        ],
        "category": [{"token": category_token(name), "name": name, "description": ""} for name in CATEGORIES],
        "visibility": [
            {"description": f"{level[1:]} % of the object is seen", "token": token, "level": level}
            for token, level in VISIBILITY.items()
        ],
        "sensor": [
            {"token": token_of("sensor", channel), "channel": channel, "modality": modality}
            for channel, modality, _, _ in sensors
        ],
        "calibrated_sensor": [
            {
                "token": calibration_token(channel, options),
                "sensor_token": token_of("sensor", channel),
                "translation": pose[:3, 3].tolist(),
                "rotation": quaternion(pose[:3, :3]),
                "camera_intrinsic": K,
            }
            for channel, _, pose, K in sensors
        ],
    }


def quaternion(rotation: Float64) -> list[float]:
    """(w, x, y, z) of a rotation matrix [3, 3], w not negative; by the largest component, so never near 0 / 0."""
    r = rotation
    # 4 q q^T from the matrix (Bar-Itzhack, 2000): its row of largest diagonal is q, scaled.
    outer = np.array(
        [
            [1 + r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], 1 + r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], 1 - r[0, 0] + r[1, 1] - r[2, 2], r[1, 2] + r[2, 1]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], 1 - r[0, 0] - r[1, 1] + r[2, 2]],
        ]
    )
    q = outer[int(np.argmax(np.diag(outer)))]
    q = q / np.linalg.norm(q)
    return [float(value) for value in (q if q[0] >= 0 else -q)]


def yaw_quaternion(yaw_rad: float) -> list[float]:
    """(w, x, y, z) of a turn about z."""
    return [float(np.cos(yaw_rad / 2)), 0.0, 0.0, float(np.sin(yaw_rad / 2))]
