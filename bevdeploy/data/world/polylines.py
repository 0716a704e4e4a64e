"""Polylines [n, 2] of the plane: lengths, parts, parallels, smooth joints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.scene import Float64


def lengths_along(line: Float64) -> Float64:
    """Distance of each vertex from the first, along the line; [n]."""
    steps = np.hypot(*np.diff(line, axis=0).T)  # [n - 1]
    return np.concatenate([[0.0], np.cumsum(steps)])


def length_of(line: Float64) -> float:
    """Length of the whole line."""
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def points_at(line: Float64, at_m: Float64) -> Float64:
    """Points [k, 2] at these lengths along the line; beyond its ends the end points."""
    along = lengths_along(line)
    return np.stack([np.interp(at_m, along, line[:, 0]), np.interp(at_m, along, line[:, 1])], axis=-1)  # [k, 2]


def part_of(line: Float64, from_m: float, to_m: float) -> Float64:
    """The line between two lengths along it, with the vertices in between."""
    along = lengths_along(line)
    inner = along[(along > from_m + 1e-6) & (along < to_m - 1e-6)]
    return points_at(line, np.concatenate([[from_m], inner, [to_m]]))


def resampled(line: Float64, step_m: float) -> Float64:
    """The line with vertices at equal distances of about `step_m`; its ends stay."""
    total = length_of(line)
    return points_at(line, np.linspace(0.0, total, max(2, round(total / step_m) + 1)))


def tangents_of(line: Float64) -> Float64:
    """Unit direction at each vertex, [n, 2]: the mean of the two pieces beside it."""
    pieces = np.diff(line, axis=0)
    pieces = pieces / np.maximum(np.hypot(*pieces.T), 1e-9)[:, None]  # [n - 1, 2]
    sums = np.concatenate([pieces[:1], pieces[:-1] + pieces[1:], pieces[-1:]])  # [n, 2]
    return np.asarray(sums / np.maximum(np.hypot(*sums.T), 1e-9)[:, None])


def parallel(line: Float64, left_m: float) -> Float64:
    """The line shifted by `left_m` to its left, vertex by vertex."""
    tangents = tangents_of(line)
    return np.asarray(line + left_m * np.stack([-tangents[:, 1], tangents[:, 0]], axis=-1))  # [n, 2]


def ring_between(line: Float64, left_a_m: float, left_b_m: float) -> Float64:
    """Ring between two parallels of a line."""
    return np.concatenate([parallel(line, left_a_m), parallel(line, left_b_m)[::-1]])


def joint(start: Float64, out: Float64, end: Float64, into: Float64, pieces: int = 12) -> Float64:
    """A smooth curve [pieces + 1, 2] that leaves `start` along `out` and arrives at `end` along `into` (unit vectors).

    A cubic Bézier curve whose handles are those of the circular arc where both tangent lengths are equal
    (4/3 tan(angle / 4) radii).
    """
    chord = end - start
    sine = float(out[0] * into[1] - out[1] * into[0])
    angle = abs(float(np.arctan2(sine, out @ into)))
    handles = np.full(2, np.hypot(*chord) / 3)
    if angle > 0.3:
        # start + a * out = end - b * into
        a = (chord[0] * into[1] - chord[1] * into[0]) / sine
        b = (out[0] * chord[1] - out[1] * chord[0]) / sine
        if a > 0 and b > 0:
            handles = 4 / 3 * np.tan(angle / 4) / np.tan(angle / 2) * np.array([a, b])
    t = np.linspace(0.0, 1.0, pieces + 1)[:, None]  # [pieces + 1, 1]
    first, second = start + handles[0] * out, end - handles[1] * into
    curve = (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * first + 3 * (1 - t) * t**2 * second + t**3 * end
    return np.asarray(curve)  # [pieces + 1, 2]


def chained(*lines: Float64) -> Float64:
    """One line of several that follow each other; points that coincide are left out."""
    points = np.concatenate(lines)
    apart = np.concatenate([[True], np.hypot(*np.diff(points, axis=0).T) > 1e-6])
    return np.asarray(points[apart])


def distance_between(one: Float64, other: Float64) -> float:
    """Least distance of two sets of points."""
    return float(np.hypot(*(one[:, None] - other[None]).reshape(-1, 2).T).min())


def inside(ring: Float64, points: Float64) -> NDArray[np.bool_]:
    """Which points [k, 2] lie within a ring (even-odd rule)."""
    x, y = points[:, 0, None], points[:, 1, None]  # [k, 1]
    x0, y0 = ring.T
    x1, y1 = np.roll(ring, -1, axis=0).T
    with np.errstate(divide="ignore", invalid="ignore"):
        crosses = ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))  # [k, n]
    return np.asarray(crosses.sum(axis=1) % 2 == 1)
