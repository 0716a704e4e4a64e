from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.augment import bev_similarity
from bevdeploy.data.index import MapRaster
from bevdeploy.data.map_masks import map_masks
from bevdeploy.errors import DataSetError
from bevdeploy.geometry.frames import compose
from bevdeploy.geometry.grid import BEVGrid


@pytest.fixture
def raster(rng: np.random.Generator) -> MapRaster:
    planes = np.zeros((3, 400, 500), np.uint8)
    planes[0] = np.kron(rng.integers(0, 32, (20, 25)), np.ones((20, 20))).astype(np.uint8)
    planes[1] = np.minimum(np.abs(np.arange(500) - 250) * 2, 255)  # a line along y at x = 50
    planes[2] = 255
    return MapRaster(planes, (0.0, 0.0), 0.2)


def test_each_cell_looks_up_the_place_of_its_centre(raster: MapRaster, rng: np.random.Generator) -> None:
    grid = BEVGrid((-10.0, -6.0, -5.0), (0.8, 0.5, 8.0), (25, 24, 1))
    yaw = 0.6
    pose = compose([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]], [45, 30, 0.3])
    bev_from_ego = bev_similarity(0.4, False, True, 1.1, np.array([0.5, -0.3, 0]))
    global_from_bev = pose @ np.linalg.inv(bev_from_ego)
    names = ("drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area", "divider", "boundary")
    got = map_masks(raster, names, grid, global_from_bev)
    assert got.shape == (7, 24, 25)
    for row, y in enumerate(grid.centres_m(1)):
        for column, x in enumerate(grid.centres_m(0)):
            place = (global_from_bev @ [x, y, 0, 1])[:2]
            bits = raster.planes[0, int(place[1] // 0.2), int(place[0] // 0.2)]
            assert got[:5, row, column].tolist() == [bool(bits >> bit & 1) for bit in range(5)]
            away = raster.planes[1, int(place[1] // 0.2), int(place[0] // 0.2)] * 0.1
            assert got[5, row, column] == (away <= 0.8 / 1.1 + 1e-9)
    assert not got[6].any()
    np.testing.assert_array_equal(map_masks(raster, ("drivable", "crossing"), grid, global_from_bev), got[:2])


def test_turning_the_frame_turns_the_mask(raster: MapRaster) -> None:
    """By quarter turns and flips, where cells map onto cells."""
    grid = BEVGrid.centred(10, 0.5, (-5, 3))
    pose = compose(np.eye(3), [45, 30, 0])
    plain = map_masks(raster, ("walkway", "divider"), grid, pose)
    turned = map_masks(
        raster, ("walkway", "divider"), grid, pose @ np.linalg.inv(bev_similarity(np.pi / 2, False, False, 1))
    )
    np.testing.assert_array_equal(turned, np.rot90(plain, -1, (1, 2)))  # rows run along y: ahead becomes left
    mirrored = map_masks(raster, ("walkway", "divider"), grid, pose @ np.linalg.inv(bev_similarity(0, False, True, 1)))
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])
    backward = map_masks(raster, ("walkway", "divider"), grid, pose @ np.linalg.inv(bev_similarity(0, True, False, 1)))
    np.testing.assert_array_equal(backward, plain[:, :, ::-1])


def test_beyond_the_raster_there_is_nothing(raster: MapRaster) -> None:
    grid = BEVGrid.centred(10, 0.5, (-5, 3))
    masks = map_masks(raster, ("walkway", "divider"), grid, compose(np.eye(3), [0, 0, 0]))
    assert not masks[:, :20].any() and not masks[:, :, :20].any()
    assert not map_masks(None, ("walkway",), grid, np.eye(4)).any()
    with pytest.raises(DataSetError, match="no map class kerb; there are drivable_area"):
        map_masks(raster, ("kerb",), grid, np.eye(4))
