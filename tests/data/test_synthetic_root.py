"""A made-up world through the whole chain: devkit, index, samples; its maps against the devkit's."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.data.augment import Augmentation
from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import SampleIndex, open_index
from bevdeploy.data.map_raster import POLYGON_LAYERS
from bevdeploy.data.samples import Samples
from bevdeploy.data.truth_of import truth_of
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry
from bevdeploy.geometry.frames import transform
from bevdeploy.tasks import TaskSpec

GEOMETRY = ViewGeometry(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)), DepthBins(1.0, 60.0, 1.0), (128, 352), (8, 22))
TASKS = TaskSpec()


@pytest.fixture(scope="module")
def index(devkit: None, synthetic_root: Path, tmp_path_factory: pytest.TempPathFactory) -> SampleIndex:
    told: list[str] = []
    folder = build_index(synthetic_root, out=tmp_path_factory.mktemp("index") / "world", tell=told.append)
    assert told == []  # nothing is missing
    return open_index(folder, root=synthetic_root)


def test_everything_is_there(index: SampleIndex) -> None:
    assert len(index) == 12 and {"mini_train", "mini_val"} <= set(index.splits)
    samples = Samples(index, TASKS, GEOMETRY, split="mini_val", lidar_sweeps=2, previous=True, strict=True)
    assert (len(samples), samples.skipped) == (6, 0)
    sample = samples[1]
    assert sample.previous is not None and sample.passed_over == ()
    assert set(np.unique(sample.points[:, 4]).round(3)) > {0.0} and len(sample.points) > 5000
    truth = sample.truth
    assert truth.map_valid and truth.map_masks.any((1, 2)).sum() >= 3
    assert len(truth.boxes) > 5 and np.isfinite(truth.boxes).all() and truth.futures_valid.any()
    assert truth.occupancy.any() and truth.plan_valid.sum() == 4
    assert index.arrays.ego_state_measured.all()


def test_lidar_and_boxes_fit_under_augmentation(index: SampleIndex) -> None:
    samples = Samples(index, TASKS, GEOMETRY, lidar_sweeps=1, augmentation=Augmentation(bev_translation_m=0.5), seed=2)
    for position in (0, 5, 9):
        plain, moved = samples.sample(position), samples[position]
        for sample in (plain, moved):
            held = held_points(sample.points, sample.truth.boxes)
            assert np.abs(held - sample.truth.points).sum() <= 0.05 * sample.truth.points.sum() + 3
        back = transform(np.linalg.inv(moved.bev_from_ego), moved.points[:, :3])
        np.testing.assert_allclose(back, plain.points[:, :3], atol=1e-3)


def held_points(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    held = []
    for x, y, z, width, length, height, yaw in boxes[:, :7].astype(np.float64):
        offset = points[:, :3] - [x, y, z]
        along = offset[:, 0] * np.cos(yaw) + offset[:, 1] * np.sin(yaw)
        across = offset[:, 1] * np.cos(yaw) - offset[:, 0] * np.sin(yaw)
        sizes = np.array([length, width, height]) / 2 + 1e-3
        held.append((np.abs(np.stack([along, across, offset[:, 2]], 1)) <= sizes).all(1).sum())
    return np.array(held)


def test_augmented_masks_turned_back_are_the_masks(index: SampleIndex) -> None:
    samples = Samples(index, TASKS, GEOMETRY, augmentation=Augmentation(), seed=8, cameras=("CAM_FRONT",))
    grid = GEOMETRY.grid
    x, y = np.meshgrid(grid.centres_m(0), grid.centres_m(1))
    for position in (1, 4):
        plain, moved = samples.sample(position).truth, samples[position]
        back = transform(np.linalg.inv(moved.bev_from_ego), np.stack([x, y, 0 * x], -1))[..., :2]
        cells = np.floor((back + 51.2) / 0.8).astype(int)
        inside = ((cells >= 0) & (cells < 128)).all(-1)
        ours = moved.truth.map_masks[:, inside]
        theirs = plain.map_masks[:, cells[inside][:, 1], cells[inside][:, 0]]
        drivable = TASKS.map_classes.index("drivable")
        assert iou(ours[drivable], theirs[drivable]) > 0.9
        lines = [TASKS.map_classes.index(name) for name in ("divider", "boundary")]
        assert iou(ours[lines], theirs[lines]) > 0.5  # two cells wide, half a cell off at most


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


@pytest.mark.slow
def test_masks_are_close_to_the_devkits(index: SampleIndex) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nuscenes.map_expansion.map_api import NuScenesMap
    grid = BEVGrid.centred(50, 0.2, (-5, 3))
    tasks = replace(TASKS, map_classes=(*POLYGON_LAYERS, "divider"))
    maps, scores = {}, {layer: [0, 0] for layer in POLYGON_LAYERS}
    for keyframe in range(0, len(index), 3):
        location = index.scene_of(keyframe).location
        maps.setdefault(location, NuScenesMap(str(index.root), location))
        pose = index.arrays.global_from_ego[keyframe]
        yaw = np.rad2deg(np.arctan2(pose[1, 0], pose[0, 0]))
        patch = (pose[0, 3], pose[1, 3], 100, 100)
        theirs = maps[location].get_map_mask(patch, yaw, list(POLYGON_LAYERS), (500, 500)) > 0
        ours = truth_of(index, keyframe, tasks, grid).map_masks
        for layer, a, b in zip(POLYGON_LAYERS, ours, theirs, strict=False):
            scores[layer][0] += int((a & b).sum())
            scores[layer][1] += int((a | b).sum())
    # the devkit rounds corners to cells and draws the border's cells too: what is thin differs most
    assert scores["drivable_area"][0] / scores["drivable_area"][1] > 0.97
    for layer, (both, either) in scores.items():
        assert either == 0 or both / either > (0.65 if layer == "stop_line" else 0.85), (layer, both, either)
