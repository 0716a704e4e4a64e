"""Rotated rectangles: corners and overlaps. A rectangle is x, y, yaw, half length (along yaw), half width."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.scene import Float64


def corners_of(rectangles: Float64) -> Float64:
    """Corners [..., 4, 2] of rectangles [..., 5], counter-clockwise."""
    x, y, yaw, half_length, half_width = np.moveaxis(rectangles[..., None], -2, 0)  # each [..., 1]
    along = half_length * np.array([1.0, -1.0, -1.0, 1.0])  # [..., 4]
    aside = half_width * np.array([1.0, 1.0, -1.0, -1.0])
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([x + cos * along - sin * aside, y + sin * along + cos * aside], axis=-1)  # [..., 4, 2]


def overlap(one: Float64, other: Float64) -> NDArray[np.bool_]:
    """Whether rectangles [..., 5] overlap, by the separating axis theorem; the leading axes broadcast."""
    dx, dy = other[..., 0] - one[..., 0], other[..., 1] - one[..., 1]
    turn = other[..., 2] - one[..., 2]
    cos, sin = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    apart = np.zeros(np.broadcast(dx, turn).shape, bool)
    for own, their in ((one, other), (other, one)):
        along = np.abs(dx * np.cos(own[..., 2]) + dy * np.sin(own[..., 2]))
        aside = np.abs(dy * np.cos(own[..., 2]) - dx * np.sin(own[..., 2]))
        apart |= along >= own[..., 3] + their[..., 3] * cos + their[..., 4] * sin
        apart |= aside >= own[..., 4] + their[..., 3] * sin + their[..., 4] * cos
    return ~apart
