"""Colours of the pixels that show solids: their textures, in light and haze."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world import brushes, paint
from bevdeploy.data.world.backdrop import CHUNK, packed
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
    columns = (faces.right[:, :1], faces.right_at[:, None], faces.up[:, :1], faces.up_at[:, None],
               faces.texels_per_m[:, None], faces.light, faces.colour)  # fmt: skip
    # Sixteen columns: each row is one line of the processor's cache.
    per_face = np.zeros((len(faces), 16), np.float32)
    per_face[:, :11] = np.concatenate(columns, 1)
    at_left = np.stack([_at_left(faces.right, spans), _at_left(faces.up, spans)]).astype(np.float32)  # [2, s]
    for first in range(0, len(shown.pixel), CHUNK):
        part = slice(first, first + CHUNK)
        at, span = shown.pixel[part], shown.span[part]
        face = spans.face[span]
        right_u, right_at, up_u, up_at, density, light_0, light_right, light_up, red, green, blue = np.take(
            per_face, face, 0
        ).T[:11]
        u = view.column[at]
        z = 1 / shown.inverse_depth[part]
        right = (right_u * u + at_left[0, span]) * z - right_at
        up = (up_u * u + at_left[1, span]) * z - up_at
        footprint = np.maximum(density * z, np.float32(1))
        level = np.minimum((footprint.view(np.int32) >> 23) - 127, paint.LEVELS - 1)  # floor of its log2
        column = (right.astype(np.int32) & (brushes.WIDTH - 1)) >> level
        row = (up.astype(np.int32) & (brushes.HEIGHT - 1)) >> level
        texels = np.take(atlas, texture[face] + _LEVEL_OFFSET[level] + (row << (brushes.WIDTH_BITS - level)) + column)
        clear = np.exp(z * np.float32(-1 / light.haze_m))
        gain = (light_0 + light_right * right + light_up * up) * clear
        over = texels.view(np.uint8).reshape(-1, 4)
        bare = 255 - over[:, 3].astype(np.float32)
        colours = (
            (red * bare + over[:, 0]) * gain,
            (green * bare + over[:, 1]) * gain,
            (blue * bare + over[:, 2]) * gain,
        )
        pixels[at] = packed(colours, clear, light)


def _at_left(linear: NDArray[np.float64], spans: Spans) -> NDArray[np.float64]:
    """A linear form of the pixel at column 0 of each span's row, [s]."""
    return np.asarray(linear[spans.face, 1] * spans.row + linear[spans.face, 2])
