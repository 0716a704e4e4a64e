"""Map truth of BEVFusion's six classes on the map's own grid, of the made-up world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import SampleIndex, open_index
from bevdeploy.data.map_masks import map_masks, raster_of
from bevdeploy.data.samples import Samples
from bevdeploy.data.truth_of import truth_of
from bevdeploy.evaluate import TaskScores
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry
from bevdeploy.jobs.truth_as_result import truth_as_result
from bevdeploy.tasks import BEVFUSION_MAP_CLASSES, TaskSpec

GRID = BEVGrid.centred(51.2, 0.8, (-10.0, 10.0))
TASKS = TaskSpec(map_classes=BEVFUSION_MAP_CLASSES, map_half_extent_m=50.0, map_cell_m=0.5).only("map")


@pytest.fixture(scope="module")
def index(devkit: None, synthetic_root: Path, tmp_path_factory: pytest.TempPathFactory) -> SampleIndex:
    folder = build_index(synthetic_root, out=tmp_path_factory.mktemp("index") / "world", tell=lambda line: None)
    return open_index(folder, root=synthetic_root)


def test_masks_are_those_of_the_maps_grid(index: SampleIndex) -> None:
    truth = truth_of(index, 2, TASKS, GRID)
    assert truth.map_valid and truth.map_masks.shape == (6, 200, 200)
    pose = np.array(index.arrays.global_from_ego[2])
    want = map_masks(raster_of(index, 2), BEVFUSION_MAP_CLASSES, BEVGrid.centred(50.0, 0.5, (-10.0, 10.0)), pose)
    np.testing.assert_array_equal(truth.map_masks, want)
    assert truth.map_masks[0].any() and truth.map_masks[2].any() and truth.map_masks[5].any()
    on_features = truth_of(index, 2, replace(TASKS, map_half_extent_m=None, map_cell_m=None), GRID)
    assert on_features.map_masks.shape == (6, 128, 128)
    shares = [truth.map_masks[0].mean(), on_features.map_masks[0].mean()]
    assert shares[0] == pytest.approx(shares[1], abs=0.03), "the same street"


def test_samples_bring_them_and_the_score_names_the_grid(index: SampleIndex) -> None:
    view = ViewGeometry(GRID, DepthBins(1.0, 41.0, 4.0), (32, 88), (4, 11), 2)
    sample = Samples(index, TASKS, view)[0]
    assert sample.truth.map_masks.shape == (6, 200, 200)
    assert sample.view.indices.ranks_bev.max() >= 128 * 128, "pooled in cells of 0.4 m"
    board = TaskScores(TASKS, GRID)
    board.add("a", truth_as_result(sample.truth, TASKS), sample.truth, np.eye(4))
    metrics = {metric.name: metric for metric in board.scores().metrics if metric.task == "map"}
    assert metrics["mean IoU"].value == 1.0
    assert "200 x 200 cells of 0.5 m" in metrics["mean IoU"].protocol
