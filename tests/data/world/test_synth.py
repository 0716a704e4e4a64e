"""A small world, written whole: what the devkit makes of it, and that nothing but its options decides its bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")

from bevdeploy.data import frame_sets_from_nuscenes, is_nuscenes_root
from bevdeploy.data.world import WorldOptions, WorldSummary, write_world
from bevdeploy.data.world.camera_image import camera_view
from bevdeploy.data.world.disk import estimated_bytes
from bevdeploy.data.world.ground import BITS, LEVELS, GroundRaster
from bevdeploy.data.world.recording import drive
from bevdeploy.data.world.sensor_rig import ego_from_lidar, world_rig
from bevdeploy.errors import OutputError
from bevdeploy.geometry.frames import compose, invert, rotation_from_quaternion, transform

GROUND_M = 0.02
OPTIONS = WorldOptions(scenes=2, keyframes=5, width_px=352, height_px=128, sweeps=2, seed=3, workers=2)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, WorldSummary, list[tuple[int, int]]]:
    root = tmp_path_factory.mktemp("world") / "a b"
    calls: list[tuple[int, int]] = []
    return root, write_world(root, OPTIONS, lambda done, total: calls.append((done, total))), calls


@pytest.fixture(scope="module")
def database(world: tuple[Path, WorldSummary, Any]) -> Any:
    devkit = pytest.importorskip("nuscenes.nuscenes")
    return devkit.NuScenes("v1.0-mini", str(world[0]), verbose=False)


def test_the_summary_is_what_is_there(world: tuple[Path, WorldSummary, list[tuple[int, int]]]) -> None:
    root, summary, calls = world
    assert (summary.scenes, summary.keyframes, summary.rendered) == (2, 10, 10)
    files = [path for path in root.rglob("*") if path.is_file()]
    assert summary.bytes == sum(path.stat().st_size for path in files if path.name != "world.json")
    assert not list(root.rglob(".*"))
    assert calls[0] == (0, 10)
    assert calls[-1] == (10, 10)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert 0.5 < summary.bytes / estimated_bytes(OPTIONS) < 1
    images, sweeps = list(root.glob("samples/CAM_*/*.jpg")), list(root.glob("sweeps/LIDAR_TOP/*.pcd.bin"))
    assert len(images) == 60
    assert len(sweeps) == 2 * 4


def test_a_complete_world_is_left_alone(world: tuple[Path, WorldSummary, Any]) -> None:
    root, summary, _ = world
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    again = write_world(root, replace(OPTIONS, workers=1))
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert again == replace(summary, seconds=0.0, rendered=0)
    with pytest.raises(OutputError, match="--seed 3"):
        write_world(root, replace(OPTIONS, seed=4))


def test_every_keyframe_has_its_readings(database: Any) -> None:
    for sample in database.sample:
        assert set(sample["data"]) == {*world_rig(8, 8).names, "LIDAR_TOP"}
        lidar = database.get("sample_data", sample["data"]["LIDAR_TOP"])
        assert lidar["timestamp"] == sample["timestamp"]
        for channel, token in sample["data"].items():
            row = database.get("sample_data", token)
            assert Path(database.dataroot, row["filename"]).is_file()
            assert -45_000 <= row["timestamp"] - sample["timestamp"] <= 10_000
            assert database.get("ego_pose", row["ego_pose_token"])["timestamp"] == row["timestamp"]
            assert row["channel"] == channel


def test_scene_names_are_in_the_splits(database: Any) -> None:
    splits = pytest.importorskip("nuscenes.utils.splits")
    names = {row["name"] for row in database.scene}
    assert names & set(splits.mini_val)
    assert names & set(splits.mini_train)
    assert names <= {*splits.mini_val, *splits.mini_train}


def test_points_lie_in_their_boxes(database: Any) -> None:
    """Lidar counts come from ray casting; here the devkit counts points of the file in the annotated box."""
    geometry = pytest.importorskip("nuscenes.utils.geometry_utils")
    clouds = pytest.importorskip("nuscenes.utils.data_classes")
    stated = missing = foreign = 0
    for sample in database.sample:
        path, boxes, _ = database.get_sample_data(sample["data"]["LIDAR_TOP"])
        points = clouds.LidarPointCloud.from_file(path).points[:3]
        above_ground = points[:, points[2] > GROUND_M - ego_from_lidar()[2, 3]]
        for box in boxes:
            count = database.get("sample_annotation", box.token)["num_lidar_pts"]
            box.wlh = box.wlh + 0.02  # hits lie on the faces
            stated += count
            missing += max(count - geometry.points_in_box(box, points).sum(), 0)
            foreign += max(geometry.points_in_box(box, above_ground).sum() - count, 0)
    assert stated > 1000
    assert missing <= 0.005 * stated
    # A touching neighbour, such as a tractor of its trailer, reaches into the extra centimetre.
    assert foreign <= 0.01 * stated


def test_boxes_stand_where_the_images_show_them(database: Any) -> None:
    """Pixels that change when an object is taken out of the scene lie in its projected box (its shadow's beside it)."""
    row = next(row for row in database.scene if row["name"] == "scene-0103")
    scene = drive(OPTIONS, row["name"], database.get("log", row["log_token"])["location"])
    grey = 0x80 | 0x80 << BITS | 0x80 << 2 * BITS
    ground = GroundRaster(np.full(LEVELS, grey, np.uint32), tuple(range(LEVELS)), ((1, 1),) * LEVELS)
    sample = database.get("sample", row["first_sample_token"])
    checked = 0
    for camera in world_rig(352, 128).cameras:
        reading = database.get("sample_data", sample["data"][camera.name])
        time_s = (reading["timestamp"] - sample["timestamp"]) / 1e6
        whole = camera_view(scene, ground, camera, time_s)
        cam_from_global = invert(_pose(database, "calibrated_sensor", reading)) @ invert(
            _pose(database, "ego_pose", reading)
        )
        for token in sample["anns"]:
            annotation = database.get("sample_annotation", token)
            index = _track_of(scene, annotation)
            corners = _corners(annotation)  # [8, 3]
            in_camera = transform(cam_from_global, corners)
            if whole.visible[index] < 150 or in_camera[:, 2].min() < 0.5:
                continue
            without = replace(scene, tracks=tuple(t for n, t in enumerate(scene.tracks) if n != index))
            changed = np.abs(whole.image.astype(int) - camera_view(without, ground, camera, time_s).image).max(-1) > 3
            px = in_camera @ camera.K.T
            px = px[:, :2] / px[:, 2:]
            (left, top), (right, bottom) = np.floor(px.min(0)) - 1, np.ceil(px.max(0)) + 1
            inside = changed[max(int(top), 0) : max(int(bottom), 0), max(int(left), 0) : max(int(right), 0)].sum()
            # Dark windows before dark houses change less than the noise.
            assert inside > 0.7 * whole.visible[index], annotation["category_name"]
            checked += 1
    assert checked >= 5


def test_the_truth_scores_full_marks(database: Any, tmp_path: Path) -> None:
    """The devkit's own evaluator, with the annotations of the validation scene as predictions."""
    evaluate = pytest.importorskip("nuscenes.eval.detection.evaluate")
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.detection.utils import category_to_detection_name

    results: dict[str, list[dict[str, Any]]] = {}
    for row in (row for row in database.scene if row["name"] == "scene-0103"):
        for sample in (each for each in database.sample if each["scene_token"] == row["token"]):
            results[sample["token"]] = [
                {
                    "sample_token": sample["token"],
                    "translation": annotation["translation"],
                    "size": annotation["size"],
                    "rotation": annotation["rotation"],
                    "velocity": list(np.nan_to_num(database.box_velocity(annotation["token"])[:2])),
                    "detection_name": category_to_detection_name(annotation["category_name"]),
                    "detection_score": 0.5,
                    "attribute_name": _attribute(database, annotation),
                }
                for annotation in (database.get("sample_annotation", token) for token in sample["anns"])
                if annotation["num_lidar_pts"] > 0  # others are taken out of the truth
            ]
    flags = {"use_camera": True, "use_lidar": False, "use_radar": False, "use_map": False, "use_external": False}
    (tmp_path / "results.json").write_text(json.dumps({"meta": flags, "results": results}))
    config = config_factory("detection_cvpr_2019")
    ran = evaluate.DetectionEval(
        database, config, str(tmp_path / "results.json"), "mini_val", str(tmp_path / "out"), verbose=False
    )
    metrics, _ = ran.evaluate()
    names = {box.detection_name for boxes in ran.gt_boxes.boxes.values() for box in boxes}
    assert len(names) >= 4
    aps = metrics.mean_dist_aps
    # Recalls are interpolated on a grid of 101; a class of few boxes keeps a rounding of the last of them.
    assert all(aps[name] > 0.98 for name in names), aps


@pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning")  # the devkit's, of NumPy
def test_the_devkit_draws_it(database: Any, tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    image = pytest.importorskip("PIL.Image")
    sample = database.sample[3]
    for channel in ("CAM_FRONT", "LIDAR_TOP"):
        database.render_sample_data(sample["data"][channel], out_path=str(tmp_path / channel), verbose=False)
    database.render_annotation(sample["anns"][0], out_path=str(tmp_path / "annotation"))
    matplotlib.pyplot.close("all")
    for path in tmp_path.glob("*.png"):
        with image.open(path) as picture:
            assert np.asarray(picture.convert("L")).std() > 1, path
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_can_bus_follows_the_ego_poses(database: Any) -> None:
    api = pytest.importorskip("nuscenes.can_bus.can_bus_api")
    can_bus = api.NuScenesCanBus(database.dataroot)
    for row in database.scene:
        messages = can_bus.get_messages(row["name"], "pose")
        utimes = np.array([message["utime"] for message in messages])
        sample = database.get("sample", row["first_sample_token"])
        while sample:
            reading = database.get("sample_data", sample["data"]["LIDAR_TOP"])
            pose = database.get("ego_pose", reading["ego_pose_token"])
            message = messages[int(np.argmin(np.abs(utimes - sample["timestamp"])))]
            assert message["utime"] == sample["timestamp"]
            assert np.allclose(message["pos"], pose["translation"], atol=1e-6)
            turned = [rotation_from_quaternion(wxyz) for wxyz in (message["orientation"], pose["rotation"])]
            assert np.allclose(*turned, atol=1e-6)
            sample = database.get("sample", sample["next"]) if sample["next"] else None


def test_the_ego_vehicle_is_on_the_map(database: Any) -> None:
    api = pytest.importorskip("nuscenes.map_expansion.map_api")
    for row in database.scene:
        log = database.get("log", row["log_token"])
        opened = api.NuScenesMap(database.dataroot, log["location"])
        sample = database.get("sample", row["first_sample_token"])
        reading = database.get("sample_data", sample["data"]["LIDAR_TOP"])
        x, y, _ = database.get("ego_pose", reading["ego_pose_token"])["translation"]
        mask = opened.get_map_mask((x, y, 60, 60), 0, ["drivable_area", "lane", "road_divider"], (120, 120))
        assert mask[0, 55:65, 55:65].any()
        assert database.get("map", log["map_token"])["mask"].is_on_mask(x, y).all()


def test_our_own_reader_takes_it(world: tuple[Path, WorldSummary, Any]) -> None:
    pytest.importorskip("nuscenes.nuscenes")
    frames = frame_sets_from_nuscenes(world[0], ego_motion=True)
    assert (len(frames), frames.skipped) == (10, 0)
    first = next(iter(frames))
    assert first.frames[0].shape == (128, 352, 3)
    boxes = frames.boxes(first.token)
    assert len(boxes.class_names) > 5


def test_a_stopped_run_goes_on_and_one_worker_writes_the_same_bytes(
    world: tuple[Path, WorldSummary, Any], tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done:
            raise Stop

    options = replace(OPTIONS, workers=1)
    with pytest.raises(Stop):
        write_world(tmp_path / "w", options, stop)
    assert not is_nuscenes_root(tmp_path / "w")
    half = snapshot(tmp_path / "w")
    with pytest.raises(OutputError, match=r"go on with --version v1.0-mini --scenes 2 --keyframes 5 .* --seed 3"):
        write_world(tmp_path / "w", replace(OPTIONS, sweeps=3))
    assert snapshot(tmp_path / "w") == half
    calls: list[tuple[int, int]] = []
    summary = write_world(tmp_path / "w", options, lambda done, total: calls.append((done, total)))
    assert calls[0] == (4, 10)
    assert summary.rendered == 6
    assert snapshot(tmp_path / "w") == snapshot(world[0])


def _attribute(database: Any, annotation: dict[str, Any]) -> str:
    return "".join(database.get("attribute", token)["name"] for token in annotation["attribute_tokens"])


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _pose(database: Any, table: str, reading: dict[str, Any]) -> np.ndarray:
    row = database.get(table, reading[f"{table}_token"])
    return compose(rotation_from_quaternion(row["rotation"]), row["translation"])


def _corners(annotation: dict[str, Any]) -> np.ndarray:
    width, length, height = annotation["size"]
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    pose = compose(rotation_from_quaternion(annotation["rotation"]), annotation["translation"])
    return transform(pose, signs * np.array([length, width, height]) / 2)  # [8, 3]


def _track_of(scene: Any, annotation: dict[str, Any]) -> int:
    """The track of that size that stands there at time 0."""
    x, y, _ = annotation["translation"]
    distances = [
        np.hypot(track.pose_at(0)[0] - x, track.pose_at(0)[1] - y)
        + (list(track.size_wlh_m) != list(annotation["size"])) * 1e3
        for track in scene.tracks
    ]
    assert min(distances) < 1e-6
    return int(np.argmin(distances))
