"""Shadows of solids on the ground, as pixels of a view."""

from __future__ import annotations

from typing import Final

import numpy as np

from bevdeploy.data.world.fragments import Spans, joined_spans, polygon_spans
from bevdeploy.data.world.scene import Float64, Light
from bevdeploy.data.world.solid_arrays import SolidArrays
from bevdeploy.data.world.view import Pose, View, balls_in_view, eye_of

_LOWEST_SUN: Final = 0.2
"""A sun lower than this throws the shadows of a sun this high."""
_RANGE_M: Final = 70.0
"""Shadows farther away are not drawn."""
_SIDES: Final = 12
"""Corners of an ellipsoid's shadow."""

_SQUARE: Final = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
_BOX_EDGES: Final = np.array(
    [[k, (k + 1) % 4] for k in range(4)] + [[4 + k, 4 + (k + 1) % 4] for k in range(4)] + [[k, 4 + k] for k in range(4)]
)
_ROUND: Final = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)
_ROUND_EDGES: Final = np.stack([np.arange(_SIDES), np.roll(np.arange(_SIDES), -1)], 1)


def shadow_spans(solids: SolidArrays, view: View, pose: Pose, light: Light) -> Spans:
    """Rows in which the ground would lie in the shadow of a solid: of cuboids, then of ellipsoids."""
    fall, high = _per_metre(light), solids.half_m[:, 2]
    middle = solids.centre_m * [1, 1, 0]
    middle[:, :2] += solids.centre_m[:, 2:] * fall
    radius = np.hypot(solids.half_m[:, 0], solids.half_m[:, 1]) + high * np.hypot(*fall)
    near = balls_in_view(middle, radius, view, pose, _RANGE_M, 4.0)
    thrown = solids.chosen(near[solids.shadow[near]])
    ball = thrown.ball
    cam_from_global, eye = view.cam_from_ego @ pose.rotation.T, eye_of(view, pose)
    boxes, balls = (
        polygon_spans((np.pad(outline, ((0, 0), (0, 0), (0, 1))) - eye) @ cam_from_global.T, edges, view)
        for outline, edges in (
            (_box_shadows(thrown.chosen(~ball), light), _BOX_EDGES),
            (_ball_shadows(thrown.chosen(ball), light), _ROUND_EDGES),
        )
    )
    return joined_spans(boxes, balls)


def _per_metre(light: Light) -> Float64:
    """How far a shadow falls along x and y per metre of height, [2]."""
    x, y, z = light.sun
    return np.array([-x, -y]) / max(z, _LOWEST_SUN)


def _box_shadows(solids: SolidArrays, light: Light) -> Float64:
    """Shadows of the corners of cuboids on the ground, [n, 8, 2]: of the lower four, then of the upper."""
    cos, sin = np.cos(solids.yaw_rad)[:, None], np.sin(solids.yaw_rad)[:, None]
    along, aside = solids.half_m[:, :1] * _SQUARE[:, 0], solids.half_m[:, 1:2] * _SQUARE[:, 1]  # [n, 4]
    plan = np.stack([cos * along - sin * aside, sin * along + cos * aside], 2) + solids.centre_m[:, None, :2]
    levels = [solids.centre_m[:, 2] + sign * solids.half_m[:, 2] for sign in (-1, 1)]
    return np.concatenate([plan + (z[:, None] * _per_metre(light))[:, None] for z in levels], 1)


def _ball_shadows(solids: SolidArrays, light: Light) -> Float64:
    """Outlines of the shadows of ellipsoids on the ground, [n, _SIDES, 2].

    A point c + B w, w of length 1, throws its shadow on P(c) + P B w; all of them fill an ellipse, the image of the
    unit disc under the Cholesky factor of P B B' P'.
    """
    fall = _per_metre(light)
    cos, sin = np.cos(solids.yaw_rad), np.sin(solids.yaw_rad)
    x_axis, y_axis = np.stack([cos, sin], 1), np.stack([-sin, cos], 1)
    project = np.stack(
        [x_axis * solids.half_m[:, :1], y_axis * solids.half_m[:, 1:2], fall * solids.half_m[:, 2:]],
        2,
    )  # [n, 2, 3]: P B
    square = project @ project.transpose(0, 2, 1)  # [n, 2, 2]
    a, b, d = np.sqrt(square[:, 0, 0]), square[:, 0, 1], square[:, 1, 1]
    low = b / a
    high = np.sqrt(np.maximum(d - low**2, 0))
    circle = np.stack([np.cos(_ROUND), np.sin(_ROUND)])  # [2, k]
    x = a[:, None] * circle[0]
    y = low[:, None] * circle[0] + high[:, None] * circle[1]
    middle = solids.centre_m[:, :2] + solids.centre_m[:, 2:] * fall
    return np.asarray(np.stack([x, y], 2) + middle[:, None])  # [n, k, 2]
