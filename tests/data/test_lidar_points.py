"""Lidar points against the devkit's, against the annotations' counts, and damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.data.augment import bev_similarity
from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import SampleIndex, open_index
from bevdeploy.data.lidar_points import lidar_points
from bevdeploy.data.nuscenes import open_tables
from bevdeploy.data.samples import Samples
from bevdeploy.data.truth_of import truth_of
from bevdeploy.errors import DataSetError
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry
from bevdeploy.geometry.frames import transform
from bevdeploy.tasks import TaskSpec

GRID = BEVGrid.centred(51.2, 0.8, (-5.0, 3.0))


def counts_in_boxes(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    counts = []
    for x, y, z, width, length, height, yaw in boxes[:, :7].astype(np.float64):
        offset = points[:, :3] - [x, y, z]
        along = offset[:, 0] * np.cos(yaw) + offset[:, 1] * np.sin(yaw)
        across = offset[:, 1] * np.cos(yaw) - offset[:, 0] * np.sin(yaw)
        inside = (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2) & (np.abs(offset[:, 2]) <= height / 2)
        counts.append(inside.sum())
    return np.array(counts)


def test_boxes_hold_the_points_that_the_annotations_count(mini_index: SampleIndex) -> None:
    points = lidar_points(mini_index, 0, 1, np.eye(4))
    truth = truth_of(mini_index, 0, TaskSpec(), GRID)
    counts = counts_in_boxes(points, truth.boxes)
    assert len(points) > 20_000 and truth.points.sum() > 1000
    assert np.abs(counts - truth.points).sum() < 0.1 * truth.points.sum()  # which also count radar points
    for bev_from_ego in (bev_similarity(0.6, True, False, 1.1), bev_similarity(-2, False, False, 0.9, np.ones(3))):
        turned = lidar_points(mini_index, 0, 1, bev_from_ego)
        boxes = truth_of(mini_index, 0, TaskSpec(), GRID, bev_from_ego).boxes
        assert np.abs(counts_in_boxes(turned, boxes) - counts).sum() <= 0.005 * counts.sum() + 3
        np.testing.assert_allclose(transform(np.linalg.inv(bev_from_ego), turned[:, :3]), points[:, :3], atol=1e-3)
        np.testing.assert_array_equal(turned[:, 3:], points[:, 3:])


@pytest.fixture
def with_sweep(own_root: Path, nuscenes_root: Path) -> Path:
    """A sweep 50 ms before the first keyframe, from a pose of its own."""
    folder = own_root / "v1.0-mini"

    def table(name: str) -> list[dict[str, Any]]:
        return json.loads((folder / f"{name}.json").read_text())

    readings, poses = table("sample_data"), table("ego_pose")
    keyframe = next(row for row in readings if "LIDAR_TOP" in row["filename"] and "n015-2018-07-24" in row["filename"])
    pose = next(row for row in poses if row["token"] == keyframe["ego_pose_token"])
    moved = {**pose, "token": "posesweep", "translation": [pose["translation"][0] - 0.5, *pose["translation"][1:]]}
    sweep = {**keyframe, "token": "sweep", "ego_pose_token": "posesweep", "next": keyframe["token"], "prev": ""}
    sweep |= {"is_key_frame": False, "timestamp": keyframe["timestamp"] - 50_000}
    sweep["filename"] = next((own_root / "sweeps" / "LIDAR_TOP").iterdir()).relative_to(own_root).as_posix()
    keyframe["prev"] = "sweep"
    (folder / "sample_data.json").write_text(json.dumps([*readings, sweep]))
    (folder / "ego_pose.json").write_text(json.dumps([*poses, moved]))
    return own_root


def test_sweeps_are_put_together_as_the_devkit_does(with_sweep: Path) -> None:
    build_index(with_sweep)
    index = open_index(with_sweep)
    database = open_tables(with_sweep, "v1.0-mini")
    from nuscenes.utils.data_classes import LidarPointCloud

    sample = database.get("sample", index.arrays.token[0].decode())
    cloud, ages_s = LidarPointCloud.from_file_multisweep(database, sample, "LIDAR_TOP", "LIDAR_TOP", nsweeps=2)
    rows = index.lidar_of(0)
    assert rows.stop - rows.start == 2
    want = transform(index.arrays.ego_from_lidar[rows.start], cloud.points[:3].T)
    got = lidar_points(index, 0, 2, np.eye(4))
    assert len(got) == len(want) > 40_000
    np.testing.assert_allclose(got[:, :3], want, atol=2e-3)
    np.testing.assert_allclose(got[:, 3], cloud.points[3])
    np.testing.assert_allclose(got[:, 4], ages_s[0], atol=1e-6)
    assert len(lidar_points(index, 0, 1, np.eye(4))) < len(got)
    assert len(lidar_points(index, 1, 5, np.eye(4))) == 0  # its file is not there


def test_a_file_of_wrong_length_costs_its_keyframe(own_root: Path) -> None:
    build_index(own_root)
    index = open_index(own_root)
    geometry = ViewGeometry(GRID, DepthBins(1.0, 60.0, 1.0), (64, 176), (4, 11))
    samples = Samples(index, TaskSpec(), geometry, lidar_sweeps=1)
    assert len(samples) == 1 and len(samples[0].points) > 20_000
    path = index.root / index.arrays.lidar_path[0].decode()
    content = path.read_bytes()
    path.write_bytes(content[:-3])
    with pytest.raises(
        DataSetError, match=r"no keyframe of 1 can be read; the first: .*no whole number of lidar points"
    ):
        samples[0]
    path.unlink()
    with pytest.raises(DataSetError, match="No such file"):
        lidar_points(index, 0, 1, np.eye(4))
    path.write_bytes(b"")
    with pytest.raises(DataSetError, match="0 bytes are no whole number of lidar points"):
        lidar_points(index, 0, 1, np.eye(4))
    nowhere = np.array([[3e38, 3e38, 3e38, 1, 0], [np.nan, 9, 9, 1, 0], [9, 9, 9, np.inf, 0], [9, 8, 7, 1, 0]])
    path.write_bytes(nowhere.astype(np.float32).tobytes())
    assert len(lidar_points(index, 0, 1, np.eye(4))) == 1
