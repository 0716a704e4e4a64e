"""Images of the small scene: frames, marks, light, and how much of each track is visible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bevdeploy.data.world.bodies import body_of
from bevdeploy.data.world.camera_image import camera_view
from bevdeploy.data.world.ground import GroundRaster, ground_of
from bevdeploy.data.world.paint import PAINTS
from bevdeploy.data.world.scene import Scene, Solid, Track
from bevdeploy.geometry import Camera, surround_rig
from bevdeploy.geometry.frames import invert, transform

from .small_scene import SIZES, busy_scene, scene_with, small_town, track

RIG = surround_rig(704, 396)
FRONT = RIG.cameras[1]


@pytest.fixture(scope="module")
def ground() -> GroundRaster:
    return ground_of(small_town())


def pixels(scene: Scene, camera: Camera, points: np.ndarray, time_s: float = 0.0) -> np.ndarray:
    """u, v [n, 2] of points of the global frame."""
    x, y, yaw = scene.ego.pose_at(time_s)
    cos, sin = np.cos(yaw), np.sin(yaw)
    global_from_ego = np.array([[cos, -sin, 0, x], [sin, cos, 0, y], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    image = transform(invert(global_from_ego @ camera.ego_from_cam), points) @ camera.K.T
    return image[:, :2] / image[:, 2:]


def box_corners(one: Track, time_s: float) -> np.ndarray:
    x, y, yaw = one.pose_at(time_s)
    width, length, height = one.size_wlh_m
    cos, sin = np.cos(yaw), np.sin(yaw)
    corners = [(i * length / 2, j * width / 2, k * height) for i in (-1, 1) for j in (-1, 1) for k in (0, 1)]
    return np.array([[x + cos * a - sin * b, y + sin * a + cos * b, c] for a, b, c in corners])


def changed(scene: Scene, without: Scene, camera: Camera, ground: GroundRaster) -> np.ndarray:
    """Pixels [h, w] in which two scenes differ by more than their equal noise."""
    images = [camera_view(one, ground, camera, 0.0).image.astype(int) for one in (scene, without)]
    return np.asarray(np.abs(images[0] - images[1]).max(2) > 0)


@pytest.mark.parametrize("name", SIZES)
def test_box_corners_frame_a_lone_object(name: str, ground: GroundRaster) -> None:
    # No sun: no shadow beside the object.
    scene = scene_with((track(name, 33, 31, yaw=0.6),))
    scene = replace(scene, light=replace(scene.light, diffuse=0.0))
    rows, columns = np.nonzero(changed(scene, replace(scene, tracks=()), FRONT, ground))
    outer = pixels(scene, FRONT, box_corners(scene.tracks[0], 0.0))
    (left, top), (right, bottom) = outer.min(0), outer.max(0)
    assert columns.min() >= left - 1 and columns.max() <= right + 1
    assert rows.min() >= top - 1 and rows.max() <= bottom + 1
    # The widest of its parts reaches as far as it projects.
    x, y, yaw = scene.tracks[0].pose_at(0.0)
    cos, sin = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    parts = [solid for solid in body_of(scene.tracks[0]) if not any(PAINTS[solid.paint].taper)]
    parts = [solid for solid in parts if not PAINTS[solid.paint].ball]
    inner = np.concatenate([np.add(solid.centre_m, signs * solid.half_m) for solid in parts]) @ turn.T + [x, y, 0]
    (left, top), (right, bottom) = pixels(scene, FRONT, inner).min(0), pixels(scene, FRONT, inner).max(0)
    # A pixel reaches half a pixel to either side.
    assert columns.min() - 0.5 <= max(left, -0.5) + 1 and columns.max() + 0.5 >= right - 1
    assert rows.min() - 0.5 <= max(top, -0.5) + 1 and rows.max() + 0.5 >= bottom - 1


def test_a_lone_object_is_all_visible(ground: GroundRaster) -> None:
    for name in SIZES:
        scene = scene_with((track(name, 33, 29, yaw=0.6),))
        view = camera_view(scene, ground, FRONT, 0.0)
        assert view.visible.dtype == view.unoccluded.dtype == np.float32
        # Air between the parts of a thing counts as covered by it.
        assert 0.55 * view.unoccluded[0] <= view.visible[0] <= view.unoccluded[0]
        assert view.visible[0] > 20


def test_what_a_wall_hides_is_not_visible(ground: GroundRaster) -> None:
    tracks = (track("car", 38, 29), track("pedestrian", 30, 29), track("car", 5, 29))
    free = camera_view(scene_with(tracks), ground, FRONT, 0.0)
    wall = Solid((34, 29, 2), (0.2, 6, 2), 0.0, (0.5, 0.5, 0.5))
    walled = camera_view(scene_with(tracks, (wall,)), ground, FRONT, 0.0)
    assert free.visible[0] > 100 and walled.visible[0] == 0
    assert walled.visible[1] == free.visible[1] > 50
    np.testing.assert_array_equal(free.unoccluded, walled.unoccluded)
    assert free.visible[2] == free.unoccluded[2] == 0


def test_marks_appear_where_they_project(ground: GroundRaster) -> None:
    scene = scene_with((), ego=(36.0, 28.0, 0.0))
    image = camera_view(scene, ground, FRONT, 0.0).image.astype(int)
    white = np.array([[50, 26.5, 0], [50, 27.5, 0], [46.2, 28.2, 0]])
    dark = np.array([[50, 27.0, 0], [50, 28.0, 0], [44.8, 28.2, 0]])
    for points, bright in ((white, True), (dark, False)):
        for u, v in np.rint(pixels(scene, FRONT, points)).astype(int):
            assert (image[v, u].mean() > 140) == bright, (u, v, image[v, u])


def test_images_repeat_and_follow_time(ground: GroundRaster) -> None:
    scene = busy_scene()
    first, again = (camera_view(scene, ground, FRONT, 0.25) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    later = camera_view(scene, ground, FRONT, 0.75).image
    assert 0 < np.abs(first.image.astype(int) - later).max() < 40
    moved = replace(scene, tracks=(track("car", 32, 28, speed=8),))
    apart = camera_view(moved, ground, FRONT, 0.0).image.astype(int) - camera_view(moved, ground, FRONT, 1.0).image
    assert (np.abs(apart).max(2) > 40).mean() > 0.01


def test_shadows_and_light(ground: GroundRaster) -> None:
    scene = scene_with((track("car", 32, 28),), ego=(20.0, 28.0, 0.0))
    lit = camera_view(scene, ground, FRONT, 0.0).image.astype(int)
    # The sun stands to the right ahead: the shadow of the car, 1.6 m high, falls to its left and back.
    [[u, v], [u_lit, v_lit]] = np.rint(pixels(scene, FRONT, np.array([[31.5, 29.25, 0], [31.5, 26.5, 0]]))).astype(int)
    assert lit[v, u].mean() < 0.75 * lit[v_lit, u_lit].mean()
    night = replace(scene, light=replace(scene.light, ambient=0.2, diffuse=0.1))
    assert camera_view(night, ground, FRONT, 0.0).image.mean() < 0.7 * lit.mean()


@pytest.mark.parametrize("size", [(352, 128), (704, 256), (1600, 900), (803, 451)])
def test_images_have_the_cameras_size(size: tuple[int, int], ground: GroundRaster) -> None:
    camera = surround_rig(*size).cameras[4]
    view = camera_view(busy_scene(), ground, camera, 0.0)
    assert view.image.shape == (size[1], size[0], 3) and view.image.dtype == np.uint8
    assert view.image.flags.c_contiguous


def test_a_large_image_is_the_small_one_enlarged(ground: GroundRaster) -> None:
    scene = busy_scene()
    large = camera_view(scene, ground, surround_rig(1408, 792).cameras[1], 0.0)
    small = camera_view(scene, ground, FRONT, 0.0)
    halved = large.image.reshape(396, 2, 704, 2, 3).mean((1, 3))
    assert np.abs(halved - small.image).mean() < 6
    seen = small.visible > 200
    np.testing.assert_allclose(large.visible[seen], 4 * small.visible[seen], rtol=0.1)


def test_no_tracks(ground: GroundRaster) -> None:
    view = camera_view(scene_with(()), ground, FRONT, 0.0)
    assert view.visible.shape == view.unoccluded.shape == (0,)
