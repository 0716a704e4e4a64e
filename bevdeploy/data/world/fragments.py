"""Which face every pixel shows: rows of faces, their pixels, and the nearest of them, without a loop over solids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.faces import Faces
from bevdeploy.data.world.scene import Float64
from bevdeploy.data.world.view import NEAR_M, Float32, View


@dataclass(frozen=True, eq=False)
class Spans:
    """Pixels `start` to `stop` - 1 of a row that a face covers."""

    face: NDArray[np.intp]
    """[s]."""
    row: NDArray[np.intp]
    start: NDArray[np.intp]
    stop: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.face)

    def cover(self, height_px: int, width_px: int) -> NDArray[np.bool_]:
        """Which pixels of an image lie in any span, [height_px * width_px]."""
        steps = np.zeros(height_px * width_px + 1, np.int32)
        np.add.at(steps, self.row * width_px + self.start, 1)
        np.add.at(steps, self.row * width_px + self.stop, -1)
        return np.asarray(np.cumsum(steps[:-1], dtype=np.int32) > 0)


def joined_spans(one: Spans, other: Spans) -> Spans:
    """One after the other."""
    return Spans(
        np.concatenate([one.face, other.face]),
        np.concatenate([one.row, other.row]),
        np.concatenate([one.start, other.start]),
        np.concatenate([one.stop, other.stop]),
    )


def polygon_spans(corners_m: Float64, edges: NDArray[np.intp], view: View) -> Spans:
    """Rows of the convex hulls of points [m, k, 3] in the camera frame; `edges` [e, 2] contain the hull's own.

    What lies nearer than `NEAR_M` is cut off.
    """
    m = len(corners_m)
    a, b = corners_m[:, edges[:, 0]], corners_m[:, edges[:, 1]]  # [m, e, 3]
    seen_a, seen_b = a[..., 2] >= NEAR_M, b[..., 2] >= NEAR_M
    if not (seen_a.all() and seen_b.all()):
        share = (NEAR_M - a[..., 2]) / np.where(seen_a != seen_b, b[..., 2] - a[..., 2], 1)
        cut = a + (b - a) * share[..., None]
        entering, leaving = ~seen_a & seen_b, seen_a & ~seen_b
        a, b = np.where(entering[..., None], cut, a), np.where(leaving[..., None], cut, b)
        # The cut's own edge closes the polygon; where nothing was cut it has no length.
        each = np.arange(m)
        close_a = cut[each, entering.argmax(1)][:, None]
        close_b = np.where(entering.any(1)[:, None, None], cut[each, leaving.argmax(1)][:, None], close_a)
        a, b = np.concatenate([a, close_a], 1), np.concatenate([b, close_b], 1)  # [m, e + 1, 3]
        cuts = entering.any(1, keepdims=True)
        visible = np.concatenate([seen_a | seen_b, cuts], 1)
    else:
        visible = np.ones(a.shape[:2], bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        ua, va = _pixels(a, view)
        ub, vb = _pixels(b, view)
    va, vb = np.where(visible, va, np.inf), np.where(visible, vb, np.inf)
    top = np.minimum(va, vb).min(1, initial=np.inf)
    bottom = np.where(visible, np.maximum(va, vb), -np.inf).max(1, initial=-np.inf)
    first = np.clip(np.ceil(top), 0, view.height_px).astype(np.intp)
    last = np.clip(np.ceil(bottom), 0, view.height_px).astype(np.intp)
    face, row = _rows(first, last)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(va != vb, (ub - ua) / (vb - va), 0)
        offset = ua - slope * va
        va, vb, v = va[face], vb[face], row[:, None]  # [s, e]
        u = offset[face] + slope[face] * v
        crossed = (va <= v) != (vb <= v)
        left = np.where(crossed, u, np.inf).min(1, initial=np.inf)
        right = np.where(crossed, u, -np.inf).max(1, initial=-np.inf)
    return _spans(face, row, left, right, view)


def ball_spans(outline: Float64, first_face: int, view: View) -> Spans:
    """Rows of ellipsoids [n, 3, 3], as `Faces.outline` has them."""
    # The highest and the lowest row are where the quadratic in u has one root.
    m = outline
    a = m[:, 0, 1] ** 2 - m[:, 0, 0] * m[:, 1, 1]
    b = m[:, 0, 1] * m[:, 0, 2] - m[:, 0, 0] * m[:, 1, 2]
    c = m[:, 0, 2] ** 2 - m[:, 0, 0] * m[:, 2, 2]
    half = np.sqrt(np.maximum(b * b - a * c, 0)) / np.maximum(-a, 1e-300)
    middle = b / np.maximum(-a, 1e-300)
    first = np.clip(np.ceil(middle - half), 0, view.height_px).astype(np.intp)
    last = np.clip(np.floor(middle + half) + 1, 0, view.height_px).astype(np.intp)
    ball, row = _rows(first, last)
    m = m[ball]
    linear = m[:, 0, 1] * row + m[:, 0, 2]
    constant = (m[:, 1, 1] * row + 2 * m[:, 1, 2]) * row + m[:, 2, 2]
    root = np.sqrt(np.maximum(linear**2 - m[:, 0, 0] * constant, 0))
    left, right = (linear - root) / -m[:, 0, 0], (linear + root) / -m[:, 0, 0]
    return _spans(ball + first_face, row, left, right, view)


def _pixels(points: Float64, view: View) -> tuple[Float64, Float64]:
    """Columns and rows of points [..., 3] in the camera frame."""
    image = points @ view.K.T
    return image[..., 0] / image[..., 2], image[..., 1] / image[..., 2]


def _rows(first: NDArray[np.intp], last: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which face, and which row, for all rows from `first` to `last` - 1 of each."""
    counts = np.maximum(last - first, 0)
    face = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(len(face)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    return face, row


def _spans(face: NDArray[np.intp], row: NDArray[np.intp], left: Float64, right: Float64, view: View) -> Spans:
    start = np.ceil(np.clip(left, 0, view.width_px)).astype(np.intp)
    stop = np.ceil(np.clip(right, 0, view.width_px)).astype(np.intp)
    some = stop > start
    return Spans(face[some], row[some], start[some], stop[some])


QUAD_EDGES = np.array([[0, 1], [1, 2], [2, 3], [3, 0]])


@dataclass(frozen=True, eq=False)
class Visible:
    """The pixels that show a solid."""

    pixel: NDArray[np.intp]
    """[p], ascending."""
    span: NDArray[np.intp]
    """[p], which span is nearest there."""
    inverse_depth: Float32
    """[p]."""


def spans_of(faces: Faces, view: View) -> Spans:
    """Rows of all faces, in their order."""
    quads = polygon_spans(faces.corners_m, QUAD_EDGES, view)
    return joined_spans(quads, ball_spans(faces.outline, len(faces.corners_m), view))


def nearest(faces: Faces, spans: Spans, view: View) -> Visible:
    """The nearest span of every pixel that any span covers."""
    counts = spans.stop - spans.start
    first = np.cumsum(counts) - counts
    number = np.repeat(np.arange(len(spans)), counts)
    pixel = np.arange(len(number))
    steps = pixel.astype(np.float32)  # whole below 2^24
    steps -= np.repeat(first.astype(np.float32), counts)
    pixel += np.repeat(spans.row * view.width_px + spans.start - first, counts)
    slope = faces.depth[spans.face, 0]
    start = slope * spans.start + faces.depth[spans.face, 1] * spans.row + faces.depth[spans.face, 2]
    inverse = np.repeat(slope.astype(np.float32), counts)
    inverse *= steps
    inverse += np.repeat(start.astype(np.float32), counts)
    first_ball = int(np.searchsorted(spans.face, len(faces.corners_m)))
    _add_bulge(inverse, steps, faces, spans, first_ball, int(counts[:first_ball].sum()))
    # The larger of two positive floats has the larger bits.
    np.maximum(inverse, np.float32(1e-6), out=inverse)
    key = inverse.view(np.int32).astype(np.int64)
    key <<= 32
    key |= number
    best = np.zeros(view.height_px * view.width_px, np.int64)
    np.maximum.at(best, pixel, key)
    shown = np.flatnonzero(best != 0)
    best = np.take(best, shown)
    return Visible(shown, best & 0xFFFFFFFF, (best >> 32).astype(np.int32).view(np.float32))


def _add_bulge(inverse: Float32, ahead: Float32, faces: Faces, spans: Spans, first: int, fragment: int) -> None:
    """Add sqrt(p' M p) to the inverse depths of ellipsoids, in place."""
    ball = spans.face[first:] - len(faces.corners_m)
    if not len(ball):
        return
    m = faces.outline[ball]
    v, u = spans.row[first:], spans.start[first:]
    linear = m[:, 0, 1] * v + m[:, 0, 2]
    constant = (m[:, 1, 1] * v + 2 * m[:, 1, 2]) * v + m[:, 2, 2]
    at_start = (m[:, 0, 0] * u + 2 * linear) * u + constant
    slope = 2 * (m[:, 0, 0] * u + linear)
    counts = spans.stop[first:] - u
    along = ahead[fragment:]
    square, change, value = (np.repeat(c.astype(np.float32), counts) for c in (m[:, 0, 0], slope, at_start))
    inverse[fragment:] += np.sqrt(np.maximum((square * along + change) * along + value, 0))
