"""What an index holds: its arrays, their types, and the names behind their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLASSES = (
    "car",
    "truck",
    "construction_vehicle",
    "bus",
    "trailer",
    "barrier",
    "motorcycle",
    "bicycle",
    "pedestrian",
    "traffic_cone",
)
"""nuScenes' ten detection classes, by their number in `box_class`."""

ATTRIBUTES = (
    "cycle.with_rider",
    "cycle.without_rider",
    "pedestrian.moving",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "vehicle.moving",
    "vehicle.parked",
    "vehicle.stopped",
)
"""nuScenes' attributes, by their number in `box_attribute` and `Truth.attributes`."""

SWEEPS = 10
"""Lidar sweeps before a keyframe's own that the index lists."""


@dataclass(frozen=True, eq=False)
class IndexArrays:
    """n keyframes by scene name, then time; m boxes and r lidar files in the order of their keyframes.

    Cameras are in the order of `nuscenes.CAMERAS`.
    """

    token: NDArray[np.bytes_]
    """[n] sample tokens."""
    timestamp_us: NDArray[np.int64]
    """[n]."""
    scene: NDArray[np.int32]
    """[n], index into `SampleIndex.scenes`."""
    previous: NDArray[np.int32]
    """[n] keyframe before it in its scene; -1 for the first."""
    following: NDArray[np.int32]
    """[n] keyframe after it in its scene; -1 for the last."""
    global_from_ego: NDArray[np.float64]
    """[n, 4, 4] at the key time: LIDAR_TOP's pose, CAM_FRONT's where there is no lidar."""
    ego_state: NDArray[np.float32]
    """[n, 9] as `tasks.EGO_STATE`, in the ego frame; gravity taken off."""
    ego_state_measured: NDArray[np.bool_]
    """[n] from the CAN bus; False: differences of poses."""
    image_path: NDArray[np.bytes_]
    """[n, 6] relative to the root."""
    image_hw: NDArray[np.int32]
    """[n, 6, 2] height and width, px."""
    image_present: NDArray[np.bool_]
    """[n, 6] when the index was built."""
    K: NDArray[np.float64]
    """[n, 6, 3, 3] pixels of the raw image."""
    ego_from_cam: NDArray[np.float64]
    """[n, 6, 4, 4] calibration."""
    global_from_egocam: NDArray[np.float64]
    """[n, 6, 4, 4] ego pose at the camera's own time."""
    lidar_first: NDArray[np.int64]
    """[n + 1] first lidar file of each keyframe: its own, then sweeps back in time."""
    lidar_path: NDArray[np.bytes_]
    """[r] relative to the root."""
    lidar_present: NDArray[np.bool_]
    """[r] when the index was built."""
    ego_from_lidar: NDArray[np.float64]
    """[r, 4, 4] sensor at its own time to the ego frame of the key time."""
    lidar_age_s: NDArray[np.float32]
    """[r] seconds before the keyframe's own."""
    box_first: NDArray[np.int64]
    """[n + 1] first box of each keyframe."""
    box_centre_m: NDArray[np.float64]
    """[m, 3] global frame."""
    box_size_m: NDArray[np.float32]
    """[m, 3] width, length, height."""
    box_rotation: NDArray[np.float64]
    """[m, 4] quaternion w, x, y, z."""
    box_velocity_mps: NDArray[np.float32]
    """[m, 3] global frame, the devkit's `box_velocity`; NaN where it cannot be told."""
    box_class: NDArray[np.int8]
    """[m], index into `CLASSES`."""
    box_attribute: NDArray[np.int8]
    """[m], index into `ATTRIBUTES`; -1 for none."""
    box_instance: NDArray[np.int32]
    """[m] the same number for the same object."""
    box_points: NDArray[np.int32]
    """[m] lidar and radar points inside."""
    box_visibility: NDArray[np.int8]
    """[m] nuScenes' level 1..4."""
    box_following: NDArray[np.int64]
    """[m] the same object's box in the next keyframe; -1 for none."""


DTYPES: Mapping[str, str] = {
    "token": "S",
    "timestamp_us": "i8",
    "scene": "i4",
    "previous": "i4",
    "following": "i4",
    "global_from_ego": "f8",
    "ego_state": "f4",
    "ego_state_measured": "?",
    "image_path": "S",
    "image_hw": "i4",
    "image_present": "?",
    "K": "f8",
    "ego_from_cam": "f8",
    "global_from_egocam": "f8",
    "lidar_first": "i8",
    "lidar_path": "S",
    "lidar_present": "?",
    "ego_from_lidar": "f8",
    "lidar_age_s": "f4",
    "box_first": "i8",
    "box_centre_m": "f8",
    "box_size_m": "f4",
    "box_rotation": "f8",
    "box_velocity_mps": "f4",
    "box_class": "i1",
    "box_attribute": "i1",
    "box_instance": "i4",
    "box_points": "i4",
    "box_visibility": "i1",
    "box_following": "i8",
}
"""NumPy types of the files, little-endian."""
