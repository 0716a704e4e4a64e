"""A small map expansion: slanted roads, holes, overlaps, lines. Its layers are those of nuScenes' files."""

from __future__ import annotations

from typing import Any

import numpy as np

POLYGONS = (
    "drivable_area",
    "road_segment",
    "road_block",
    "lane",
    "ped_crossing",
    "walkway",
    "stop_line",
    "carpark_area",
)
LINES = ("road_divider", "lane_divider", "traffic_light")


class Drawing:
    """Collects nodes, polygons and lines under tokens."""

    def __init__(self) -> None:
        empty: tuple[str, ...] = ("lane_connector", "polygon", "line", "node", *POLYGONS, *LINES)
        self.document: dict[str, Any] = {
            "version": "1.3",
            "canvas_edge": [400.0, 300.0],
            "connectivity": {},
            "arcline_path_3": {},
            **{layer: [] for layer in empty},
        }

    def nodes(self, points: np.ndarray) -> list[str]:
        rows = self.document["node"]
        tokens = [f"n{len(rows) + k}" for k in range(len(points))]
        rows += [{"token": t, "x": float(x), "y": float(y)} for t, (x, y) in zip(tokens, points, strict=True)]
        return tokens

    def polygon(self, layer: str, points: np.ndarray, holes: tuple[np.ndarray, ...] = ()) -> None:
        token = f"p{len(self.document['polygon'])}"
        inner = [{"node_tokens": self.nodes(hole)} for hole in holes]
        self.document["polygon"].append({"token": token, "exterior_node_tokens": self.nodes(points), "holes": inner})
        row: dict[str, Any] = {"token": f"{layer}{len(self.document[layer])}"}
        if layer == "stop_line":
            row |= {
                "stop_line_type": "YIELD",
                "ped_crossing_tokens": [],
                "traffic_light_tokens": [],
                "road_block_token": "",
            }
        if layer == "lane":
            row |= {"left_lane_divider_segments": [], "right_lane_divider_segments": []}
        row |= {"polygon_tokens": [token]} if layer == "drivable_area" else {"polygon_token": token}
        self.document[layer].append(row)

    def line(self, layer: str, points: np.ndarray) -> None:
        token = f"l{len(self.document['line'])}"
        self.document["line"].append({"token": token, "node_tokens": self.nodes(points)})
        self.document[layer].append({"token": f"{layer}{len(self.document[layer])}", "line_token": token})


def rectangle(x: float, y: float, length: float, width: float, angle: float = 0.0) -> np.ndarray:
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (length / 2, width / 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return corners @ turn.T + (x, y)


def map_document() -> dict[str, Any]:
    """About 200 m x 150 m around (150, 120)."""
    drawing = Drawing()
    road, crossing = rectangle(150, 120, 160, 14, 0.3), rectangle(150, 120, 110, 12, 1.7)
    for layer in ("drivable_area", "road_segment"):
        drawing.polygon(layer, road)
        drawing.polygon(layer, crossing)
    drawing.polygon("lane", rectangle(152, 121, 60, 24, 0.3))
    drawing.polygon("drivable_area", rectangle(190, 90, 30, 25, 0.1), (rectangle(190, 90, 9, 7, 0.4),))
    drawing.polygon("carpark_area", rectangle(190, 90, 30, 25, 0.1), (rectangle(190, 90, 9, 7, 0.4),))
    drawing.polygon("ped_crossing", rectangle(165, 125, 5, 14, 0.3))
    drawing.polygon("stop_line", rectangle(160, 123, 3, 6, 0.3))
    drawing.polygon("walkway", rectangle(150, 131, 150, 4, 0.3))
    drawing.polygon("walkway", rectangle(146, 109, 150, 4, 0.3))
    along = np.linspace(-75, 75, 7)[:, None] * [np.cos(0.3), np.sin(0.3)]
    drawing.line("road_divider", along + np.array([150, 120]))
    drawing.line("lane_divider", along[:4] + np.array([149, 123.5]))
    drawing.line("lane_divider", np.array([[120.0, 60.0], [125, 90], [140, 100]]))
    return drawing.document
