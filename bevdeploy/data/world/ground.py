"""The ground of a town, painted once: a raster of 0.1 m cells with mip levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.ring_cover import RingEdges, strokes
from bevdeploy.data.world.scene import Float64, Town

CELL_M: Final = 0.1
LEVELS: Final = 7
"""Mip levels; a cell of the last is 6.4 m wide."""

_BAND: Final = 32
"""Rows painted at a time; a power of two."""
_TILE: Final = 512
_KERB_CELLS: Final = 2
_PALETTE: Final = np.array(
    [
        (0.88, 0.88, 0.86, 0.0),  # marks
        (0.72, 0.71, 0.69, 0.0),  # kerbs
        (0.37, 0.36, 0.36, 0.0),  # car parks
        (0.30, 0.30, 0.31, 0.0),  # asphalt
        (0.56, 0.54, 0.51, 0.0),  # slabs of walkways
        (0.27, 0.38, 0.16, 0.0),  # grass
    ],
    np.float32,
)
"""Albedo by what lies over what, from the top down."""

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class GroundRaster:
    """Albedo of the ground from the town's lower corner on, in levels of halved resolution."""

    texels: NDArray[np.uint32]
    """All levels one after the other, rows along x from y = 0 up, as 0x00BBGGRR."""
    offsets: tuple[int, ...]
    """[LEVELS], where each level begins."""
    shapes: tuple[tuple[int, int], ...]
    """[LEVELS], rows and columns of each level."""

    def colours_at(self, xy_m: Float64) -> NDArray[np.uint8]:
        """RGB [n, 3] of the finest cells that hold points [n, 2]; beyond the edge, that of the nearest cell."""
        rows, columns = self.shapes[0]
        column = np.clip(np.floor(xy_m[:, 0] / CELL_M), 0, columns - 1).astype(np.intp)
        row = np.clip(np.floor(xy_m[:, 1] / CELL_M), 0, rows - 1).astype(np.intp)
        cells = self.texels[row * columns + column]
        return np.asarray(cells.view(np.uint8).reshape(-1, 4)[:, :3])  # [n, 3]


def ground_of(town: Town) -> GroundRaster:
    """Paint the ground of a town: asphalt, walkways, kerbs, car parks, grass, and all marks on them."""
    unit = 2 ** (LEVELS - 1)
    columns, rows = (-(-round(size / CELL_M) // unit) * unit for size in town.size_m)
    finest = np.empty((rows, columns, 4), np.uint8)
    layers, noise = _Layers.of(town), _noise()
    for first in range(0, rows, _BAND):
        finest[first : first + _BAND] = layers.band(first, min(_BAND, rows - first), columns, noise)
    levels = [finest]
    for _ in range(LEVELS - 1):
        levels.append(_halved(levels[-1]))
    shapes = tuple((level.shape[0], level.shape[1]) for level in levels)
    offsets = np.cumsum([0] + [rows * columns for rows, columns in shapes])[:-1]
    texels = np.concatenate([level.view(np.uint32).ravel() for level in levels])
    return GroundRaster(texels, tuple(int(offset) for offset in offsets), shapes)


def _halved(level: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows = level[0::2].astype(np.uint16) + level[1::2]
    return np.asarray((rows[:, 0::2] + rows[:, 1::2] + 2) >> 2, np.uint8)


@dataclass(frozen=True, eq=False)
class _Layers:
    drivable: RingEdges
    walkway: RingEdges
    carpark: RingEdges
    marks: RingEdges
    worn: RingEdges
    """Thin marks that are half worn off: parking places."""

    @classmethod
    def of(cls, town: Town) -> _Layers:
        marks: list[Float64] = list(town.polygons.get("stop_line", ()))
        for line in town.lines.get("road_divider", ()):
            marks += strokes(line, 0.16)
        for line in town.lines.get("lane_divider", ()):
            marks += strokes(line, 0.14, 3.0, 3.0)
        for crossing in town.polygons.get("ped_crossing", ()):
            marks += zebra(crossing)
        worn = [quad for x, y, yaw in town.parking for quad in _bay(float(x), float(y), float(yaw))]
        rings = [town.polygons.get(name, ()) for name in ("drivable_area", "walkway", "carpark_area")]
        return cls(*(RingEdges.of(layer, CELL_M) for layer in (*rings, marks, worn)))

    def band(self, first: int, rows: int, columns: int, noise: tuple[Float32, Float32]) -> NDArray[np.uint8]:
        """Colours [rows, columns, 4] of some rows."""
        across = np.arange(columns) % _TILE
        along = (np.arange(rows) + first) % _TILE
        grain, patches = (tile[along][:, across] for tile in noise)
        near = self.drivable.cover(first - _KERB_CELLS, rows + 2 * _KERB_CELLS, columns)
        drivable = near[_KERB_CELLS : _KERB_CELLS + rows]
        carpark = self.carpark.cover(first, rows, columns)
        walkway = self.walkway.cover(first, rows, columns)
        marks = self.marks.cover(first, rows, columns)
        marks *= 0.86 + 0.14 * patches
        np.maximum(marks, 0.6 * self.worn.cover(first, rows, columns), out=marks)
        kerb = np.maximum(_spread(near, _KERB_CELLS)[_KERB_CELLS : _KERB_CELLS + rows], carpark)
        kerb -= np.maximum(drivable, carpark)
        # What lies over what, from the top down: each gets what is left of a cell.
        left = np.ones_like(marks)
        layers = np.empty((len(_PALETTE), rows, columns), np.float32)
        for layer, cover in zip(layers, (marks, kerb, carpark, drivable, walkway), strict=False):
            np.multiply(left, cover, out=layer)
            left -= layer
        layers[-1] = left
        tone = 0.16 * grain + 0.10 * patches
        layers[2] *= 1 + tone
        layers[3] *= 1 + tone
        layers[4] *= (1 + 0.5 * tone) * _joints(first, rows, columns)
        layers[5] *= 1 + 0.5 * grain + 0.28 * patches
        colours = layers.reshape(len(_PALETTE), -1).T @ (_PALETTE * 255)  # [rows * columns, 4]
        return (colours + 0.5).astype(np.uint8).reshape(rows, columns, 4)


def zebra(ring_m: Float64) -> list[Float64]:
    """Stripes [4, 2] of a four-cornered crossing: 0.5 m wide, 0.5 m apart, along the street."""
    corners = np.asarray(ring_m, np.float64)[:4, :2]
    sides = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)
    # People walk along the longer sides.
    a, b, c, d = corners if sides[0] + sides[2] >= sides[1] + sides[3] else np.roll(corners, -1, 0)
    length = float(np.linalg.norm((b + c - a - d) / 2))
    count = max(1, int(length))
    quads = []
    for k in range(count):
        start, stop = (k + 0.25) / count, (k + 0.75) / count
        quads.append(np.stack([a + (b - a) * start, a + (b - a) * stop, d + (c - d) * stop, d + (c - d) * start]))
    return quads


def _bay(x: float, y: float, yaw: float) -> list[Float64]:
    """The four marks around a parking place of 5.4 m x 2.3 m."""
    along = np.array([np.cos(yaw), np.sin(yaw)]) * 2.7
    aside = np.array([-np.sin(yaw), np.cos(yaw)]) * 1.15
    middle = np.array([x, y])
    corners = [middle + along + aside, middle - along + aside, middle - along - aside, middle + along - aside]
    return [quad for k in range(4) for quad in strokes(np.stack([corners[k], corners[(k + 1) % 4]]), 0.1)]


def _spread(cover: Float32, cells: int) -> Float32:
    """The largest cover within so many cells along and across."""
    for axis in (0, 1):
        source = np.moveaxis(cover, axis, 0)
        grown = source.copy()
        for step in range(1, cells + 1):
            np.maximum(grown[step:], source[:-step], out=grown[step:])
            np.maximum(grown[:-step], source[step:], out=grown[:-step])
        cover = np.moveaxis(grown, 0, axis)
    return cover


def _joints(first: int, rows: int, columns: int) -> Float32:
    """Brightness [rows, columns] of slabs of 0.8 m: darker on the joints between them."""
    across = np.where(np.arange(columns) % 8 == 0, np.float32(0.86), np.float32(1))
    along = np.where((np.arange(rows) + first) % 8 == 0, np.float32(0.86), np.float32(1))
    return np.minimum(across[None], along[:, None])


def _noise() -> tuple[Float32, Float32]:
    """Fine and coarse noise [_TILE, _TILE], about -1..1, that repeats without a seam."""
    rng = np.random.default_rng(20)
    grain = rng.uniform(-1, 1, (_TILE, _TILE)).astype(np.float32)
    patches = np.zeros((_TILE, _TILE), np.float32)
    for cells in (8, 32):
        spectrum = np.fft.rfft2(rng.normal(size=(_TILE, _TILE)))
        rows, columns = np.fft.fftfreq(_TILE)[:, None] * cells * 4, np.fft.rfftfreq(_TILE)[None] * cells * 4
        smooth = np.fft.irfft2(spectrum * np.exp(-(rows**2 + columns**2)), (_TILE, _TILE))
        patches += (smooth / np.abs(smooth).max() / 2).astype(np.float32)
    return grain, patches
