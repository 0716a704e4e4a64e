from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.data import NuScenesFrames, frame_sets_from_nuscenes, is_nuscenes_root
from bevdeploy.data.nuscenes import CAMERAS
from bevdeploy.errors import FrameSourceError, MissingDependencyError
from bevdeploy.geometry.frames import invert, transform
from bevdeploy.tasks import TaskSpec

REPOSITORY = Path(__file__).resolve().parents[2]
ROOT = Path(os.environ.get("BEVDEPLOY_TEST_DATA", REPOSITORY.parent / "shared" / "data")) / "nuscenes_mini"

pytest.importorskip("PIL", reason="Pillow is not installed")
needs_root = pytest.mark.skipif(not ROOT.is_dir(), reason="no nuScenes data: set BEVDEPLOY_TEST_DATA")


def devkit() -> None:
    # Not importorskip: its plotting libraries warn about themselves at import, which only the package silences.
    if importlib.util.find_spec("nuscenes") is None:
        pytest.skip("nuscenes-devkit is not installed")


@pytest.fixture(scope="module")
def static() -> NuScenesFrames:
    devkit()
    return frame_sets_from_nuscenes(ROOT)


@pytest.fixture(scope="module")
def moving(static: NuScenesFrames) -> NuScenesFrames:
    return NuScenesFrames(static.database, static.tokens, static.skipped, ego_motion=True)


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Path]:
    """A copy of the tables, to be damaged; without images."""
    devkit()
    for name in ("v1.0-mini", "maps"):
        shutil.copytree(ROOT / name, tmp_path / name, copy_function=shutil.copyfile)
        (tmp_path / name).chmod(0o755)
    yield tmp_path


@needs_root
def test_keyframes_with_images_are_found_and_the_others_counted(static: NuScenesFrames) -> None:
    sets = list(static)
    assert (len(static), len(sets), static.skipped) == (3, 3, 79)
    assert [one.timestamp_us for one in sets] == [1532402927647951, 1533151603547590, 1533151604048025]
    assert [one.token for one in sets] == list(static.tokens)
    for one in sets:
        assert one.rig.names == CAMERAS
        assert [(frame.shape, frame.dtype) for frame in one.frames] == [((900, 1600, 3), np.uint8)] * 6


@needs_root
def test_two_drives_have_two_rigs(static: NuScenesFrames, moving: NuScenesFrames) -> None:
    assert len({one.rig.digest() for one in static}) == 2
    assert len({one.rig.digest() for one in moving}) == 3  # each moment moves its cameras otherwise


@needs_root
def test_ego_motion_moves_cameras_back_by_what_the_vehicle_drove(
    static: NuScenesFrames, moving: NuScenesFrames
) -> None:
    for fixed, moved in zip(static, moving, strict=True):
        for before, after in zip(fixed.rig.cameras, moved.rig.cameras, strict=True):
            np.testing.assert_array_equal(before.K, after.K)
            step_m = after.ego_from_cam[:3, 3] - before.ego_from_cam[:3, 3]
            assert 0 < np.linalg.norm(step_m) < 1
            assert np.abs(after.ego_from_cam[:3, :3] - before.ego_from_cam[:3, :3]).max() < 0.02
        # The front left camera fires first, 43 ms before the lidar's key time, when a driving vehicle was still behind.
        step_m = moved.rig.cameras[0].ego_from_cam[:3, 3] - fixed.rig.cameras[0].ego_from_cam[:3, 3]
        assert -0.6 < step_m[0] < -0.2 and abs(step_m[1]) < 0.1


@needs_root
def test_boxes_and_rig_agree_with_the_devkit_in_every_camera(moving: NuScenesFrames) -> None:
    """The devkit goes global -> ego at the camera's time -> camera; we go ego at the key time -> camera."""
    from nuscenes.eval.detection.utils import category_to_detection_name
    from nuscenes.utils.geometry_utils import BoxVisibility

    for one in moving:
        truth = moving.boxes(one.token)
        channels = moving.database.get("sample", one.token)["data"]
        for camera in one.rig.cameras:
            _, theirs, K = moving.database.get_sample_data(channels[camera.name], box_vis_level=BoxVisibility.NONE)
            theirs = [box for box in theirs if category_to_detection_name(box.name)]
            ours = transform(invert(camera.ego_from_cam), truth.boxes[:, :3])  # [n, 3]
            # float32 boxes at up to 150 m: 1e-5 m; poses in the log's frame at 2 km in float64.
            np.testing.assert_allclose(ours, np.array([box.center for box in theirs]), atol=1e-4)
            np.testing.assert_allclose(truth.boxes[:, 3:6], np.array([box.wlh for box in theirs]), rtol=1e-6)
            np.testing.assert_array_equal(camera.K, K)
            yaw = truth.boxes[:, 6]
            forward = np.stack([np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)], -1) @ camera.ego_from_cam[:3, :3]
            expected = np.array([box.orientation.rotation_matrix[:, 0] for box in theirs])
            # The road is not the ego's plane to the last degree; yaw drops pitch and roll.
            assert (forward * expected).sum(1).min() > 0.995


@needs_root
def test_boxes_stand_on_the_pictures(moving: NuScenesFrames) -> None:
    for one in moving:
        truth = moving.boxes(one.token)
        near = truth.boxes[np.hypot(truth.boxes[:, 0], truth.boxes[:, 1]) < 40]
        seen = np.zeros(len(near), int)
        for camera in one.rig.cameras:
            centre = transform(invert(camera.ego_from_cam), near[:, :3])  # [n, 3]
            u, v = (centre @ camera.K.T)[:, :2].T / centre[:, 2]
            seen += (centre[:, 2] > 0.5) & (u >= 0) & (u < camera.width_px) & (v >= 0) & (v < camera.height_px)
        # Six cameras leave no gap around the vehicle, and overlap by little.
        assert len(near) > 5 and (seen >= 1).all() and (seen <= 2).all()


@needs_root
def test_velocities_are_in_ego_axes(static: NuScenesFrames) -> None:
    single, *pair = static.tokens
    assert np.isnan(static.boxes(single).boxes[:, 7:]).all()  # scene-0061 has one keyframe here
    for token in pair:
        truth = static.boxes(token)
        walkers = np.array(truth.class_names) == "pedestrian"
        velocity, yaw = truth.boxes[walkers, 7:], truth.boxes[walkers, 6]
        fast = np.linalg.norm(velocity, axis=1) > 0.8
        along = velocity[fast, 0] * np.cos(yaw[fast]) + velocity[fast, 1] * np.sin(yaw[fast])
        assert fast.sum() >= 3 and (along > 0.9 * np.linalg.norm(velocity[fast], axis=1)).all()  # people walk forwards


@needs_root
def test_labels_follow_the_task_order(static: NuScenesFrames) -> None:
    truth = static.boxes(static.tokens[0])
    assert len(truth.boxes) == len(truth.class_names) == 68
    assert [TaskSpec().classes[label] for label in truth.labels()] == list(truth.class_names)
    cars_only = TaskSpec(detection_tasks=(("car",),))
    assert set(truth.labels(cars_only)) == {0, -1}


@needs_root
def test_scene_and_limit(static: NuScenesFrames, capsys: pytest.CaptureFixture[str]) -> None:
    devkit()
    frames = frame_sets_from_nuscenes(ROOT, version="v1.0-mini", scene="scene-0103", limit=1)
    assert frames.tokens == static.tokens[1:2]
    assert capsys.readouterr().out == ""
    for scene, limit, words in (("scene-9999", None, "scene-0061, scene-0103"), (None, 0, "at least 1")):
        with pytest.raises(FrameSourceError, match=words):
            frame_sets_from_nuscenes(ROOT, scene=scene, limit=limit)
    with pytest.raises(FrameSourceError, match="none of 41 keyframes"):
        frame_sets_from_nuscenes(ROOT, scene="scene-0916")


@needs_root
def test_strict_refuses_the_first_missing_image() -> None:
    devkit()
    with pytest.raises(FrameSourceError, match=r"samples/CAM_.*jpg: the image of keyframe [0-9a-f]+ is missing"):
        frame_sets_from_nuscenes(ROOT, strict=True)


@needs_root
def test_version_must_be_clear(tables: Path) -> None:
    (tables / "v1.0-trainval").mkdir()
    with pytest.raises(FrameSourceError, match=r"v1\.0-mini, v1\.0-trainval"):
        frame_sets_from_nuscenes(tables)
    with pytest.raises(FrameSourceError, match=r"no version 'v1\.0-test'"):
        frame_sets_from_nuscenes(tables, version="v1.0-test")
    with pytest.raises(FrameSourceError, match="cannot load the tables"):
        frame_sets_from_nuscenes(tables, version="v1.0-trainval")
    with pytest.raises(FrameSourceError, match="none of 82 keyframes"):
        frame_sets_from_nuscenes(tables, version="v1.0-mini")


@needs_root
@pytest.mark.parametrize(
    ("table", "content"),
    [
        ("sample", "{"),
        ("sample", "[]"),
        ("sample_data", "[{}]"),
        ("calibrated_sensor", "[]"),
        ("ego_pose", "5"),
        ("scene", "[]"),
        ("category", '[{"token": 3}]'),
    ],
)
def test_damaged_tables(tables: Path, table: str, content: str) -> None:
    path = tables / "v1.0-mini" / f"{table}.json"
    path.chmod(0o644)
    path.write_text(content)
    with pytest.raises(FrameSourceError, match=r"v1\.0-mini|keyframes"):
        list(frame_sets_from_nuscenes(tables))


@needs_root
def test_missing_maps(tables: Path) -> None:
    shutil.rmtree(tables / "maps")
    with pytest.raises(FrameSourceError, match="cannot load the tables"):
        frame_sets_from_nuscenes(tables)


@needs_root
def test_without_lidar_the_front_camera_gives_the_key_time(tables: Path) -> None:
    path = tables / "v1.0-mini" / "sample_data.json"
    rows = [row for row in json.loads(path.read_text()) if "/LIDAR_TOP/" not in row["filename"]]
    path.chmod(0o644)
    path.write_text(json.dumps(rows))
    (tables / "samples").symlink_to(ROOT / "samples")
    (one,) = frame_sets_from_nuscenes(tables, limit=1, ego_motion=True)
    (calibrated,) = frame_sets_from_nuscenes(tables, limit=1)
    moved_m = [
        np.linalg.norm(a.ego_from_cam[:3, 3] - b.ego_from_cam[:3, 3])
        for a, b in zip(one.rig.cameras, calibrated.rig.cameras, strict=True)
    ]
    assert moved_m[CAMERAS.index("CAM_FRONT")] < 1e-9 and moved_m[CAMERAS.index("CAM_BACK")] > 0.05


@needs_root
def test_image_of_another_size(tables: Path) -> None:
    from PIL import Image

    for name in CAMERAS:
        shutil.copytree(ROOT / "samples" / name, tables / "samples" / name, copy_function=shutil.copyfile)
        (tables / "samples" / name).chmod(0o755)
        for path in (tables / "samples" / name).iterdir():
            path.chmod(0o644)
    for path in (tables / "samples" / "CAM_BACK").iterdir():
        Image.new("RGB", (800, 450)).save(path)
    with pytest.raises(FrameSourceError, match=r"800 x 450 px.*CAM_BACK.*1600 x 900"):
        next(iter(frame_sets_from_nuscenes(tables)))


def test_folders_that_are_no_root(tmp_path: Path) -> None:
    assert not is_nuscenes_root(tmp_path) and not is_nuscenes_root(tmp_path / "nowhere")
    with pytest.raises(FrameSourceError, match="no such nuScenes folder"):
        frame_sets_from_nuscenes(tmp_path / "nowhere")
    with pytest.raises(FrameSourceError, match="not a nuScenes root"):
        frame_sets_from_nuscenes(tmp_path)
    (tmp_path / "v1.0-mini").mkdir()
    assert is_nuscenes_root(tmp_path)


def test_without_the_devkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v1.0-mini").mkdir()
    monkeypatch.setitem(sys.modules, "nuscenes.nuscenes", None)
    with pytest.raises(MissingDependencyError, match=r"bevdeploy\[nuscenes\]"):
        frame_sets_from_nuscenes(tmp_path)
