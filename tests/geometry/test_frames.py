"""Rigid transforms and quaternions."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.errors import GeometryError
from bevdeploy.geometry.frames import compose, invert, rotation_from_quaternion, transform

QUARTER = np.sqrt(0.5)


@pytest.mark.parametrize(
    ("wxyz", "point", "turned"),
    [
        ([1, 0, 0, 0], [1, 2, 3], [1, 2, 3]),
        ([QUARTER, 0, 0, QUARTER], [1, 0, 0], [0, 1, 0]),  # 90 degrees about z: x becomes y
        ([QUARTER, QUARTER, 0, 0], [0, 1, 0], [0, 0, 1]),  # about x: y becomes z
        ([QUARTER, 0, QUARTER, 0], [0, 0, 1], [1, 0, 0]),  # about y: z becomes x
        ([0, 0, 0, 5], [1, 2, 3], [-1, -2, 3]),  # 180 degrees about z, not normalised
    ],
)
def test_quaternions_by_hand(wxyz: list[float], point: list[float], turned: list[float]) -> None:
    assert np.allclose(rotation_from_quaternion(wxyz) @ point, turned, atol=1e-12)


@pytest.mark.parametrize("wxyz", [[0, 0, 0, 0], [1, 0, 0], [np.nan, 0, 0, 1], [np.inf, 0, 0, 1], []])
def test_impossible_quaternions(wxyz: list[float]) -> None:
    with pytest.raises(GeometryError, match="quaternion"):
        rotation_from_quaternion(wxyz)


def test_a_camera_two_metres_ahead_by_hand() -> None:
    """A camera at (2, 0, 1.5) looking along y: what is 10 m in front of it is at (2, 10, 1.5)."""
    ego_from_cam = compose([[1, 0, 0], [0, 0, 1], [0, -1, 0]], [2, 0, 1.5])
    assert np.allclose(transform(ego_from_cam, [0, 0, 10]), [2, 10, 1.5])
    assert np.allclose(transform(invert(ego_from_cam), [2, 10, 1.5]), [0, 0, 10])


def test_inverse_undoes(rng: np.random.Generator) -> None:
    for _ in range(20):
        a_from_b = compose(rotation_from_quaternion(rng.normal(size=4)), rng.normal(size=3) * 10)
        assert np.allclose(invert(a_from_b) @ a_from_b, np.eye(4), atol=1e-12)
        points_b = rng.normal(size=(2, 5, 3))
        assert np.allclose(transform(invert(a_from_b), transform(a_from_b, points_b)), points_b)
