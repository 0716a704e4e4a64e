"""The index says what the devkit says, and is written whole or not at all."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.data import index_places
from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import ATTRIBUTES, CLASSES, SampleIndex, open_index
from bevdeploy.data.nuscenes import CAMERAS, boxes_of_sample, open_tables, rig_of_sample
from bevdeploy.data.samples import camera_pose
from bevdeploy.data.truth_of import bev_boxes
from bevdeploy.errors import BevDeployError, DataSetError, FrameSourceError, OutputError
from bevdeploy.geometry.frames import invert

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def database(devkit: None, nuscenes_root: Path) -> Any:
    return open_tables(nuscenes_root, "v1.0-mini")


def edited(path: Path, change: Any) -> None:
    rows = json.loads(path.read_text())
    path.write_text(json.dumps(change(rows) or rows))


def test_every_box_and_camera_is_the_devkits(mini_index: SampleIndex, database: Any) -> None:
    arrays = mini_index.arrays
    assert len(mini_index) == 82
    for keyframe, token in enumerate(arrays.token):
        want = boxes_of_sample(database, token.decode())
        rows = mini_index.boxes_of(keyframe)
        got = bev_boxes(mini_index, np.arange(rows.start, rows.stop), invert(arrays.global_from_ego[keyframe]))
        np.testing.assert_allclose(got, want.boxes, atol=2e-4)
        assert tuple(CLASSES[n] for n in arrays.box_class[rows]) == want.class_names
        for ego_motion in (False, True):
            rig = rig_of_sample(database, token.decode(), ego_motion)
            for column, camera in enumerate(rig.cameras):
                np.testing.assert_array_equal(arrays.K[keyframe, column], camera.K)
                pose = camera_pose(mini_index, keyframe, column, ego_motion)
                np.testing.assert_allclose(pose, camera.ego_from_cam, atol=1e-9)
                assert tuple(arrays.image_hw[keyframe, column]) == (camera.height_px, camera.width_px)


def test_rows_of_boxes_are_the_annotations(mini_index: SampleIndex, database: Any) -> None:
    arrays = mini_index.arrays
    for keyframe in range(0, len(mini_index), 7):
        annotations = [
            database.get("sample_annotation", a)
            for a in database.get("sample", arrays.token[keyframe].decode())["anns"]
        ]
        from nuscenes.eval.detection.utils import category_to_detection_name

        annotations = [row for row in annotations if category_to_detection_name(row["category_name"])]
        for row, annotation in zip(range(*mini_index.boxes_of(keyframe).indices(10**9)), annotations, strict=True):
            assert arrays.box_points[row] == annotation["num_lidar_pts"] + annotation["num_radar_pts"]
            names = [database.get("attribute", token)["name"] for token in annotation["attribute_tokens"]]
            assert (ATTRIBUTES[arrays.box_attribute[row]] in names) if names else arrays.box_attribute[row] == -1
            assert arrays.box_visibility[row] == int(annotation["visibility_token"])
            after, following = annotation["next"], int(arrays.box_following[row])
            if following >= 0:
                later = database.get("sample_annotation", after)
                np.testing.assert_allclose(arrays.box_centre_m[following], later["translation"])
            else:
                assert (
                    not after
                    or database.get("sample_annotation", after)["sample_token"]
                    != database.get("sample", annotation["sample_token"])["next"]
                )


def test_keyframes_are_chained_within_their_scene(mini_index: SampleIndex) -> None:
    arrays = mini_index.arrays
    for keyframe, (before, after) in enumerate(zip(arrays.previous, arrays.following, strict=True)):
        for other, sign in ((before, -1), (after, 1)):
            if other >= 0:
                assert other == keyframe + sign and arrays.scene[other] == arrays.scene[keyframe]
                assert sign * (arrays.timestamp_us[other] - arrays.timestamp_us[keyframe]) > 0
    assert (arrays.previous < 0).sum() == (arrays.following < 0).sum() == len(mini_index.scenes) == 3


def test_splits_scenes_and_absent_files(mini_index: SampleIndex) -> None:
    assert len(mini_index.keyframes("mini_val")) == len(mini_index.keyframes("val")) == 81
    assert len(mini_index.keyframes("scene-0103")) == 40
    assert np.flatnonzero(mini_index.arrays.image_present.all(1)).tolist() == [0, 1, 2]
    assert mini_index.arrays.image_path.shape == (82, len(CAMERAS))
    with pytest.raises(DataSetError, match="no scene of split 'train_val'"):
        mini_index.keyframes("train_val")


def test_an_index_opens_without_the_devkit_or_torch(mini_index: SampleIndex) -> None:
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('nuscenes', 'torch', 'cv2', 'shapely', 'PIL'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from pathlib import Path\n"
        "from bevdeploy.data.index import open_index\n"
        f"print(len(open_index(Path({str(mini_index.folder)!r}), root=Path({str(mini_index.root)!r}))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "82", done.stderr


def test_the_default_place_is_found_from_the_root_and_moves_with_it(own_root: Path, tmp_path: Path) -> None:
    told: list[str] = []
    folder = build_index(own_root, tell=told.append)
    assert folder == own_root / ".bevdeploy" / "v1.0-mini"
    assert told == [
        "79 of 82 keyframes lack an image file",
        "no map expansion for boston-seaport, singapore-onenorth, singapore-queenstown: no map truth there",
    ]
    moved = tmp_path / "elsewhere"
    shutil.move(own_root, moved)
    for path in (moved / "v1.0-mini").iterdir():
        os.utime(path, ns=(1, 1))  # copying changes times, not contents
    assert open_index(moved).root == moved
    shutil.rmtree(moved / "v1.0-mini")  # training needs no tables
    assert len(open_index(moved)) == 82


def test_a_changed_root_is_noticed(own_root: Path) -> None:
    build_index(own_root)
    path = own_root / "v1.0-mini" / "sample_annotation.json"
    size = path.stat().st_size
    path.write_text(path.read_text().replace("373.256", "373.257", 1))
    assert path.stat().st_size == size
    with pytest.raises(DataSetError, match=r"sample_annotation.json changed .* build it again: bevdeploy data index"):
        open_index(own_root)
    build_index(own_root)
    expansion = own_root / "maps" / "expansion" / "boston-seaport.json"
    open_index(own_root)
    expansion.parent.mkdir()
    expansion.write_text("{}")
    with pytest.raises(DataSetError, match=r"boston-seaport.json changed"):
        open_index(own_root)
    with pytest.raises(DataSetError, match="cannot be read as a map expansion"):
        build_index(own_root)


def test_a_failed_build_leaves_the_one_before(own_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = build_index(own_root)
    before = open_index(own_root)
    saved = np.save

    def full(path: Path, array: Any) -> None:
        if Path(path).stem == "box_velocity_mps":
            raise OSError(28, "No space left on device")
        saved(path, array)

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OutputError, match="No space left on device"):
        build_index(own_root)
    monkeypatch.undo()
    assert open_index(own_root).build == before.build
    assert sorted(path.name for path in folder.iterdir()) == [before.build, "index.json"]
    build_index(own_root)
    assert len(list(folder.iterdir())) == 2
    assert open_index(own_root).build != before.build
    assert before.arrays.token[0] == open_index(own_root).arrays.token[0]  # still mapped
    now = open_index(own_root)
    assert pickle.loads(pickle.dumps(now)).build == now.build
    with pytest.raises(DataSetError, match="built again while it was in use"):
        pickle.loads(pickle.dumps(before))


def test_a_read_only_root_is_indexed_in_the_cache(
    own_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (own_root / ".bevdeploy").write_text("in the way")  # root may write anywhere; a file cannot be a folder
    told: list[str] = []
    folder = build_index(own_root, tell=told.append)
    assert folder == index_places.place_in_cache(own_root, "v1.0-mini")
    assert told[0] == f"{own_root} cannot be written: the index goes to {folder}"
    assert open_index(own_root).folder == folder
    with pytest.raises(OutputError, match="name another place with --out"):
        build_index(own_root, out=own_root / ".bevdeploy")


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("ego_pose", lambda rows: rows[5:]),
        ("calibrated_sensor", lambda rows: rows[:3]),
        ("sample_annotation", lambda rows: rows[0].update(size=[1, -2, 3])),
        ("sample_annotation", lambda rows: rows[0].update(translation=[1, 2, float("nan")])),
        ("sample_data", lambda rows: [row for row in rows if "CAM_BACK/" not in row["filename"]]),
        ("sample_data", lambda rows: rows[0].update(filename="../../etc/passwd")),
        ("sample", lambda rows: rows[0].update(scene_token="dangling")),
        ("sample", lambda rows: rows[0].update(timestamp=float("inf"))),
        ("sample_annotation", lambda rows: rows[0].update(size=[1e300, 1, 1])),
        ("log", lambda rows: rows.clear()),
        ("sample_annotation", lambda rows: {"a": 1}),
    ],
)
def test_damaged_tables_are_refused(own_root: Path, table: str, change: Any) -> None:
    edited(own_root / "v1.0-mini" / f"{table}.json", change)
    with pytest.raises((DataSetError, FrameSourceError), match="unpack the metadata archive"):
        build_index(own_root)
    assert not list((own_root / ".bevdeploy").rglob("data-*"))


def test_keyframes_of_one_time_leave_velocities_open(own_root: Path) -> None:
    """Not infinite: a quotient by no time at all tells nothing."""
    edited(own_root / "v1.0-mini" / "sample.json", lambda rows: [{**row, "timestamp": 5} for row in rows])
    index = open_index(build_index(own_root))
    assert not np.isinf(index.arrays.box_velocity_mps).any()
    assert np.isnan(index.arrays.box_velocity_mps).all()


def test_a_user_without_a_home_has_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert index_places.place_in_cache(tmp_path, "v1.0-mini") == index_places.place_beside(tmp_path, "v1.0-mini")
    (tmp_path / "v1.0-mini").mkdir()
    with pytest.raises(DataSetError, match="no index yet"):
        open_index(tmp_path)


def test_what_is_not_there_is_said(own_root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="no index yet; build it: bevdeploy data index"):
        open_index(own_root)
    with pytest.raises(DataSetError, match="no such folder"):
        open_index(tmp_path / "nowhere")
    with pytest.raises(FrameSourceError, match=r"no version 'v1.0-trainval'; there is v1.0-mini"):
        build_index(own_root, "v1.0-trainval")
    (own_root / "v1.0-mini" / "instance.json").unlink()
    with pytest.raises(FrameSourceError, match="cannot load the tables"):
        build_index(own_root)
    (own_root / "can_bus" / "scene-0103_pose.json").write_text("[{")
    with pytest.raises(BevDeployError):
        build_index(own_root)


def test_a_damaged_index_is_refused(own_root: Path) -> None:
    folder = build_index(own_root)
    index = open_index(own_root)
    data = folder / index.build
    path = data / "box_centre_m.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    with pytest.raises(DataSetError, match=r"damaged index \(box_centre_m.npy has .*build it again"):
        open_index(own_root)
    path.unlink()
    with pytest.raises(DataSetError, match="damaged index"):
        open_index(own_root)
    path.write_bytes(content)
    header = json.loads((folder / "index.json").read_text())
    for changed in ({"format": "bevdeploy.index/9"}, {"files": {}}, {"scenes": 3}, {"source": {"x": 1, "maps": 2}}):
        (folder / "index.json").write_text(json.dumps({**header, **changed}))
        if "source" in changed:
            (own_root / "x").write_text("")
        with pytest.raises(DataSetError, match="build it again"):
            open_index(own_root)
    (folder / "index.json").write_text("{")
    with pytest.raises(DataSetError, match="damaged index"):
        open_index(own_root)
