"""Which solid each pixel shows and how deep it lies, against single rays; spans against areas."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.world.faces import Faces, faces_of
from bevdeploy.data.world.fragments import QUAD_EDGES, Spans, nearest, polygon_spans, spans_of
from bevdeploy.data.world.scene import Solid
from bevdeploy.data.world.solid_arrays import SolidArrays, arrays_of, solids_near
from bevdeploy.data.world.view import Pose, View, balls_in_view, eye_of, view_of
from bevdeploy.geometry import surround_rig

from .small_scene import LIGHT, busy_scene, first_hit

POSE = Pose(20.0, 28.0, 0.1)


def cast(solids: SolidArrays, view: View, pose: Pose) -> tuple[Faces, Spans, np.ndarray, np.ndarray]:
    """Solid of every pixel, -1 for none, and its inverse depth, [h, w]."""
    faces = faces_of(solids, view, pose, LIGHT)
    spans = spans_of(faces, view)
    shown = nearest(faces, spans, view)
    solid = np.full(view.height_px * view.width_px, -1)
    inverse = np.zeros(len(solid))
    solid[shown.pixel] = faces.solid[spans.face[shown.span]]
    inverse[shown.pixel] = shown.inverse_depth
    return faces, spans, solid.reshape(view.height_px, -1), inverse.reshape(view.height_px, -1)


def ray(view: View, pose: Pose, u: float, v: float) -> np.ndarray:
    """Through a pixel, of depth 1, in the global frame."""
    return pose.rotation @ view.cam_from_ego.T @ view.K_inverse @ [u, v, 1]


@pytest.mark.parametrize("camera", range(6))
def test_pixels_show_what_single_rays_hit(camera: int, rng: np.random.Generator) -> None:
    view = view_of(surround_rig(176, 99).cameras[camera])
    solids = solids_near(busy_scene(), 0.0, (20, 28), 100)
    _, _, solid, inverse = cast(solids, view, POSE)
    eye = eye_of(view, POSE)
    hits = 0
    for v, u in zip(rng.integers(0, 99, 160), rng.integers(0, 176, 160), strict=True):
        k, depth = first_hit(solids, eye, ray(view, POSE, u, v))
        if solid[v, u] != k:
            # At an edge the ray a thousandth of a pixel beside decides.
            beside = [(1e-3, 1e-3), (-1e-3, -1e-3), (1e-3, -1e-3), (-1e-3, 1e-3)]
            around = {first_hit(solids, eye, ray(view, POSE, u + du, v + dv))[0] for du, dv in beside}
            assert solid[v, u] in around, (u, v)
        elif k >= 0:
            hits += 1
            assert 1 / inverse[v, u] == pytest.approx(depth, rel=2e-3)
    assert hits > 15


def test_the_camera_may_stand_inside_or_beside_solids() -> None:
    view = view_of(surround_rig(176, 99).cameras[1])
    eye = eye_of(view, POSE)
    around = Solid(tuple(eye), (3, 3, 3), 0.2, (1, 1, 1))
    wall = Solid((eye[0] + 5, eye[1] + 1.0, 1), (12, 0.2, 4), 0.1, (1, 1, 1))
    solids = arrays_of([around, wall])
    outside = solids.chosen(np.array([1]))
    _, _, solid, _ = cast(solids, view, POSE)
    walls = 0
    for v in range(3, 99, 8):
        for u in range(3, 176, 8):
            # What surrounds the camera is not drawn.
            hit = first_hit(outside, eye, ray(view, POSE, u, v))[0] >= 0
            assert solid[v, u] == (1 if hit else -1)
            walls += hit
    assert walls > 20


def test_culling_loses_nothing() -> None:
    solids = solids_near(busy_scene(), 0.0, (20, 28), 100)
    for camera in surround_rig(176, 99).cameras:
        view = view_of(camera)
        kept = balls_in_view(solids.centre_m, np.linalg.norm(solids.half_m, axis=1), view, POSE, 100.0, 0.0)
        assert 0 < len(kept) < len(solids)
        # Depths, since of two faces in one plane either may be shown.
        np.testing.assert_array_equal(cast(solids.chosen(kept), view, POSE)[3], cast(solids, view, POSE)[3])


def test_a_lone_box_is_framed_by_its_corners() -> None:
    for camera in surround_rig(704, 256).cameras:
        view = view_of(camera)
        forward = POSE.rotation @ view.cam_from_ego[2]
        centre = eye_of(view, POSE) + forward * 14
        solid = Solid((centre[0], centre[1], 0.8), (2.2, 0.9, 0.8), 0.4, (1, 0, 0))
        _, _, shown, _ = cast(arrays_of([solid]), view, POSE)
        rows, columns = np.nonzero(shown == 0)
        signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
        cos, sin = np.cos(0.4), np.sin(0.4)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        corners = (signs * solid.half_m) @ turn.T + solid.centre_m - eye_of(view, POSE)
        image = corners @ POSE.rotation @ view.cam_from_ego.T @ camera.K.T
        u, v = image[:, 0] / image[:, 2], image[:, 1] / image[:, 2]
        assert abs(columns.min() - u.min()) <= 1 and abs(columns.max() - u.max()) <= 1
        assert abs(rows.min() - v.min()) <= 1 and abs(rows.max() - min(v.max(), 255)) <= 1


def test_neighbouring_faces_share_no_pixel_and_leave_none(rng: np.random.Generator) -> None:
    view = view_of(surround_rig(176, 99).cameras[1])
    for _ in range(20):
        # Two triangles of a quadrangle, in the camera's frame.
        plane = np.concatenate([rng.uniform(-1, 1, (3, 2)) * [1.2, 0.5], np.full((3, 1), 2.0)], 1)
        middle = plane.mean(0)
        parts = [np.stack([plane[k], plane[(k + 1) % 3], middle, middle]) for k in range(3)]
        whole = polygon_spans(np.stack([plane[0], plane[1], plane[2], plane[2]])[None], QUAD_EDGES, view)
        split = polygon_spans(np.stack(parts), QUAD_EDGES, view)
        assert sorted(pixels(whole)) == sorted(pixels(split))
        cover = np.zeros(view.height_px * 176, bool)
        cover[pixels(whole)] = True
        np.testing.assert_array_equal(whole.cover(view.height_px, 176), cover)


def pixels(spans: Spans) -> list[int]:
    """Of an image 176 px wide, each as often as it is covered."""
    rows = zip(spans.row, spans.start, spans.stop, strict=True)
    return [int(row * 176 + column) for row, start, stop in rows for column in range(start, stop)]
