"""Shadows on the ground, against rays to the sun."""

from __future__ import annotations

import numpy as np

from bevdeploy.data.world.scene import Solid
from bevdeploy.data.world.shadows import shadow_spans
from bevdeploy.data.world.solid_arrays import arrays_of
from bevdeploy.data.world.view import Pose, eye_of, view_of
from bevdeploy.geometry import surround_rig

from .small_scene import LIGHT, first_hit

POSE = Pose(20.0, 28.0, 0.1)


def test_shaded_ground_does_not_see_the_sun(rng: np.random.Generator) -> None:
    things = [
        Solid((31, 29, 1.5), (1.5, 0.8, 1.2), 0.5, (1, 1, 1)),
        Solid((28, 32, 3.0), (1.2, 0.7, 0.9), 0.9, (1, 1, 1), "ball"),
        Solid((38, 25, 4.2), (2, 3, 4), 1.2, (1, 1, 1)),
        Solid((30, 26, 1), (1, 1, 1), 0.0, (1, 1, 1), shadow=False),
    ]
    solids = arrays_of(things)
    view = view_of(surround_rig(352, 198).cameras[1])
    shaded = shadow_spans(solids, view, POSE, LIGHT).cover(view.height_px, view.width_px)
    throwing = solids.chosen(solids.shadow)
    eye = eye_of(view, POSE)
    wrong = seen = 0
    for pixel in rng.choice(view.ground, 1500, replace=False):
        v, u = divmod(int(pixel), view.width_px)
        ray = POSE.rotation @ view.cam_from_ego.T @ view.K_inverse @ [u, v, 1]
        point = eye - ray * (eye[2] / ray[2])
        if np.hypot(*(point - eye)[:2]) > 60:
            continue
        dark = first_hit(throwing, point, np.array(LIGHT.sun))[0] >= 0
        seen += dark
        wrong += dark != shaded[pixel]
    assert seen > 80
    # Twelve corners cut 4.5 % off an ellipse.
    assert wrong <= 0.03 * seen
