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
"""Rows painted at a time; divides `_TILE`."""
_TILE: Final = 512
_KERB_CELLS: Final = 2
_TRACE: Final = 1e-4
"""Less of a cell than this does not show."""
BITS: Final = 10
"""Of each colour of a texel, eight of them used: four texels add up without a carry into the next colour."""
_ONES: Final = 1 | 1 << BITS | 1 << 2 * BITS
_PALETTE: Final = np.array(
    [
        (0.88, 0.88, 0.86),  # marks
        (0.72, 0.71, 0.69),  # kerbs
        (0.37, 0.36, 0.36),  # car parks
        (0.30, 0.30, 0.31),  # asphalt
        (0.56, 0.54, 0.51),  # slabs of walkways
        (0.27, 0.38, 0.16),  # grass
    ],
    np.float32,
)
"""Albedo by what lies over what, from the top down."""

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class GroundRaster:
    """Albedo of the ground from the town's lower corner on, in levels of halved resolution."""

    texels: NDArray[np.uint32]
    """All levels one after the other, rows along x from y = 0 up; red in the lowest `BITS`, then green, then blue."""
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
        return np.stack([np.asarray(cells >> (BITS * k) & 0xFF, np.uint8) for k in range(3)], 1)  # [n, 3]


def ground_of(town: Town) -> GroundRaster:
    """Paint the ground of a town: asphalt, walkways, kerbs, car parks, grass, and all marks on them."""
    unit = 2 ** (LEVELS - 1)
    columns, rows = (-(-round(size / CELL_M) // unit) * unit for size in town.size_m)
    finest = np.empty((rows, columns), np.uint32)
    layers, surfaces = _Layers.of(town), _Surfaces.of(columns)
    for first in range(0, rows, _BAND):
        finest[first : first + _BAND] = layers.band(first, min(_BAND, rows - first), columns, surfaces)
    levels = [finest]
    for _ in range(LEVELS - 1):
        levels.append(_halved(levels[-1]))
    shapes = tuple((level.shape[0], level.shape[1]) for level in levels)
    offsets = np.cumsum([0] + [rows * columns for rows, columns in shapes])[:-1]
    texels = np.concatenate([level.ravel() for level in levels])
    return GroundRaster(texels, tuple(int(offset) for offset in offsets), shapes)


def _halved(level: NDArray[np.uint32]) -> NDArray[np.uint32]:
    rows = level[0::2] + level[1::2]
    total = rows[:, 0::2] + rows[:, 1::2]
    total += np.uint32(2 * _ONES)
    return np.asarray(total >> np.uint32(2) & np.uint32(0xFF * _ONES))


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

    def band(self, first: int, rows: int, columns: int, surfaces: _Surfaces) -> NDArray[np.uint32]:
        """Texels [rows, columns] of some rows, all of one row of noise tiles."""
        part = slice(first % _TILE, first % _TILE + rows)
        near = self.drivable.cover(first - _KERB_CELLS, rows + 2 * _KERB_CELLS, columns)
        drivable = near[_KERB_CELLS : _KERB_CELLS + rows]
        carpark = self.carpark.cover(first, rows, columns)
        walkway = self.walkway.cover(first, rows, columns)
        marks = self.marks.cover(first, rows, columns)
        marks *= 0.86 + 0.14 * surfaces.patches[part]
        np.maximum(marks, 0.6 * self.worn.cover(first, rows, columns), out=marks)
        kerb = np.maximum(_spread(near, _KERB_CELLS)[_KERB_CELLS : _KERB_CELLS + rows], carpark)
        kerb -= np.maximum(drivable, carpark)
        texels = surfaces.plain[-1][part].copy()
        mixed = np.maximum(marks, kerb) > _TRACE
        for cover, plain in zip((walkway, drivable, carpark), surfaces.plain[::-1][1:], strict=True):
            whole = cover > 1 - _TRACE
            np.copyto(texels, plain[part], where=whole)
            mixed |= (cover > _TRACE) & ~whole
        row, column = np.nonzero(mixed)
        covers = [cover[row, column] for cover in (marks, kerb, carpark, drivable, walkway)]
        texels[row, column] = _mixed(covers, surfaces.tones[:, part][:, row, column])
        return texels


def _mixed(covers: list[Float32], tones: Float32) -> NDArray[np.uint32]:
    """Texels [n] of cells where things meet, by their covers [n] from the top down and the surfaces' tones [4, n]."""
    left = np.ones_like(covers[0])
    layers = np.empty((len(_PALETTE), len(left)), np.float32)
    # What lies over what, from the top down: each gets what is left of a cell.
    for layer, cover in zip(layers, covers, strict=False):
        np.multiply(left, cover, out=layer)
        left -= layer
    layers[-1] = left
    layers[2:] *= tones
    return _texels(layers)


def _texels(layers: Float32) -> NDArray[np.uint32]:
    """Texels [...] of shares of the palette's colours [6, ...]."""
    colours = np.tensordot(_PALETTE.T * np.float32(255), layers, 1)  # [3, ...]
    red, green, blue = (colours + np.float32(0.5)).astype(np.uint32)
    return np.asarray(red | green << np.uint32(BITS) | blue << np.uint32(2 * BITS))


@dataclass(frozen=True, eq=False)
class _Surfaces:
    """What car parks, asphalt, walkways and grass look like where nothing else is; repeats every `_TILE` rows."""

    patches: Float32
    """[_TILE, columns], coarse noise, which also wears marks off."""
    tones: Float32
    """[4, _TILE, columns], brightness of the four."""
    plain: tuple[NDArray[np.uint32], ...]
    """Texels [_TILE, columns] of each."""

    @classmethod
    def of(cls, columns: int) -> _Surfaces:
        grain, patches = _noise()
        tone = 0.16 * grain + 0.10 * patches
        slabs = (1 + 0.5 * tone) * _joints()
        tones = np.stack([1 + tone, 1 + tone, slabs, 1 + 0.5 * grain + 0.28 * patches])  # [4, _TILE, _TILE]
        plain = []
        for number, each in enumerate(tones):
            layers = np.zeros((len(_PALETTE), _TILE, _TILE), np.float32)
            layers[2 + number] = each
            plain.append(_texels(layers))
        across = np.arange(columns) % _TILE
        return cls(patches[:, across], tones[..., across], tuple(texels[:, across] for texels in plain))


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


def _joints() -> Float32:
    """Brightness [_TILE, _TILE] of slabs of 0.8 m: darker on the joints between them."""
    lines = np.where(np.arange(_TILE) % 8 == 0, np.float32(0.86), np.float32(1))
    return np.minimum(lines[None], lines[:, None])


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
