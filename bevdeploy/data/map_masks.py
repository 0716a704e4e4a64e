"""Map truth of a keyframe: cells looked up in the index's raster of the location."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.index import MapRaster, SampleIndex
from bevdeploy.errors import DataSetError
from bevdeploy.geometry.frames import Float64, transform
from bevdeploy.geometry.grid import BEVGrid

POLYGON_BITS = {
    "drivable_area": 0,
    "ped_crossing": 1,
    "walkway": 2,
    "stop_line": 3,
    "carpark_area": 4,
    "drivable": 0,
    "crossing": 1,
}
"""Bit of the first plane: BEVFusion's names, then UniAD's."""
LINE_PLANES = {"divider": 1, "boundary": 2}
DISTANCE_STEP_M = 0.1

MAP_CLASSES = (*POLYGON_BITS, *LINE_PLANES)


def map_masks(
    raster: MapRaster | None, classes: Sequence[str], grid: BEVGrid, global_from_bev: Float64
) -> NDArray[np.bool_]:
    """[classes, Y, X] of a grid in the (augmented) BEV frame; all False without a raster, or beyond it.

    An area has the cells whose centre lies in it; a line those whose centre is at most one cell away, so that it is two
    cells wide, as the devkit and BEVFusion draw lines.

    Args:
        raster: of the location.
        classes: of `MAP_CLASSES`.
        grid: its x and y axes.
        global_from_bev: [4, 4], may mirror and scale.

    Raises:
        DataSetError: an unknown class.
    """
    unknown = [name for name in classes if name not in MAP_CLASSES]
    if unknown:
        raise DataSetError(f"no map class {', '.join(unknown)}; there are {', '.join(MAP_CLASSES)}")
    columns, rows, _ = grid.count
    masks = np.zeros((len(classes), rows, columns), bool)
    if raster is None:
        return masks
    x, y = np.meshgrid(grid.centres_m(0), grid.centres_m(1))  # [Y, X]
    points = transform(global_from_bev, np.stack([x, y, np.zeros_like(x)], -1))[..., :2]  # [Y, X, 2]
    cells = np.floor((points - np.asarray(raster.lower_m)) / raster.cell_m).astype(np.int64)
    _, height, width = raster.planes.shape
    known = ((cells >= 0) & (cells < (width, height))).all(-1)
    place = cells[known]
    scale = abs(np.linalg.det(global_from_bev[:3, :3])) ** (1 / 3)  # global metres per BEV metre
    reach = round(max(grid.cell_m[:2]) * scale / DISTANCE_STEP_M, 6)
    planes = {n: raster.planes[n][place[:, 1], place[:, 0]] for n in {_plane(name) for name in classes}}
    for mask, name in zip(masks, classes, strict=True):
        plane = planes[_plane(name)]
        mask[known] = plane <= reach if name in LINE_PLANES else (plane >> POLYGON_BITS[name]) & 1
    return masks


def raster_of(index: SampleIndex, keyframe: int) -> MapRaster | None:
    """The raster of a keyframe's location; None without a map expansion."""
    return index.maps.get(index.scene_of(keyframe).location)


def _plane(name: str) -> int:
    return LINE_PLANES.get(name, 0)
