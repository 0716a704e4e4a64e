"""Map expansion of one location to a raster, from the plain JSON file. Needs cv2 and shapely, which the devkit brings.

Layers, tokens and lines are those of nuScenes' map expansion 1.3. A divider is a road_divider or lane_divider line; the
boundary is the contour of the union of road_segment and lane polygons, as in UniAD.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bevdeploy.data.index import MapRaster
from bevdeploy.errors import DataSetError, MissingDependencyError
from bevdeploy.geometry.frames import Float64

POLYGON_LAYERS = ("drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area")
"""In the order of their bits in the first plane."""
DIVIDER_LAYERS = ("road_divider", "lane_divider")
BOUNDARY_LAYERS = ("road_segment", "lane")
CELL_M = 0.2
STEP_M = 0.1
"""Unit of the distance planes."""
FARTHEST = 255
"""Distances of 25.5 m and more."""
FINER = 3
"""Polygons and lines are drawn on cells of a third, and the middle one is kept."""
MAX_CELLS = 2**30
"""43 square kilometres; nuScenes' largest map has 6.3."""
TILE = 1024
"""Cells along a tile's side, so that a city fits in memory."""
SUBPIXEL_BITS = 8

Ring = Float64
"""[n, 2] global x, y."""


def expansion_path(root: Path, location: str) -> Path:
    """Where a location's map expansion lies, if there is one."""
    return root / "maps" / "expansion" / f"{location}.json"


def raster_of_location(
    path: Path, lower_m: ArrayLike, upper_m: ArrayLike, progress: Callable[[int, int], None] = lambda done, total: None
) -> MapRaster | None:
    """The raster of a map expansion between two corners (x, y); None where the file does not exist.

    Raises:
        DataSetError: the file is damaged, or the corners are too far apart for one map.
        MissingDependencyError: cv2 or shapely is not installed.
    """
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        polygons, dividers, boundaries = shapes_of_expansion(document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataSetError(
            f"{path}: cannot be read as a map expansion ({type(error).__name__}: {error}); unpack the map expansion "
            "again, or remove the file to go without map truth"
        ) from error
    low = np.floor(np.asarray(lower_m, np.float64) / CELL_M) * CELL_M
    columns, rows = (int(n) for n in np.ceil((np.asarray(upper_m) - low) / CELL_M))
    if rows * columns > MAX_CELLS:
        raise DataSetError(
            f"{path}: poses of this location are {columns * CELL_M:.0f} x {rows * CELL_M:.0f} m apart, which is no "
            "drive through one map; unpack the metadata archive again"
        )
    planes = np.zeros((3, rows, columns), np.uint8)
    corners = [(top, left) for top in range(0, rows, TILE) for left in range(0, columns, TILE)]
    for n, (top, left) in enumerate(corners):
        part = planes[:, top : top + TILE, left : left + TILE]
        tile_low = low + CELL_M * np.array([left, top])
        for bit, layer in enumerate(POLYGON_LAYERS):
            part[0] |= _filled(polygons[layer], tile_low, part.shape[1:]) << bit
        part[1] = _distances(dividers, tile_low, part.shape[1:])
        part[2] = _distances(boundaries, tile_low, part.shape[1:])
        progress(n + 1, len(corners))
    return MapRaster(planes, (float(low[0]), float(low[1])), CELL_M)


def shapes_of_expansion(document: Mapping[str, Any]) -> tuple[dict[str, list[list[Ring]]], list[Ring], list[Ring]]:
    """Polygons by layer (each its exterior, then its holes), divider lines and boundary lines.

    Raises:
        KeyError: a layer or a token is missing.
        ValueError: a node is nowhere, or a polygon has a shape that is none.
        MissingDependencyError: shapely is not installed.
    """
    shapely = _library("shapely")
    nodes = {row["token"]: (float(row["x"]), float(row["y"])) for row in document["node"]}
    nowhere = [token for token, place in nodes.items() if not np.isfinite(place).all()]
    if nowhere:
        raise ValueError(f"node {nowhere[0]} is at {nodes[nowhere[0]]}")
    rings = {row["token"]: _rings(row, nodes) for row in document["polygon"]}
    lines = {row["token"]: np.array([nodes[key] for key in row["node_tokens"]]) for row in document["line"]}
    polygons = {layer: [rings[key] for key in _polygon_tokens(document[layer])] for layer in POLYGON_LAYERS}
    dividers = [lines[row["line_token"]] for layer in DIVIDER_LAYERS for row in document[layer] if row["line_token"]]
    areas = [rings[key] for layer in BOUNDARY_LAYERS for key in _polygon_tokens(document[layer])]
    try:
        union = shapely.unary_union([shapely.Polygon(outer, holes).buffer(0) for outer, *holes in areas])
    except shapely.errors.ShapelyError as error:
        raise ValueError(str(error)) from error
    parts = getattr(union, "geoms", [union])
    boundaries = [
        np.asarray(ring.coords)[:, :2]
        for part in parts
        if part.geom_type == "Polygon" and not part.is_empty
        for ring in (part.exterior, *part.interiors)
    ]
    return polygons, [line for line in dividers if len(line) > 1], boundaries


def _polygon_tokens(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return [
        key for row in rows for key in (row["polygon_tokens"] if "polygon_tokens" in row else [row["polygon_token"]])
    ]


def _rings(row: Mapping[str, Any], nodes: Mapping[str, tuple[float, float]]) -> list[Ring]:
    outer = np.array([nodes[key] for key in row["exterior_node_tokens"]]).reshape(-1, 2)  # [n, 2]
    holes = [np.array([nodes[key] for key in hole["node_tokens"]]) for hole in row.get("holes", [])]
    return [outer, *(hole for hole in holes if len(hole) > 2)]


def _filled(polygons: list[list[Ring]], low_m: Float64, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """[rows, columns] 1 where a cell's centre lies in a polygon."""
    cv2 = _library("cv2")
    high_m = low_m + CELL_M * np.array([shape[1], shape[0]])
    inside = np.zeros((shape[0] * FINER, shape[1] * FINER), np.uint8)
    for rings in polygons:
        if _reaches(rings[0], low_m, high_m):
            cv2.fillPoly(inside, [_pixels(ring, low_m, CELL_M / FINER) for ring in rings], 1, shift=SUBPIXEL_BITS)
    return inside[FINER // 2 :: FINER, FINER // 2 :: FINER]


def _distances(lines: list[Ring], low_m: Float64, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """[rows, columns] distance of cell centres to the nearest line in steps of `STEP_M`, up to `FARTHEST`."""
    cv2 = _library("cv2")
    cell_m = CELL_M / FINER
    rim = int(np.ceil(FARTHEST * STEP_M / CELL_M)) + 1
    rim_m = rim * CELL_M
    high_m = low_m + CELL_M * np.array([shape[1], shape[0]])
    near = [line for line in lines if _reaches(line, low_m - rim_m, high_m + rim_m)]
    if not near:
        return np.full(shape[:2], FARTHEST, np.uint8)
    free = np.ones(((shape[0] + 2 * rim) * FINER, (shape[1] + 2 * rim) * FINER), np.uint8)
    cv2.polylines(free, [_pixels(line, low_m - rim_m, cell_m) for line in near], False, 0, 1, shift=SUBPIXEL_BITS)
    distance = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    centres = distance[FINER // 2 :: FINER, FINER // 2 :: FINER][rim:-rim, rim:-rim]
    return np.asarray(np.minimum(np.rint(centres * (cell_m / STEP_M)), FARTHEST), np.uint8)


def _reaches(points: Ring, low_m: Float64, high_m: Float64) -> bool:
    return bool(len(points) and (points.max(0) >= low_m).all() and (points.min(0) <= high_m).all())


def _pixels(points: Ring, low_m: Float64, cell_m: float) -> NDArray[np.int32]:
    """Pixel coordinates, whose integers are pixel centres, with `SUBPIXEL_BITS` binary digits."""
    pixels = (points - low_m) / cell_m - 0.5
    return np.asarray(np.rint(np.clip(pixels, -1e6, 1e6) * (1 << SUBPIXEL_BITS)), np.int32)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(f"map rasters need {name} ({error}): pip install 'bevdeploy[nuscenes]'") from error
