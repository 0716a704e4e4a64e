"""Where metres land in the BEV picture, and in which colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bevdeploy.geometry import BEVGrid
from bevdeploy.report.bev_layout import BevLayout
from bevdeploy.report.bev_picture import bev_picture, bev_view
from bevdeploy.report.palette import CLASS_COLOURS, EGO, GROUND, MAP_COLOURS, PLAN_COLOURS, TRUTH
from bevdeploy.runtime.result import BevResult

pytest.importorskip("PIL", reason="pictures need bevdeploy[media]")

ResultOf = Callable[..., BevResult]
LAYOUT = BevLayout(side_px=1000, half_extent_m=25.0)  # 20 px per metre


def colour_at(picture, point_px) -> np.ndarray:
    """Colour of the pixel that holds a point (right, down)."""
    u, v = (int(np.floor(value)) for value in point_px)
    return np.array(picture.getpixel((u, v)), np.float64)


def test_ahead_is_up_and_left_is_left() -> None:
    np.testing.assert_allclose(LAYOUT.pixels((0.0, 0.0)), [500, 500])
    np.testing.assert_allclose(LAYOUT.pixels((10.0, 2.0)), [460, 300])  # 2 m left: 40 px, 10 m ahead: 200 px
    np.testing.assert_allclose(LAYOUT.pixels([[-25.0, -25.0], [25.0, 25.0]]), [[1000, 1000], [0, 0]])


def test_the_layout_shows_the_whole_grid(grid: BEVGrid) -> None:
    layout = BevLayout.around(grid, 600)
    assert layout.half_extent_m == 26.0  # the farthest bound and a metre
    assert layout.rings_m() == [10.0, 20.0]


def test_a_box_is_drawn_where_it_is(result_of: ResultOf, grid: BEVGrid) -> None:
    box = (10.0, 2.0, 0.0, 2.0, 4.0, 1.5, 0.0, 0.0, 0.0)  # 2 m wide, 4 m long, heading forward
    picture = bev_view(result_of([box], ["car"]), LAYOUT, grid)
    car = np.array(CLASS_COLOURS["car"], np.float64)
    for edge_m in ((12.0, 2.0), (8.0, 2.0), (10.0, 3.0), (10.0, 1.0), (11.0, 2.0)):  # four sides, and the heading tick
        np.testing.assert_allclose(colour_at(picture, LAYOUT.pixels(edge_m)), car, atol=12)
    inside = colour_at(picture, LAYOUT.pixels((9.0, 2.5)))
    outside = colour_at(picture, LAYOUT.pixels((9.0, 4.5)))
    assert np.abs(outside - GROUND).max() < 3
    np.testing.assert_allclose(inside, GROUND + 0.24 * (car - GROUND), atol=4)
    behind = colour_at(picture, LAYOUT.pixels((9.0, 2.0)))  # the tick leads from the centre to the front only
    np.testing.assert_allclose(behind, inside, atol=4)


def test_yaw_turns_to_the_left(result_of: ResultOf, grid: BEVGrid) -> None:
    box = (10.0, 0.0, 0.0, 2.0, 8.0, 1.5, np.pi / 2, 0.0, 0.0)  # heading left: long along y
    picture = bev_view(result_of([box], ["truck"]), LAYOUT, grid)
    truck = np.array(CLASS_COLOURS["truck"], np.float64)
    np.testing.assert_allclose(colour_at(picture, LAYOUT.pixels((10.0, 4.0))), truck, atol=12)
    np.testing.assert_allclose(colour_at(picture, LAYOUT.pixels((10.0, 2.0))), truck, atol=12)  # tick
    assert np.abs(colour_at(picture, LAYOUT.pixels((10.0, -2.0))) - truck).max() > 60


def test_score_is_opacity(result_of: ResultOf, grid: BEVGrid) -> None:
    box = (10.0, 2.0, 0.0, 2.0, 4.0, 1.5, 0.0, 0.0, 0.0)
    distance = []
    for score in (0.05, 0.4, 0.9):
        picture = bev_view(result_of([box], ["car"], [score]), LAYOUT, grid)
        distance.append(np.abs(colour_at(picture, LAYOUT.pixels((12.0, 2.0))) - CLASS_COLOURS["car"]).sum())
    assert distance[0] > distance[1] > distance[2]


def test_the_surer_box_is_on_top(result_of: ResultOf, grid: BEVGrid) -> None:
    box = (10.0, 2.0, 0.0, 2.0, 4.0, 1.5, 0.0, 0.0, 0.0)
    picture = bev_view(result_of([box, box], ["bus", "car"], [0.9, 0.85]), LAYOUT, grid)
    np.testing.assert_allclose(colour_at(picture, LAYOUT.pixels((12.0, 2.0))), CLASS_COLOURS["bus"], atol=12)


def test_velocity_is_an_arrow_of_one_second(result_of: ResultOf, grid: BEVGrid) -> None:
    still = (10.0, 0.0, 0.0, 1.0, 1.0, 1.5, 0.0, 0.0, 0.0)
    moving = (*still[:7], 0.0, -6.0)  # to the right
    one, other = (bev_view(result_of([box], ["car"]), LAYOUT, grid) for box in (still, moving))
    changed = np.abs(np.asarray(one, np.int64) - np.asarray(other, np.int64)).sum(-1) > 30
    rows, columns = np.nonzero(changed)
    assert columns.max() == pytest.approx(500 + 6 * 20, abs=4)  # the tip
    assert columns.min() >= 500 - 4
    assert np.abs(rows - 300).max() < 8


def test_the_likeliest_trajectory_is_drawn(result_of: ResultOf, grid: BEVGrid) -> None:
    result = result_of([(5.0, 5.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0)], ["pedestrian"])
    steps = np.arange(1, result.tasks.motion_steps + 1)
    result.trajectories_m[0, 4] = np.stack([5.0 + 0 * steps, 5.0 + steps], -1)  # to the left
    result.trajectories_m[0, 1] = np.stack([5.0 - steps, 5.0 + 0 * steps], -1)
    result.trajectory_probabilities[0] = (0.1, 0.2, 0.1, 0.1, 0.4, 0.1)
    picture = bev_view(result, LAYOUT, grid)
    near, far = (np.abs(colour_at(picture, LAYOUT.pixels((5.0, y))) - GROUND).sum() for y in (8.0, 16.0))
    assert near > far > 20  # it fades
    assert np.abs(colour_at(picture, LAYOUT.pixels((1.0, 5.0))) - GROUND).sum() < 20


def test_map_tensors_are_class_y_x(result_of: ResultOf, grid: BEVGrid) -> None:
    result = result_of()
    drivable = result.tasks.map_classes.index("drivable")
    x_m, y_m = 15.25, 10.25  # ahead on the left
    column, row = round((x_m + 25) / 0.5 - 0.5), round((y_m + 20) / 0.5 - 0.5)
    result.map_probabilities[drivable, row - 3 : row + 4, column - 3 : column + 4] = 1.0
    picture = bev_view(result, LAYOUT, grid)
    tint = GROUND + 0.7 * (np.array(MAP_COLOURS["drivable"]) - GROUND)
    np.testing.assert_allclose(colour_at(picture, LAYOUT.pixels((x_m, y_m))), tint, atol=2)
    for elsewhere in ((y_m, x_m), (-x_m, y_m), (x_m, -y_m)):  # transposed, mirrored
        assert np.abs(colour_at(picture, LAYOUT.pixels(elsewhere)) - GROUND).max() < 3
    np.testing.assert_allclose(colour_at(picture, LAYOUT.pixels((x_m + 1.6, y_m))), tint, atol=6)  # up to the border
    assert np.abs(colour_at(picture, LAYOUT.pixels((x_m + 2.1, y_m))) - GROUND).max() < 3


def test_undecided_cells_stay_dark(result_of: ResultOf, grid: BEVGrid) -> None:
    result = result_of()
    dark = np.asarray(bev_view(result, LAYOUT, grid))
    for probabilities in (result.map_probabilities, result.occupancy_probabilities):
        probabilities[:] = 0.5
        probabilities[:, 0, 0] = 1.0  # behind on the right, the one decided cell
    undecided = np.asarray(bev_view(result, LAYOUT, grid))
    np.testing.assert_array_equal(undecided[:850], dark[:850])
    assert (undecided[850:] != dark[850:]).any()


def test_occupancy_fades_into_the_future(result_of: ResultOf, grid: BEVGrid) -> None:
    brightness = []
    for step in (0, 4):
        result = result_of()
        side = result.tasks.occupancy_side  # +-50 m, 0.5 m
        result.occupancy_probabilities[step, side // 2 + 20 : side // 2 + 30, side // 2 - 30 : side // 2 - 20] = 1.0
        picture = bev_view(result, LAYOUT, grid)
        brightness.append((colour_at(picture, LAYOUT.pixels((-12.5, 12.5))) - GROUND).sum())  # behind on the left
    assert brightness[0] > 2 * brightness[1] > 20


def test_plans_start_at_the_ego_car(result_of: ResultOf, grid: BEVGrid) -> None:
    result = result_of()
    left, right = result.tasks.plan_commands.index("left"), result.tasks.plan_commands.index("right")
    result.plans_m[left] = [(2.0 * k, 1.5 * k) for k in range(1, 7)]
    result.plans_m[right] = [(2.0 * k, -1.5 * k) for k in range(1, 7)]
    picture = bev_view(result, LAYOUT, grid)
    for command, side in (("left", 1), ("right", -1)):
        for x_m in (5.0, 9.0, 12.0):
            colour = colour_at(picture, LAYOUT.pixels((x_m, side * 0.75 * x_m)))
            np.testing.assert_allclose(colour, PLAN_COLOURS[command], atol=16)
    np.testing.assert_allclose(colour_at(picture, LAYOUT.pixels((1.0, 0.0))), EGO, atol=6)  # the car is on top


def test_truth_is_dashed_white(result_of: ResultOf, grid: BEVGrid) -> None:
    truth = np.array([(10.0, 2.0, 0.0, 2.0, 4.0, 1.5, 0.0, np.nan, np.nan)])  # velocity unknown, as nuScenes has it
    picture = bev_view(result_of(), LAYOUT, grid, truth)
    u, v = LAYOUT.pixels((12.0, 2.0)).astype(int)
    side = np.asarray(picture)[v, u - 18 : u + 18].astype(int)
    white = np.abs(side - TRUTH).sum(-1) < 60
    assert 8 < white.sum() < 30  # dashes, with gaps


def test_impossible_boxes_are_left_out(result_of: ResultOf, grid: BEVGrid) -> None:
    good = (10.0, 2.0, 0.0, 2.0, 4.0, 1.5, 0.0, 0.0, 0.0)
    bad = [(np.nan, *good[1:]), (*good[:3], np.inf, *good[4:])]
    alone, among = result_of([good], ["car"]), result_of([good, *bad], ["car"] * 3, [1.0, 0.9, 0.9])
    np.testing.assert_array_equal(np.asarray(bev_view(alone, LAYOUT, grid)), np.asarray(bev_view(among, LAYOUT, grid)))
    huge = result_of([(1e9, -1e9, 0.0, 1e9, 1e12, 1.0, 0.3, 1e9, 0.0)], ["car"])
    assert bev_view(huge, LAYOUT, grid).size == (1000, 1000)


def test_the_legend_stands_at_the_right(result_of: ResultOf, grid: BEVGrid) -> None:
    box = (10.0, 2.0, 0.0, 2.0, 4.0, 1.5, 0.0, 0.0, 0.0)
    result = result_of([box], ["car"])
    picture = bev_picture(result, grid)
    assert picture.size == (1300, 1000)
    legend = np.asarray(picture)[:, 1000:]
    for name in ("car", "bicycle"):
        assert (np.abs(legend.astype(int) - CLASS_COLOURS[name]).sum(-1) < 30).any(), name
    without = np.asarray(bev_picture(replace(result, labels=result.labels + 1), grid))[:, 1000:]
    assert (legend != without).any()  # the counts moved to another class
