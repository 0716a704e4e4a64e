"""Sensors of the recording vehicle: six cameras in the proportions of nuScenes, one lidar, and when each fires."""

from __future__ import annotations

import numpy as np

from bevdeploy.geometry.frames import Float64, compose
from bevdeploy.geometry.image_transform import ImageTransform
from bevdeploy.geometry.rig import Camera, CameraRig
from bevdeploy.geometry.surround_rig import surround_rig

LIDAR = "LIDAR_TOP"
RAW_HW = (900, 1600)
"""nuScenes' own image size, whose field of view the cameras have."""
TURN_S = 0.05
"""One turn of the lidar; cameras fire while it sweeps past them (nuScenes, data collection)."""
_FRONT_OFFSET_S = -0.0355
"""CAM_FRONT's exposure against the end of the lidar's turn, as in nuScenes' tables."""


def world_rig(width_px: int, height_px: int) -> CameraRig:
    """The six cameras, in network order, for images of any size.

    A camera of 1600 x 900 px, scaled to fill the image and cropped at the top (`ImageTransform.fit`): frames of
    704 x 256 px show what a network of that input sees of a nuScenes frame.

    Raises:
        GeometryError: a size is not positive, or larger than a camera may have.
    """
    net_from_image = ImageTransform.fit(RAW_HW, (height_px, width_px)).net_from_image
    raw = surround_rig(RAW_HW[1], RAW_HW[0])
    return CameraRig(
        tuple(Camera(c.name, width_px, height_px, net_from_image @ c.K, c.ego_from_cam) for c in raw.cameras)
    )


def ego_from_lidar() -> Float64:
    """Extrinsics [4, 4] of the lidar: x right, y forward, z up, on the roof."""
    rotation = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return compose(rotation, (0.94, 0.0, 1.84))


def fire_offset_s(camera: Camera) -> float:
    """When a camera is exposed, in seconds after the lidar's time stamp (the end of its turn); about -0.045 to 0.005.

    The lidar turns clockwise: whatever lies 7.2 degrees further right is swept a millisecond later.
    """
    forward = camera.ego_from_cam[:3, 2]
    yaw = float(np.arctan2(forward[1], forward[0]))
    offset_s = _FRONT_OFFSET_S - yaw / (2 * np.pi) * TURN_S
    return (offset_s + 0.045) % TURN_S - 0.045
