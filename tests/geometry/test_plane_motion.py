"""The motion of the BEV plane: a point that stands still is found again."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bevdeploy.geometry import plane_motion
from bevdeploy.geometry.frames import compose, invert
from bevdeploy.geometry.plane_motion import STANDING_STILL

METRES = st.floats(-50, 50)


def pose(x_m: float, y_m: float, yaw: float) -> np.ndarray:
    rotation = [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
    return compose(rotation, [x_m, y_m, 0.3])


@given(METRES, METRES, st.floats(-3, 3), METRES, METRES, st.floats(-3, 3), METRES, METRES)
def test_a_standing_point_is_where_it_was(
    x1: float, y1: float, yaw1: float, x2: float, y2: float, yaw2: float, x_m: float, y_m: float
) -> None:
    then, now = pose(x1, y1, yaw1), pose(x2, y2, yaw2)
    in_world = now @ [x_m, y_m, 0, 1]
    want = (invert(then) @ in_world)[:2]
    got = plane_motion(invert(then) @ now) @ np.array([x_m, y_m, 1])
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_without_motion_it_is_the_identity() -> None:
    assert np.array_equal(plane_motion(np.eye(4)), STANDING_STILL) and STANDING_STILL.dtype == np.float32


def test_driving_on_shifts_the_world_ahead() -> None:
    """What lies 10 m ahead now was 14 m ahead before the vehicle drove 4 m."""
    motion = plane_motion(invert(pose(0, 0, 0)) @ pose(4, 0, 0))
    np.testing.assert_allclose(motion @ np.array([10, -2, 1]), [14, -2])
