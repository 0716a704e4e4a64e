"""BEVFusion's map classes in the BEV picture: on their own grid, each in its colour."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from bevdeploy.geometry import BEVGrid
from bevdeploy.report.bev_ground import MAP_OPACITY, bev_ground
from bevdeploy.report.bev_layout import BevLayout
from bevdeploy.report.palette import BEVFUSION_MAP_COLOURS, GROUND, MAP_COLOURS, MAP_LAYERS, map_colour
from bevdeploy.tasks import BEVFUSION_MAP_CLASSES, TaskSpec

pytest.importorskip("PIL", reason="pictures need bevdeploy[media]")

LAYOUT = BevLayout(side_px=1000, half_extent_m=25.0)  # 20 px per metre
TASKS = TaskSpec(map_classes=BEVFUSION_MAP_CLASSES, map_half_extent_m=24.0, map_cell_m=0.5).only("map")


def test_six_classes_six_colours_and_a_layer_each() -> None:
    assert set(BEVFUSION_MAP_COLOURS) == set(BEVFUSION_MAP_CLASSES)
    assert set(MAP_LAYERS) == {*MAP_COLOURS, *BEVFUSION_MAP_COLOURS} and len(set(MAP_LAYERS)) == len(MAP_LAYERS)
    for one, other in combinations(BEVFUSION_MAP_COLOURS.values(), 2):
        assert np.linalg.norm(np.subtract(one, other)) > 40, (one, other)
    assert map_colour("kerb", 5) == MAP_COLOURS["crossing"], "a class of another map, by its index"


@pytest.mark.parametrize("name", BEVFUSION_MAP_CLASSES)
def test_a_cell_lies_where_its_own_grid_says(name: str, result_of, grid: BEVGrid) -> None:  # type: ignore[no-untyped-def]
    """The BEV grid of the fixture reaches 25 m by 20 m in other cells."""
    index = BEVFUSION_MAP_CLASSES.index(name)
    probabilities = np.zeros((6, 96, 96), np.float32)
    row, column = round((-18.25 + 24) / 0.5 - 0.5), round((15.25 + 24) / 0.5 - 0.5)  # x = 15.25 m, y = -18.25 m
    probabilities[index, row - 3 : row + 4, column - 3 : column + 4] = 1.0
    result = replace(
        result_of(),
        map_probabilities=probabilities,
        occupancy_probabilities=np.zeros((0, 4, 4), np.float32),
        tasks=TASKS,
    )
    picture = bev_ground(result, grid, LAYOUT)
    u, v = (int(np.floor(value)) for value in LAYOUT.pixels((15.25, -18.25)))
    tint = np.array(GROUND) + MAP_OPACITY * (np.array(map_colour(name, index)) - GROUND)
    np.testing.assert_allclose(picture.getpixel((u, v)), tint, atol=2)
    assert picture.getpixel((u, v - 42)) == GROUND and picture.getpixel((u - 42, v)) == GROUND
