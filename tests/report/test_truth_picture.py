"""Truth at the left, result at the right: each shows its own boxes and map, with and without cameras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bevdeploy.geometry import BEVGrid, surround_rig
from bevdeploy.report import FrameTitle
from bevdeploy.report.bev_ground import MAP_OPACITY
from bevdeploy.report.palette import GROUND, MAP_COLOURS, mixed
from bevdeploy.report.truth_picture import LEGEND_SHARE, truth_picture
from bevdeploy.runtime.result import BevResult

pytest.importorskip("PIL.Image", reason="pictures need bevdeploy[media]")

ResultOf = Callable[..., BevResult]
TITLE = FrameTitle("frame 1", "tinybev_r18", "s.fp32.onnx")
CAR = (10.0, 5.0, 0.0, 2.0, 5.0, 1.6, 0.0, 0.0, 0.0)
BUS = (-10.0, -6.0, 0.0, 3.0, 12.0, 3.0, 0.0, 0.0, 0.0)
WIDTH_PX = 960


def halves(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two views at the bottom, without the legend."""
    inner = picture[:, 8:-8]
    width = inner.shape[1]
    legend = round(LEGEND_SHARE * width)
    side = (width - legend - 8) // 2
    bottom = inner[-8 - side : -8].astype(int)
    left = legend + 4
    return bottom[:, left : left + side], bottom[:, left + side + 4 : left + 2 * side + 4]


def pictured(truth: BevResult, result: BevResult, grid: BEVGrid) -> tuple[np.ndarray, np.ndarray]:
    return halves(np.asarray(truth_picture(None, None, truth, result, grid, TITLE, WIDTH_PX)))


def differs_only_at(ours: np.ndarray, other: np.ndarray, box: tuple[float, ...]) -> bool:
    """Whether two views differ, and only where the box is, a line's width aside."""
    changed = np.argwhere((ours != other).any(-1))
    px_per_m = len(ours) / (2 * 26)  # the grid reaches 25 m, with 1 m around it
    apart_m = np.abs(changed / px_per_m - (26 - np.array(box[:2])))
    return len(changed) > 20 and bool((apart_m <= np.array([box[4], box[3]]) / 2 + 0.4).all())


def test_each_side_shows_its_own_boxes(result_of: ResultOf, grid: BEVGrid) -> None:
    empty, car, bus = result_of(), result_of([CAR], ["car"]), result_of([BUS], ["bus"])
    blank, both = pictured(empty, empty, grid), pictured(car, bus, grid)
    dashed = pictured(car, empty, grid)
    assert differs_only_at(both[0], blank[0], CAR)
    assert differs_only_at(both[1], dashed[1], BUS)


def test_true_boxes_are_dashed_over_the_result(result_of: ResultOf, grid: BEVGrid) -> None:
    empty, car = result_of(), result_of([CAR], ["car"])
    blank, dashed = pictured(empty, empty, grid), pictured(car, empty, grid)
    assert differs_only_at(dashed[1], blank[1], CAR)
    assert (dashed[1] != dashed[0]).any()


def test_each_side_shows_its_own_map(result_of: ResultOf, grid: BEVGrid) -> None:
    result = result_of()
    drivable = np.zeros_like(result.map_probabilities)
    drivable[result.tasks.map_classes.index("drivable"), 10:30] = 1.0
    tint = np.array(mixed(GROUND, MAP_COLOURS["drivable"], MAP_OPACITY))
    for side, pair in enumerate([(replace(result, map_probabilities=drivable), result), (result,) * 2]):
        left, right = pictured(*pair, grid)
        assert (np.abs(right - tint).max(-1) <= 2).sum() < 50
        assert ((np.abs(left - tint).max(-1) <= 2).sum() > 5000) == (side == 0)
    _, right = pictured(result, replace(result, map_probabilities=drivable), grid)
    assert (np.abs(right - tint).max(-1) <= 2).sum() > 5000


def test_cameras_stand_above_where_there_are_images(result_of: ResultOf, grid: BEVGrid) -> None:
    rig = surround_rig(64, 36)
    frames = [np.full((36, 64, 3), 60 + 20 * n, np.uint8) for n in range(6)]
    result = result_of()
    bare = truth_picture(None, None, result, result, grid, TITLE, WIDTH_PX)
    full = truth_picture(frames, rig, result, result, grid, TITLE, WIDTH_PX)
    assert full.width == bare.width == WIDTH_PX
    assert full.height > bare.height + 2 * 150
    levels = {red for _, (red, green, blue) in full.getcolors(1 << 20) if red == green == blue}
    assert {60 + 20 * n for n in range(6)} <= levels
