"""A made-up six-camera rig in the proportions of nuScenes: what export, demo and tests use when no rig is given.

Numbers chosen here, not the calibration of any vehicle: five 65 degree cameras and a wider one to the rear. Each is
tilted by about a degree, as mounted cameras are: a perfectly level rig piles the rows of an image column into the same
cells, and pool tables sized for it would be too small for every real rig.
"""

from __future__ import annotations

import numpy as np

from bevdeploy.geometry.frames import Float64, compose, rotation_from_quaternion
from bevdeploy.geometry.rig import Camera, CameraRig

_EGO_FROM_FORWARD_CAM = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Axes of a camera that looks along ego x: its z is ego x, its x is ego -y, its y is ego -z."""

# name; yaw (left positive), pitch (down positive), roll in degrees; position in the ego frame (m);
# focal length in units of the image width
_LAYOUT = (
    ("CAM_FRONT_LEFT", (55.3, 0.7, -1.1), (1.52, 0.49, 1.51), 0.79),
    ("CAM_FRONT", (-0.4, 0.6, 0.9), (1.70, 0.02, 1.51), 0.79),
    ("CAM_FRONT_RIGHT", (-55.8, 0.8, 1.2), (1.55, -0.50, 1.49), 0.79),
    ("CAM_BACK_LEFT", (108.6, 1.2, 1.0), (1.03, 0.48, 1.56), 0.79),
    ("CAM_BACK", (179.5, 1.3, -0.8), (0.05, 0.00, 1.57), 0.50),
    ("CAM_BACK_RIGHT", (-110.4, 0.9, -1.3), (1.01, -0.48, 1.54), 0.79),
)


def surround_rig(width_px: int = 1600, height_px: int = 900) -> CameraRig:
    """Six cameras around the vehicle, raw images of `width_px` x `height_px`."""
    cameras = []
    for name, angles_deg, position_m, focal in _LAYOUT:
        yaw, pitch, roll = np.deg2rad(angles_deg)
        turn = _about("z", yaw) @ _about("y", pitch) @ _about("x", roll)
        K = np.array([[focal * width_px, 0, width_px / 2], [0, focal * width_px, height_px / 2], [0, 0, 1.0]])
        cameras.append(Camera(name, width_px, height_px, K, compose(turn @ _EGO_FROM_FORWARD_CAM, position_m)))
    return CameraRig(tuple(cameras))


def _about(axis: str, angle_rad: float) -> Float64:
    """Rotation [3, 3] about an ego axis."""
    quaternion = np.zeros(4)
    quaternion[0] = np.cos(angle_rad / 2)
    quaternion["wxyz".index(axis)] = np.sin(angle_rad / 2)
    return rotation_from_quaternion(quaternion)
