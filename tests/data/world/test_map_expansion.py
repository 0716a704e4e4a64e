"""The map expansion of a hand-made crossing: its links, and the devkit that opens it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.data.world.map_expansion import _inside, arcline_path, map_expansion
from bevdeploy.data.world.map_files import MAP_NAMES, expansion_file, map_file, semantic_prior, write_maps
from bevdeploy.data.world.scene import Lane, Town


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


@pytest.fixture
def town() -> Town:
    """A street from west to east that bends to the north in an intersection at (40 to 50, 10 to 20)."""
    lanes = (
        Lane(np.array([[0.0, 12.0], [20.0, 12.0], [40.0, 12.0]]), 4.0, (2,), 10.0),
        Lane(np.array([[48.0, 20.0], [48.0, 60.0]]), 4.0, (), 10.0),
        Lane(np.array([[40.0, 12.0], [46.0, 14.0], [48.0, 20.0]]), 4.0, (1,), 5.0, intersection=0),
    )
    polygons = {
        "drivable_area": (box(0, 10, 50, 20), box(40, 20, 50, 60)),
        "road_segment": (box(0, 10, 40, 20), box(40, 20, 50, 60), box(40, 10, 50, 20)),
        "road_block": (box(0, 10, 40, 14), box(46, 20, 50, 60)),
        "lane": (box(0, 10, 40, 14), box(46, 20, 50, 60)),
        "ped_crossing": (box(34, 10, 38, 20),),
        "walkway": (box(0, 4, 50, 10),),
        "stop_line": (box(32, 10, 33, 14), box(2, 10, 3, 14)),
        "carpark_area": (box(5, 20, 15, 25),),
    }
    lines = {"road_divider": (np.array([[0.0, 15.0], [40.0, 15.0]]),), "lane_divider": ()}
    return Town("boston-seaport", (60.0, 70.0), polygons, lines, lanes, np.zeros((0, 3)), (), (), intersections=(2,))


def test_every_token_leads_somewhere(town: Town) -> None:
    document = map_expansion(town)
    nodes = {row["token"]: (row["x"], row["y"]) for row in document["node"]}
    polygons = {row["token"]: row for row in document["polygon"]}
    lines = {row["token"]: row for row in document["line"]}
    assert len(nodes) == len(set(nodes.values())) == len(document["node"])
    for row in polygons.values():
        assert set(row["exterior_node_tokens"]) <= set(nodes)
    for row in lines.values():
        assert set(row["node_tokens"]) <= set(nodes)
    for layer, rows in document.items():
        if not isinstance(rows, list):
            continue
        for row in (each for each in rows if isinstance(each, dict)):
            if "polygon_token" in row:
                assert row["polygon_token"] in polygons, layer
            for key in ("line_token", "from_edge_line_token", "to_edge_line_token"):
                assert key not in row or row[key] in lines, layer
    for name, rings in town.polygons.items():
        for row, ring in zip(document[name], rings, strict=True):
            (token,) = row["polygon_tokens"] if name == "drivable_area" else [row["polygon_token"]]
            corners = [nodes[node] for node in polygons[token]["exterior_node_tokens"]]
            assert np.allclose(corners, ring)
    json.dumps(document, allow_nan=False)


def test_lanes_and_connectors(town: Town) -> None:
    document = map_expansion(town)
    nodes = {row["token"]: (row["x"], row["y"]) for row in document["node"]}
    edges = {row["token"]: [nodes[node] for node in row["node_tokens"]] for row in document["line"]}
    west, north = document["lane"]
    (bend,) = document["lane_connector"]
    links = document["connectivity"]
    assert links[west["token"]] == {"incoming": [], "outgoing": [bend["token"]]}
    assert links[bend["token"]] == {"incoming": [west["token"]], "outgoing": [north["token"]]}
    assert links[north["token"]] == {"incoming": [bend["token"]], "outgoing": []}
    assert sorted(edges[west["from_edge_line_token"]]) == [(0, 10), (0, 14)]
    assert sorted(edges[west["to_edge_line_token"]]) == [(40, 10), (40, 14)]
    assert sorted(edges[north["to_edge_line_token"]]) == [(46, 60), (50, 60)]
    assert [row["is_intersection"] for row in document["road_segment"]] == [False, False, True]
    assert document["road_block"][0]["road_segment_token"] == document["road_segment"][0]["token"]
    near, far = document["stop_line"]
    assert (near["stop_line_type"], near["ped_crossing_tokens"]) == (
        "PED_CROSSING",
        [document["ped_crossing"][0]["token"]],
    )
    assert (far["stop_line_type"], far["ped_crossing_tokens"]) == ("STOP_SIGN", [])


def test_an_arcline_path_is_its_centreline(town: Town) -> None:
    path_at = pytest.importorskip("nuscenes.map_expansion.arcline_path_utils")
    for lane in town.lanes:
        poses = np.array(path_at.discretize_lane(arcline_path(lane), 0.5))
        assert np.allclose(poses[0, :2], lane.centreline_m[0])
        assert np.allclose(poses[-1, :2], lane.centreline_m[-1])
        for corner in lane.centreline_m:
            assert np.hypot(*(poses[:, :2] - corner).T).min() < 1e-6
        length = np.hypot(*np.diff(lane.centreline_m, axis=0).T).sum()
        assert path_at.length_of_lane(arcline_path(lane)) == pytest.approx(length)


def test_inside_is_inside(rng: np.random.Generator) -> None:
    """Against shapely, on rings that are not convex."""
    geometry = pytest.importorskip("shapely.geometry")
    for _ in range(30):
        angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * rng.uniform(0.3, 2, (9, 1))
        shape = geometry.Polygon(ring)
        for point in rng.uniform(-2, 2, (40, 2)):
            assert _inside(ring, point) == shape.contains(geometry.Point(point))


def test_the_devkit_opens_it(town: Town, tmp_path: Path) -> None:
    api = pytest.importorskip("nuscenes.map_expansion.map_api")
    write_maps(tmp_path, town)
    opened = api.NuScenesMap(str(tmp_path), "boston-seaport")
    assert [opened.canvas_edge[0], opened.canvas_edge[1]] == [60.0, 70.0]
    layers = ["drivable_area", "lane", "ped_crossing", "walkway", "road_divider"]
    mask = opened.get_map_mask((30, 35, 70, 60), 0, layers, (700, 600))
    # cv2.fillPoly draws the border too: each box is a pixel, 0.1 m, wider and higher.
    areas_m2 = (50.1 * 10.1 + 10.1 * 40, 2 * 40.1 * 4.1, 4.1 * 10.1, 50.1 * 6.1)
    for filled, area_m2 in zip(mask, areas_m2, strict=False):
        assert filled.sum() / 100 == pytest.approx(area_m2)
    assert mask[4, 148:153].any(axis=0)[:400].all()
    token = opened.get_closest_lane(20, 12.5, radius=3)
    assert opened.get_outgoing_lane_ids(token) == [document["token"] for document in opened.lane_connector]
    assert opened.get_closest_lane(46, 14, radius=1) == opened.lane_connector[0]["token"]
    assert opened.layers_on_point(36, 12)["ped_crossing"] == opened.ped_crossing[0]["token"]


def test_the_prior_is_where_one_drives_or_walks(town: Town, tmp_path: Path) -> None:
    mask_of = pytest.importorskip("nuscenes.utils.map_mask")
    picture = semantic_prior(town)
    assert picture.shape == (700, 600)
    assert (picture == 255).mean() * 4200 == pytest.approx(900 + 300, rel=0.02)
    assert write_maps(tmp_path, town) == sum(path.stat().st_size for path in tmp_path.rglob("*.*") if path.is_file())
    mask = mask_of.MapMask(str(tmp_path / map_file(town.location)))
    x, y = np.array([20.0, 45.0, 20.0, 20.0, 55.0]), np.array([12.0, 50.0, 6.0, 40.0, 12.0])
    assert mask.is_on_mask(x, y).tolist() == [True, True, True, False, False]


def test_names_are_those_that_the_devkit_looks_for(town: Town, tmp_path: Path) -> None:
    bitmap = pytest.importorskip("nuscenes.map_expansion.bitmap")
    api = pytest.importorskip("nuscenes.map_expansion.map_api")
    assert set(MAP_NAMES) == set(api.locations)
    write_maps(tmp_path, town)
    assert bitmap.BitMap(str(tmp_path), "boston-seaport", "semantic_prior").image.shape == (700, 600)
    assert (tmp_path / expansion_file("boston-seaport")).is_file()
