"""Colours of the pixels that show solids: their textures, in light and haze."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world import brushes, paint
from bevdeploy.data.world.backdrop import CHUNK, clearness, packed
from bevdeploy.data.world.faces import Faces
from bevdeploy.data.world.fragments import Spans, Visible
from bevdeploy.data.world.scene import Light
from bevdeploy.data.world.view import View

_LEVEL_OFFSET: Final = paint.LEVEL_OFFSET.astype(np.int32)


def paint_solids(
    pixels: NDArray[np.uint32], faces: Faces, spans: Spans, shown: Visible, light: Light, view: View
) -> None:
    """Colour the pixels that show a solid, 0x00BBGGRR, in place."""
    atlas = paint.texture_atlas()
    texture = faces.texture.astype(np.int32)
    per_face = np.stack(
        [faces.right[:, 0], faces.right_at, faces.up[:, 0], faces.up_at, faces.texels_per_m, *faces.light.T,
         *faces.colour.T]
    ).astype(np.float32)  # [11, m]  # fmt: skip
    per_span = np.stack([_at_left(faces.right, spans), _at_left(faces.up, spans)]).astype(np.float32)  # [2, s]
    for first in range(0, len(shown.pixel), CHUNK):
        part = slice(first, first + CHUNK)
        run, counts = _runs(shown.span[part])
        face = spans.face[run]
        # Every value of a run as often as it has pixels; the rows are also the memory of what follows from them.
        per_pixel = np.repeat(np.concatenate([per_face[:, face], per_span[:, run]]), counts, 1)  # [13, k]
        right, right_at, up, up_at, footprint, gain, light_right, light_up, *own, right_left, up_left = per_pixel
        at = shown.pixel[part]
        u, z = np.take(view.column, at), 1 / shown.inverse_depth[part]
        for texel, left, offset in ((right, right_left, right_at), (up, up_left, up_at)):
            texel *= u
            texel += left
            texel *= z
            texel -= offset
        footprint *= z
        np.maximum(footprint, np.float32(1), out=footprint)
        level = np.minimum((footprint.view(np.int32) >> 23) - 127, paint.LEVELS - 1)  # floor of its log2
        column = (right.astype(np.int32) & (brushes.WIDTH - 1)) >> level
        row = (up.astype(np.int32) & (brushes.HEIGHT - 1)) >> level
        index = row << (brushes.WIDTH_BITS - level)
        index += column
        index += np.take(_LEVEL_OFFSET, level)
        index += np.repeat(texture[face], counts)
        over = np.take(atlas, index)
        clear = clearness(z, light)
        light_right *= right
        gain += light_right
        light_up *= up
        gain += light_up
        gain *= clear
        bare = 255 - (over >> np.uint32(24)).astype(np.float32)
        for channel, colour in enumerate(own):
            colour *= bare
            colour += (over >> np.uint32(8 * channel) & np.uint32(0xFF)).astype(np.float32)
            colour *= gain
        pixels[at] = packed(own, clear, light)


def _runs(span: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Neighbouring pixels that show the same span: which span, and how many, of each run."""
    begin = np.flatnonzero(np.concatenate([[True], span[1:] != span[:-1]]))
    return span[begin], np.diff(np.append(begin, len(span)))


def _at_left(linear: NDArray[np.float64], spans: Spans) -> NDArray[np.float64]:
    """A linear form of the pixel at column 0 of each span's row, [s]."""
    return np.asarray(linear[spans.face, 1] * spans.row + linear[spans.face, 2])
