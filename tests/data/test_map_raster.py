"""Rasters against exact geometry cell by cell, and against the devkit's own masks."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.data import map_raster
from bevdeploy.data.index import MapRaster
from bevdeploy.data.map_masks import map_masks
from bevdeploy.data.map_raster import CELL_M, FARTHEST, POLYGON_LAYERS, raster_of_location, shapes_of_expansion
from bevdeploy.errors import DataSetError
from bevdeploy.geometry.frames import compose
from bevdeploy.geometry.grid import BEVGrid

from .map_document import map_document

pytest.importorskip("cv2", reason="OpenCV comes with nuscenes-devkit")
shapely = pytest.importorskip("shapely", reason="shapely comes with nuscenes-devkit")


@pytest.fixture(scope="module")
def expansion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "maps" / "expansion" / "boston-seaport.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(map_document()))
    return path


@pytest.fixture(scope="module")
def raster(expansion: Path) -> MapRaster:
    made = raster_of_location(expansion, (40.03, 30.0), (260.0, 210.0))
    assert made is not None
    return made


def centres_of(raster: MapRaster) -> tuple[np.ndarray, np.ndarray]:
    _, rows, columns = raster.planes.shape
    x = raster.lower_m[0] + (np.arange(columns) + 0.5) * raster.cell_m
    y = raster.lower_m[1] + (np.arange(rows) + 0.5) * raster.cell_m
    return np.meshgrid(x, y)


def test_areas_hold_the_centres_of_their_cells(raster: MapRaster) -> None:
    polygons, _, _ = shapes_of_expansion(map_document())
    x, y = centres_of(raster)
    for bit, layer in enumerate(POLYGON_LAYERS):
        want = np.zeros(x.shape, bool)
        for outer, *holes in polygons[layer]:
            want |= shapely.contains_xy(shapely.Polygon(outer, holes), x, y)
        got = (raster.planes[0] >> bit) & 1 == 1
        assert want.any()
        differing = got != want
        edge = np.full(x.shape, np.inf)
        lines = [shapely.LineString([*ring, ring[0]]) for rings in polygons[layer] for ring in rings]
        edge[differing] = shapely.distance(shapely.union_all(lines), shapely.points(x[differing], y[differing]))
        assert edge[differing].max(initial=0) < CELL_M / map_raster.FINER  # a drawn pixel
        assert differing.sum() < 0.04 * want.sum() + 30
    assert not raster.planes[0][0].any()


@pytest.mark.parametrize("plane", [1, 2])
def test_distances_are_those_to_the_lines(raster: MapRaster, plane: int) -> None:
    lines = shapes_of_expansion(map_document())[plane]
    union = shapely.union_all([shapely.LineString(line) for line in lines])
    x, y = centres_of(raster)
    want = shapely.distance(union, shapely.points(x[::3, ::3], y[::3, ::3]))
    got = raster.planes[plane][::3, ::3] * map_raster.STEP_M
    near = want < 25.3
    assert np.abs(got - want)[near].max() < 0.12
    assert (got[want > 25.7] == FARTHEST * map_raster.STEP_M).all()
    assert near.any() and not near.all()


def test_the_boundary_is_the_contour_of_the_union(raster: MapRaster) -> None:
    """Where the two roads meet there is no boundary, though each polygon has an edge there."""
    x, y = centres_of(raster)
    middle = np.hypot(x - 150, y - 120) < 2
    assert raster.planes[2][middle].min() > 40


def test_tiles_join_without_a_seam(expansion: Path, raster: MapRaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_raster, "TILE", 170)
    steps: list[tuple[int, int]] = []
    tiled = raster_of_location(expansion, (40.03, 30.0), (260.0, 210.0), lambda *step: steps.append(step))
    assert tiled is not None and len(steps) == 42 and steps[-1] == (42, 42)
    apart = tiled.planes.astype(int) - raster.planes
    assert np.abs(apart[1:]).max() <= 1  # ends of lines are rounded to 1/256 of a drawn pixel
    assert (apart != 0).mean() < 1e-3


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "singapore-onenorth.json"
    assert raster_of_location(path, (0, 0), (1, 1)) is None
    document = map_document()
    document["node"] = document["node"][1:]
    for content in ("{", "[]", json.dumps({"node": []}), json.dumps(document), json.dumps({"node": 3})):
        path.write_text(content)
        with pytest.raises(DataSetError, match="cannot be read as a map expansion"):
            raster_of_location(path, (0, 0), (1, 1))


@pytest.mark.parametrize("x", [float("nan"), float("inf")])
def test_a_node_that_is_nowhere_is_refused(tmp_path: Path, x: float) -> None:
    document = map_document()
    document["node"][0]["x"] = x
    (tmp_path / "singapore-onenorth.json").write_text(json.dumps(document))
    with pytest.raises(DataSetError, match=r"node .* is at .*unpack the map expansion again"):
        raster_of_location(tmp_path / "singapore-onenorth.json", (0, 0), (1, 1))


def test_a_polygon_without_corners_covers_nothing(tmp_path: Path) -> None:
    document = map_document()
    for row in document["polygon"]:
        row["exterior_node_tokens"] = []
    path = tmp_path / "singapore-onenorth.json"
    path.write_text(json.dumps(document))
    raster = raster_of_location(path, (40, 30), (60, 50))
    assert raster is not None
    assert not raster.planes[0].any()
    assert (raster.planes[2] == FARTHEST).all()


def test_corners_of_no_drive_are_refused(expansion: Path) -> None:
    with pytest.raises(DataSetError, match="1000000000 x 200 m apart"):
        raster_of_location(expansion, (0, 0), (1e9, 200))


@pytest.mark.parametrize("pose", [(150.0, 120.0, 0.0), (140.0, 118.0, 0.7), (175.0, 100.0, -2.3)])
def test_masks_are_close_to_the_devkits(expansion: Path, raster: MapRaster, pose: tuple[float, float, float]) -> None:
    if importlib.util.find_spec("nuscenes") is None:
        pytest.skip("nuscenes-devkit is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nuscenes.map_expansion.map_api import NuScenesMap

        theirs = NuScenesMap(str(expansion.parents[2]), "boston-seaport")
        x, y, yaw = pose
        layers = [*POLYGON_LAYERS, "road_divider", "lane_divider"]
        masks = theirs.get_map_mask((x, y, 60, 60), np.rad2deg(yaw), layers, (240, 240))
    global_from_bev = compose([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]], [x, y, 0])
    grid = BEVGrid.centred(30, 0.25, (-5, 3))
    ours = map_masks(raster, [*POLYGON_LAYERS, "divider"], grid, global_from_bev)
    for layer, mine, mask in zip(layers[:5], ours, masks, strict=False):
        union = (mine | (mask > 0)).sum()
        # the devkit rounds corners to pixels and draws borders too
        assert union == 0 or (mine & (mask > 0)).sum() / union > 0.85, layer
    seen, drawn = masks[5:].any(0), ours[5]
    # the devkit cuts corners down to whole pixels: half a pixel aside, one at most
    assert (seen & widened(drawn)).sum() > 0.98 * seen.sum()
    assert (drawn & widened(seen)).sum() > 0.98 * drawn.sum()
    assert 0.7 < seen.sum() / drawn.sum() < 1.6  # OpenCV's two pixels are three along a diagonal


def widened(mask: np.ndarray) -> np.ndarray:
    """By a cell to all sides."""
    wide = np.pad(mask, 1)
    rows, columns = mask.shape
    return np.any([wide[y : y + rows, x : x + columns] for y in range(3) for x in range(3)], axis=0)
