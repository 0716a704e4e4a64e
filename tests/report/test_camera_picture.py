"""Boxes through a camera: projection, near plane, what is drawn where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bevdeploy.errors import FrameSourceError
from bevdeploy.geometry import Camera
from bevdeploy.geometry.frames import compose, invert, rotation_from_quaternion, transform
from bevdeploy.report.camera_picture import camera_picture
from bevdeploy.report.palette import CLASS_COLOURS, TRUTH
from bevdeploy.report.projection import (
    EDGES,
    NEAR_M,
    box_corners_m,
    corners_in_camera,
    pixels,
    polygon_in_front,
    segment_in_front,
    segment_in_image,
)
from bevdeploy.runtime.result import BevResult

pytest.importorskip("PIL", reason="pictures need bevdeploy[media]")

ResultOf = Callable[..., BevResult]

FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@pytest.fixture
def camera() -> Camera:
    """At the ego origin, 1.5 m up, looking forward; 800 x 450 px, focal length 400 px."""
    K = np.array([[400.0, 0, 400], [0, 400, 225], [0, 0, 1]])
    return Camera("CAM_FRONT", 800, 450, K, compose(FORWARD, (0.0, 0.0, 1.5)))


def grey(camera: Camera) -> np.ndarray:
    return np.full((camera.height_px, camera.width_px, 3), 128, np.uint8)


def test_corners_of_a_box_by_hand() -> None:
    box = np.array([[10.0, 2.0, 1.0, 2.0, 4.0, 1.0, np.pi / 2, 0.0, 0.0]])  # w 2, l 4, h 1, heading left
    corners = box_corners_m(box)[0]
    np.testing.assert_allclose(corners[0], [9.0, 4.0, 0.5], atol=1e-12)  # front left, below: its left is backward
    np.testing.assert_allclose(corners[1], [11.0, 4.0, 0.5], atol=1e-12)  # front right
    np.testing.assert_allclose(corners[6], [11.0, 0.0, 1.5], atol=1e-12)  # back right, above
    np.testing.assert_allclose(corners.mean(0), [10.0, 2.0, 1.0], atol=1e-12)  # the centre is the box's centre


def test_a_box_ahead_is_drawn_around_its_centre(camera: Camera, result_of: ResultOf) -> None:
    # centre 10 m ahead, 2 m left, at the camera's height: u = 400 - 400 * 2 / 10 = 320, v = 225
    box = (10.0, 2.0, 1.5, 2.0, 4.0, 1.0, 0.0, 0.0, 0.0)
    frame = grey(camera)
    picture = np.asarray(camera_picture(frame, camera, result_of([box], ["car"]), width_px=800)).astype(int)
    car = np.abs(picture - CLASS_COLOURS["car"]).sum(-1) < 60
    car[:, :150] = False  # the camera's name
    rows, columns = np.nonzero(car)
    # back face at 8 m: u from 400 - 400 * 3 / 8 = 250, v = 225 +- 400 * 0.5 / 8 = 25; the front face at 12 m ends
    # farthest to the right, at 400 - 400 * 1 / 12 = 366.7
    assert columns.min() == pytest.approx(250, abs=2)
    assert columns.max() == pytest.approx(366.7, abs=2)
    assert car[215:235, 349:352].any(1).all()  # the right edge of the back face, at 350
    below = rows > 225  # the label stands above
    assert rows[below].max() == pytest.approx(250, abs=2)
    # front face at 12 m is tinted: u from 300 to 366.7, v = 225 +- 16.7; the back of the box is not
    assert (picture[225, 330] != 128).any()
    np.testing.assert_array_equal(picture[225, 275], 128)


def test_a_box_behind_the_camera_is_not_drawn(camera: Camera, result_of: ResultOf) -> None:
    boxes = [
        (-10.0, 2.0, 1.5, 2.0, 4.0, 1.0, 0.0, 0.0, 0.0),
        (-10.0, 0.0, 1.5, 2.0, 4.0, 1.0, 2.0, 0.0, 0.0),
        (10.0, 60.0, 1.5, 2.0, 4.0, 1.0, 0.0, 0.0, 0.0),  # far to the left
        (np.nan, 0.0, 1.5, 2.0, 4.0, 1.0, 0.0, 0.0, 0.0),
    ]
    empty = camera_picture(grey(camera), camera, result_of(), width_px=800)
    drawn = camera_picture(grey(camera), camera, result_of(boxes, ["car"] * 4), np.array(boxes), width_px=800)
    np.testing.assert_array_equal(np.asarray(drawn), np.asarray(empty))


def test_a_box_beside_the_camera_is_cut_at_the_near_plane(camera: Camera, result_of: ResultOf) -> None:
    box = (1.0, 1.5, 1.2, 2.0, 6.0, 1.6, 0.0, 0.0, 0.0)  # from 2 m behind the camera to 4 m ahead, on its left
    picture = np.asarray(camera_picture(grey(camera), camera, result_of([box], ["bus"]), width_px=800)).astype(int)
    bus = np.abs(picture - CLASS_COLOURS["bus"]).sum(-1) < 60
    # front face at 4 m: y from 0.5 to 2.5 m left, u from 400 - 250 to 400 - 50; nothing of the box is right of it
    rows, columns = np.nonzero(bus)
    assert columns.max() == pytest.approx(350, abs=2)
    assert columns.min() < 10  # the sides leave the image at the left, not at the right
    assert len(rows) > 300


def test_the_near_plane_by_hand() -> None:
    ends = segment_in_front(np.array([0.0, 0.0, -0.9]), np.array([2.0, 0.0, 1.1]))
    assert ends is not None
    np.testing.assert_allclose(ends, [[1.0, 0.0, NEAR_M], [2.0, 0.0, 1.1]])  # halfway
    assert segment_in_front(np.array([0.0, 0.0, -1.0]), np.array([1.0, 1.0, 0.05])) is None
    square = np.array([[-1.0, 0, -0.9], [1.0, 0, -0.9], [1.0, 0, 1.1], [-1.0, 0, 1.1]])
    cut = polygon_in_front(square)
    assert len(cut) == 4
    assert cut[:, 2].min() == pytest.approx(NEAR_M)
    assert len(polygon_in_front(square - (0, 0, 5.0))) == 0


@settings(deadline=None)
@given(
    st.lists(st.floats(-3000, 3000), min_size=4, max_size=4),
    st.integers(1, 2000),
    st.integers(1, 1000),
)
def test_what_is_cut_to_the_image_lies_in_it_and_on_the_segment(values: list[float], width: int, height: int) -> None:
    ends = np.array(values).reshape(2, 2)
    inside = segment_in_image(ends, width, height)
    samples = ends[0] + np.linspace(0, 1, 257)[:, None] * (ends[1] - ends[0])
    seen = ((samples >= 0) & (samples <= (width, height))).all(1)
    if inside is None:
        assert not seen.any()
        return
    assert (inside >= -1e-6).all() and (inside <= np.array([width, height]) + 1e-6).all()
    if seen.any():
        low, high = inside.min(0) - 1e-6, inside.max(0) + 1e-6
        assert ((samples[seen] >= low) & (samples[seen] <= high)).all()


def test_labels_stand_on_larger_boxes_only(camera: Camera, result_of: ResultOf) -> None:
    """A label puts a dark plate above the box; a box of a few pixels gets none."""
    near = (8.0, 0.0, 1.5, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0)
    far = (80.0, 0.0, 1.5, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0)
    darkest = []
    for box in (near, far):
        picture = np.asarray(camera_picture(grey(camera), camera, result_of([box], ["car"]), width_px=800))
        top = pixels(corners_in_camera(np.array([box]), camera)[0], camera)[:, 1].min()
        darkest.append(int(picture[int(top) - 18 : int(top) - 6, 380:420].min()))
    assert darkest[0] < 60
    assert darkest[1] == 128


def test_truth_is_dashed_white(camera: Camera, result_of: ResultOf) -> None:
    truth = np.array([(10.0, 0.0, 1.5, 4.0, 4.0, 2.0, 0.0, np.nan, np.nan)])  # velocity unknown, as nuScenes has it
    picture = np.asarray(camera_picture(grey(camera), camera, result_of(), truth, width_px=800)).astype(int)
    # back face at 8 m: v = 225 + 400 / 8 = 275, u = 400 +- 100
    white = np.abs(picture[273:278, 302:498] - TRUTH).sum(-1).min(0) < 90
    assert 40 < white.sum() < 160  # dashes, with gaps


def test_a_frame_of_another_size_is_refused(camera: Camera, result_of: ResultOf) -> None:
    with pytest.raises(
        FrameSourceError, match=r"CAM_FRONT: expected uint8 RGB 800 x 450 px, got uint8 \(450, 801, 3\)"
    ):
        camera_picture(np.zeros((450, 801, 3), np.uint8), camera, result_of())


def test_corners_hold_the_lidar_points_that_the_data_set_counted(nuscenes_root: Path) -> None:
    """Real boxes around real points: size order, yaw and centre are nuScenes' own, or the counts would differ."""

    def table(name: str) -> dict[str, dict]:
        return {row["token"]: row for row in json.loads((nuscenes_root / "v1.0-mini" / f"{name}.json").read_text())}

    def pose(row: dict) -> np.ndarray:
        return compose(rotation_from_quaternion(row["rotation"]), row["translation"])

    sweeps = [row for row in table("sample_data").values() if row["filename"].startswith("samples/LIDAR_TOP")]
    (sweep,) = (row for row in sweeps if (nuscenes_root / row["filename"]).is_file())
    points = np.fromfile(nuscenes_root / sweep["filename"], np.float32).reshape(-1, 5)[:, :3]
    ego_from_lidar = pose(table("calibrated_sensor")[sweep["calibrated_sensor_token"]])
    global_from_ego = pose(table("ego_pose")[sweep["ego_pose_token"]])
    points_m = transform(ego_from_lidar, points)
    counted, expected = [], []
    for annotation in table("sample_annotation").values():
        if annotation["sample_token"] != sweep["sample_token"] or annotation["num_lidar_pts"] == 0:
            continue
        ego_from_box = invert(global_from_ego) @ pose(annotation)
        yaw = np.arctan2(ego_from_box[1, 0], ego_from_box[0, 0])
        corners = box_corners_m(np.array([[*ego_from_box[:3, 3], *annotation["size"], yaw, 0, 0]]))[0]
        offsets = points_m - corners[2]
        inside = np.ones(len(points_m), bool)
        for corner in (corners[1], corners[3], corners[6]):  # along length, width, height
            edge = corner - corners[2]
            share = offsets @ edge / (edge @ edge)
            inside &= (share >= 0) & (share <= 1)
        counted.append(int(inside.sum()))
        expected.append(annotation["num_lidar_pts"])
    assert len(expected) > 50
    # a box of nuScenes has a little pitch and roll in the ego frame, BOX_FIELDS has none
    assert np.corrcoef(counted, expected)[0, 1] > 0.999
    assert np.mean(np.array(counted) == expected) > 0.8


def test_every_edge_of_a_box_has_two_corners_one_side_apart() -> None:
    corners = box_corners_m(np.array([[0.0, 0, 0, 2.0, 4.0, 1.0, 0.7, 0, 0]]))[0]
    lengths = sorted(round(float(np.linalg.norm(corners[a] - corners[b])), 9) for a, b in EDGES)
    assert lengths == [1.0] * 4 + [2.0] * 4 + [4.0] * 4
