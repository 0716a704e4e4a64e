"""`maps/expansion/LOCATION.json`: a town as the devkit's `NuScenesMap` reads it (map expansion 1.3).

Fields and layers are those of nuScenes' map expansion, as `nuscenes.map_expansion.map_api` reads them. Corners that
polygons share are one node. A street's lane inside a `lane` polygon is that lane; every other one, above all those
across intersections, is a `lane_connector` with a strip of its own. Centrelines are arc-line paths of straight pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bevdeploy.data.world.scene import Float64, Lane, Town
from bevdeploy.data.world.tokens import token_of

VERSION = "1.3"
_CUE_M = 6.0
"""A stop line belongs to a crossing whose middle is so close."""
_STRAIGHT_RADIUS_M = 999.999
"""Radius that a straight arc-line path states; its curved parts have no length."""

Row = dict[str, Any]


def map_expansion(town: Town) -> Row:
    """The document of one location's file."""
    shapes = _Shapes(town.location)
    polygons = {name: [_open(ring) for ring in town.polygons.get(name, ())] for name in _POLYGON_LAYERS}
    tokens = {name: [shapes.polygon(ring) for ring in rings] for name, rings in polygons.items()}
    lane_of_polygon = _lanes_of_polygons(town.lanes, polygons["lane"])
    polygon_of_lane = {lane: polygon for polygon, lane in lane_of_polygon.items()}
    lane_tokens = [
        token_of(town.location, "lane", polygon_of_lane[n])
        if n in polygon_of_lane
        else token_of(town.location, "lane_connector", n)
        for n in range(len(town.lanes))
    ]
    connectors = [n for n in range(len(town.lanes)) if n not in polygon_of_lane]

    def rows(layer: str, fields: Any) -> list[Row]:
        return [
            {"token": token_of(town.location, layer, n), "polygon_token": token, **fields(n)}
            for n, token in enumerate(tokens[layer])
        ]

    document: Row = {
        "version": VERSION,
        "canvas_edge": [float(town.size_m[0]), float(town.size_m[1])],
        "drivable_area": [
            {"token": token_of(town.location, "drivable_area", n), "polygon_tokens": [token]}
            for n, token in enumerate(tokens["drivable_area"])
        ],
    }
    document["road_segment"] = rows(
        "road_segment",
        lambda n: {
            "is_intersection": n in town.intersections,
            "drivable_area_token": "",
        },
    )
    document["road_block"] = rows(
        "road_block",
        lambda n: {**_edges(shapes, polygons["road_block"][n], _lane_inside(town, polygons["road_block"][n]))},
    )
    for row, ring in zip(document["road_block"], polygons["road_block"], strict=True):
        row["road_segment_token"] = _containing(document["road_segment"], polygons["road_segment"], ring)
    document["lane"] = rows(
        "lane",
        lambda n: {
            "lane_type": "CAR",
            **_edges(shapes, polygons["lane"][n], town.lanes[lane_of_polygon[n]] if n in lane_of_polygon else None),
            "left_lane_divider_segments": [],
            "right_lane_divider_segments": [],
        },
    )
    document["lane_connector"] = [
        {"token": lane_tokens[n], "polygon_token": shapes.polygon(_strip(town.lanes[n]))} for n in connectors
    ]
    document["ped_crossing"] = rows("ped_crossing", lambda n: {"road_segment_token": ""})
    for row, ring in zip(document["ped_crossing"], polygons["ped_crossing"], strict=True):
        row["road_segment_token"] = _containing(document["road_segment"], polygons["road_segment"], ring)
    document["walkway"] = rows("walkway", lambda n: {})
    document["stop_line"] = rows("stop_line", lambda n: _cue(document, polygons, n))
    document["carpark_area"] = rows("carpark_area", lambda n: {"orientation": 0.0, "road_block_token": ""})
    for layer in _LINE_LAYERS:
        document[layer] = [
            {"token": token_of(town.location, layer, n), "line_token": shapes.line(points), **_line_fields(layer)}
            for n, points in enumerate(town.lines.get(layer, ()))
        ]
    document["traffic_light"] = []
    document["arcline_path_3"] = {
        token: arcline_path(lane) for token, lane in zip(lane_tokens, town.lanes, strict=True)
    }
    document["connectivity"] = _connectivity(town.lanes, lane_tokens)
    document |= {"polygon": shapes.polygons, "line": shapes.lines, "node": shapes.nodes}
    return document


def arcline_path(lane: Lane) -> list[Row]:
    """A centreline as the devkit's arc-line paths, one straight piece per pair of points."""
    starts, steps = lane.centreline_m[:-1], np.diff(lane.centreline_m, axis=0)
    path = []
    for start, step in zip(starts, steps, strict=True):
        length = float(np.hypot(*step))
        if length < 1e-3:
            continue
        yaw = float(np.arctan2(step[1], step[0]))
        path.append(
            {
                "start_pose": [float(start[0]), float(start[1]), yaw],
                "end_pose": [float(start[0] + step[0]), float(start[1] + step[1]), yaw],
                "shape": "LSL",
                "radius": _STRAIGHT_RADIUS_M,
                "segment_length": [0.0, length, 0.0],
            }
        )
    return path


_POLYGON_LAYERS = (
    "drivable_area",
    "road_segment",
    "road_block",
    "lane",
    "ped_crossing",
    "walkway",
    "stop_line",
    "carpark_area",
)
_LINE_LAYERS = ("road_divider", "lane_divider")


@dataclass
class _Shapes:
    """The three geometric layers, filled as other layers ask for shapes."""

    location: str
    nodes: list[Row] = field(default_factory=list)
    lines: list[Row] = field(default_factory=list)
    polygons: list[Row] = field(default_factory=list)
    _node_tokens: dict[tuple[float, float], str] = field(default_factory=dict)

    def node(self, point: Float64) -> str:
        """Token of the node at a point, millimetres apart at least."""
        key = round(float(point[0]), 3) + 0.0, round(float(point[1]), 3) + 0.0
        if key not in self._node_tokens:
            self._node_tokens[key] = token_of(self.location, "node", len(self.nodes))
            self.nodes.append({"token": self._node_tokens[key], "x": key[0], "y": key[1]})
        return self._node_tokens[key]

    def line(self, points: Float64) -> str:
        token = token_of(self.location, "line", len(self.lines))
        self.lines.append({"token": token, "node_tokens": [self.node(point) for point in points]})
        return token

    def polygon(self, ring: Float64) -> str:
        token = token_of(self.location, "polygon", len(self.polygons))
        nodes = [self.node(point) for point in ring]
        self.polygons.append({"token": token, "exterior_node_tokens": nodes, "holes": []})
        return token


def _open(ring: Float64) -> Float64:
    """A ring [n, 2] without its first point again at the end."""
    return ring[:-1] if len(ring) > 3 and np.allclose(ring[0], ring[-1]) else ring


def _middle(lane: Lane) -> Float64:
    """The point [2] halfway along a lane."""
    steps = np.hypot(*np.diff(lane.centreline_m, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    return np.array([np.interp(along[-1] / 2, along, column) for column in lane.centreline_m.T])


def _inside(ring: Float64, point: Float64) -> bool:
    """Whether a point is inside a ring [n, 2]: an odd number of edges to its right."""
    ahead = np.roll(ring, -1, axis=0)
    crosses = (ring[:, 1] > point[1]) != (ahead[:, 1] > point[1])
    rise = np.where(crosses, ahead[:, 1] - ring[:, 1], 1.0)
    x = ring[:, 0] + (point[1] - ring[:, 1]) / rise * (ahead[:, 0] - ring[:, 0])
    return bool((crosses & (x > point[0])).sum() % 2)


def _lanes_of_polygons(lanes: tuple[Lane, ...], rings: list[Float64]) -> dict[int, int]:
    """Lane by `lane` polygon: of a street's lanes whose middle is inside, the one nearest to the polygon's middle."""
    found: dict[int, int] = {}
    free = {n: _middle(lane) for n, lane in enumerate(lanes) if lane.intersection < 0}
    for n, ring in enumerate(rings):
        inside = [lane for lane, middle in free.items() if _inside(ring, middle)]
        if inside:
            found[n] = _nearest(inside, free, ring.mean(0))
            del free[found[n]]
    return found


def _nearest(lanes: list[int], middles: dict[int, Float64], point: Float64) -> int:
    return min(lanes, key=lambda lane: float(np.hypot(*(middles[lane] - point))))


def _lane_inside(town: Town, ring: Float64) -> Lane | None:
    return next((lane for lane in town.lanes if _inside(ring, _middle(lane))), None)


def _edges(shapes: _Shapes, ring: Float64, lane: Lane | None) -> Row:
    """The edges across which a lane or block is entered and left: those nearest to the ends of its centreline."""
    ahead = np.roll(ring, -1, axis=0)
    middles = (ring + ahead) / 2
    if lane is None:
        lengths = np.hypot(*(ahead - ring).T)
        enter, leave = (int(n) for n in np.argsort(lengths, kind="stable")[:2])
    else:
        enter, leave = (int(np.argmin(np.hypot(*(middles - end).T))) for end in lane.centreline_m[[0, -1]])
    return {
        f"{name}_edge_line_token": shapes.line(np.stack([ring[edge], ahead[edge]]))
        for name, edge in (("from", enter), ("to", leave))
    }


def _strip(lane: Lane) -> Float64:
    """Ring [2n, 2] around a centreline, as wide as its lane."""
    along = np.gradient(lane.centreline_m, axis=0)
    along /= np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    left = np.stack([-along[:, 1], along[:, 0]], axis=1) * lane.width_m / 2
    return np.concatenate([lane.centreline_m + left, (lane.centreline_m - left)[::-1]])


def _containing(rows: list[Row], rings: list[Float64], ring: Float64) -> str:
    """Token of the row whose ring holds the middle of another; '' where none does."""
    centre = ring.mean(0)
    return next((str(row["token"]) for row, outer in zip(rows, rings, strict=True) if _inside(outer, centre)), "")


def _cue(document: Row, polygons: dict[str, list[Float64]], n: int) -> Row:
    """What a stop line is for: the crossing before it, else a stop sign."""
    centre = polygons["stop_line"][n].mean(0)
    distances = [float(np.hypot(*(ring.mean(0) - centre))) for ring in polygons["ped_crossing"]]
    near = [document["ped_crossing"][k]["token"] for k, distance in enumerate(distances) if distance < _CUE_M]
    return {
        "stop_line_type": "PED_CROSSING" if near else "STOP_SIGN",
        "ped_crossing_tokens": near,
        "traffic_light_tokens": [],
        "road_block_token": _containing(document["road_block"], polygons["road_block"], polygons["stop_line"][n]),
    }


def _line_fields(layer: str) -> Row:
    return {"road_segment_token": ""} if layer == "road_divider" else {"lane_divider_segments": []}


def _connectivity(lanes: tuple[Lane, ...], tokens: list[str]) -> dict[str, dict[str, list[str]]]:
    links: dict[str, dict[str, list[str]]] = {token: {"incoming": [], "outgoing": []} for token in tokens}
    for lane, token in zip(lanes, tokens, strict=True):
        for successor in lane.successors:
            links[token]["outgoing"].append(tokens[successor])
            links[tokens[successor]]["incoming"].append(token)
    return links
