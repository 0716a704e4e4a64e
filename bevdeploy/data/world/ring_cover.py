"""How much of each cell of a raster lies within closed rings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.scene import Float64

_SCANS: Final = 4
"""Scan lines per row of cells; along a scan line the cover is exact."""


@dataclass(frozen=True, eq=False)
class RingEdges:
    """Edges of rings in cells, turned so that all rings run counter-clockwise."""

    start: Float64
    """[e, 2] column and row."""
    stop: Float64
    """[e, 2]."""

    @classmethod
    def of(cls, rings: Sequence[Float64], cell_m: float) -> RingEdges:
        """Edges of rings [n, 2] in metres; a ring may repeat its first point at its end."""
        starts, stops = [np.zeros((0, 2))], [np.zeros((0, 2))]
        for ring in rings:
            points = np.asarray(ring, np.float64)[:, :2] / cell_m
            following = np.roll(points, -1, 0)
            area = np.sum(points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0])
            starts.append(points if area >= 0 else following)
            stops.append(following if area >= 0 else points)
        return cls(np.concatenate(starts), np.concatenate(stops))

    def cover(self, first_row: int, rows: int, columns: int) -> NDArray[np.float32]:
        """Covered share [rows, columns] of each cell from row `first_row` on; where rings overlap it stays 1."""
        low = np.minimum(self.start[:, 1], self.stop[:, 1])
        high = np.maximum(self.start[:, 1], self.stop[:, 1])
        # Scan line k lies at row (k + 0.5) / _SCANS; an edge meets those with low <= row < high.
        first = np.maximum(np.ceil(low * _SCANS - 0.5), first_row * _SCANS).astype(np.int64)
        last = np.minimum(np.ceil(high * _SCANS - 0.5), (first_row + rows) * _SCANS).astype(np.int64)
        counts = np.maximum(last - first, 0)
        if not counts.any():
            return np.zeros((rows, columns), np.float32)
        edge = np.repeat(np.arange(len(counts)), counts)
        scan = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
        along = ((scan + 0.5) / _SCANS - self.start[edge, 1]) / (self.stop[edge, 1] - self.start[edge, 1])
        x = np.clip(self.start[edge, 0] + along * (self.stop[edge, 0] - self.start[edge, 0]), 0, columns)
        # All right of a downward edge is inside, until an upward edge takes it away again.
        weight = np.where(self.stop[edge, 1] > self.start[edge, 1], -1.0, 1.0) / _SCANS
        column = x.astype(np.int64)
        slot = (scan // _SCANS - first_row) * (columns + 2) + column
        share = weight * (x - column)
        steps = np.bincount(np.append(slot, slot + 1), np.append(weight - share, share), rows * (columns + 2))
        lines = steps.reshape(rows, columns + 2)
        inside = np.cumsum(lines, 1, out=lines)[:, :columns].astype(np.float32)  # [rows, columns]
        np.maximum(inside, 0, out=inside)
        return np.asarray(np.minimum(inside, 1, out=inside))


def strokes(line_m: Float64, width_m: float, dash_m: float = 0.0, gap_m: float = 0.0) -> list[Float64]:
    """Quads [4, 2] that draw a polyline [n, 2] of a width; in dashes where `dash_m` is positive."""
    line = np.asarray(line_m, np.float64)[:, :2]
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    line = line[np.concatenate([[True], lengths > 1e-6])]
    if len(line) < 2:
        return []
    at = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    spans = [(0.0, float(at[-1]))]
    if dash_m > 0:
        spans = [(s, min(s + dash_m, float(at[-1]))) for s in np.arange(0.0, at[-1], dash_m + gap_m)]
    quads = []
    for start, stop in spans:
        stations = np.concatenate([[start], at[(at > start) & (at < stop)], [stop]])
        points = np.stack([np.interp(stations, at, line[:, axis]) for axis in (0, 1)], 1)  # [k, 2]
        for a, b in pairwise(points):
            length = float(np.hypot(*(b - a)))
            if length > 1e-9:
                aside = np.array([a[1] - b[1], b[0] - a[0]]) / length * (width_m / 2)
                quads.append(np.stack([a - aside, b - aside, b + aside, a + aside]))
    return quads
