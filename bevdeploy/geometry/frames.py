"""Rigid transforms between frames, named so that chains rhyme: `p_a = a_from_b @ p_b`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bevdeploy.errors import GeometryError

Float64 = NDArray[np.float64]


def rotation_from_quaternion(wxyz: ArrayLike) -> Float64:
    """Rotation matrix [3, 3] of a quaternion (w, x, y, z), normalised first.

    Raises:
        GeometryError: the quaternion is not four finite numbers of non-zero length.
    """
    q = np.asarray(wxyz, np.float64)
    if q.shape != (4,) or not np.isfinite(q).all() or np.linalg.norm(q) < 1e-6:
        raise GeometryError(f"rotation: expected a quaternion (w, x, y, z), got {wxyz!r}")
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def compose(rotation: ArrayLike, translation_m: ArrayLike) -> Float64:
    """Rigid transform [4, 4] of a rotation [3, 3] and a translation [3] in metres."""
    a_from_b = np.eye(4)
    a_from_b[:3, :3] = rotation
    a_from_b[:3, 3] = translation_m
    return a_from_b


def invert(a_from_b: Float64) -> Float64:
    """`b_from_a` [4, 4] of a rigid `a_from_b` [4, 4]; the rotation is transposed, not solved."""
    rotation = a_from_b[:3, :3]
    return compose(rotation.T, -rotation.T @ a_from_b[:3, 3])


def transform(a_from_b: Float64, points_b: ArrayLike) -> Float64:
    """Points [..., 3] of frame b, in frame a."""
    points = np.asarray(points_b, np.float64)
    return np.asarray(points @ a_from_b[:3, :3].T + a_from_b[:3, 3])
