"""An antialiased canvas: float pixels in, a Pillow image out. The one place that imports Pillow for drawing.

Everything is drawn at twice the size and reduced at the end. A shape is drawn as a mask and blended once, so that the
joints of a translucent line are no darker than the line.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bevdeploy.errors import MissingDependencyError
from bevdeploy.report.palette import Colour

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

SUPERSAMPLING = 2
_FAR_PX = 1e6
"""Coordinates beyond this are pulled in: Pillow counts in 32 bits."""


def require_pillow() -> None:
    """Raises MissingDependencyError where Pillow is not installed, or is too old to scale its own font."""
    try:
        from PIL import features
    except ImportError as error:
        raise MissingDependencyError(
            "pictures are drawn with Pillow, which is not installed: pip install 'bevdeploy[media]'"
        ) from error
    if not features.check("freetype2"):
        raise MissingDependencyError(
            "this Pillow was built without FreeType and cannot draw labels: "
            "pip install --force-reinstall 'bevdeploy[media]'"
        )


class Canvas:
    """A picture of `width_px` x `height_px`; coordinates are pixels from the top left corner, pixel centres at .5."""

    def __init__(self, width_px: int, height_px: int, ground: Colour) -> None:
        require_pillow()
        from PIL import Image

        self.width_px, self.height_px = width_px, height_px
        self._image = Image.new("RGB", (width_px * SUPERSAMPLING, height_px * SUPERSAMPLING), ground)

    @classmethod
    def over(cls, picture: Image, width_px: int, height_px: int) -> Canvas:
        """A canvas that begins with a picture, scaled to fill it."""
        from PIL import Image

        canvas = cls(width_px, height_px, (0, 0, 0))
        large = canvas._image.size
        # a picture of the final size is doubled by repetition, so that the reduction returns its very pixels
        resample = Image.Resampling.NEAREST if picture.size == (width_px, height_px) else Image.Resampling.LANCZOS
        canvas._image = picture.convert("RGB").resize(large, resample, reducing_gap=3.0)
        return canvas

    def image(self) -> Image:
        """The picture at its final size."""
        return self._image.reduce(SUPERSAMPLING)

    def line(
        self, points_px: ArrayLike, colour: Colour, width_px: float, alpha: float = 1.0, closed: bool = False
    ) -> None:
        """A polyline through [k, 2]."""
        points = _large(points_px)
        if closed:
            points = np.concatenate([points, points[:2]])  # [k + 2, 2]: the last joint is rounded as well
        width = _odd(width_px)
        flat = _pairs(points)

        def paint(mask: ImageDraw, left: int, top: int) -> None:
            mask.line([(x - left, y - top) for x, y in flat], fill=255, width=width, joint="curve")

        self._blend(points, width, colour, alpha, paint)

    def dashes(
        self, points_px: ArrayLike, colour: Colour, width_px: float, dash_px: float = 5.0, closed: bool = False
    ) -> None:
        """A dashed polyline through [k, 2]; every edge begins and ends with a dash, so that corners are closed."""
        points = np.asarray(points_px, np.float64)
        if closed:
            points = np.concatenate([points, points[:1]])  # [k + 1, 2]
        for start, end in pairwise(points):
            length = float(np.hypot(*(end - start)))
            count = min(400, max(0, round((length / dash_px - 1) / 2)))  # gaps on this edge
            cuts = np.linspace(0, 1, 2 * count + 2)[:, None]  # [2 * count + 2, 1]
            stops = start + (end - start) * cuts  # [2 * count + 2, 2]
            for first, last in zip(stops[::2], stops[1::2], strict=True):
                self.line([first, last], colour, width_px)

    def polygon(self, points_px: ArrayLike, colour: Colour, alpha: float = 1.0) -> None:
        """A filled polygon [k, 2]."""
        points = _large(points_px)
        flat = _pairs(points)

        def paint(mask: ImageDraw, left: int, top: int) -> None:
            mask.polygon([(x - left, y - top) for x, y in flat], fill=255)

        self._blend(points, 1, colour, alpha, paint)

    def disc(self, centre_px: ArrayLike, radius_px: float, colour: Colour, alpha: float = 1.0) -> None:
        """A filled circle."""
        self._circle(centre_px, radius_px, colour, alpha, None)

    def ring(self, centre_px: ArrayLike, radius_px: float, colour: Colour, width_px: float, alpha: float = 1.0) -> None:
        """A circle."""
        self._circle(centre_px, radius_px, colour, alpha, _odd(width_px))

    def plate(
        self, box_px: tuple[float, float, float, float], radius_px: float, colour: Colour, alpha: float = 1.0
    ) -> None:
        """A filled rectangle (left, top, right, bottom) with round corners."""
        corners = _large(np.reshape(box_px, (2, 2)))  # [2, 2]
        (x0, y0), (x1, y1) = _pairs(corners)

        def paint(mask: ImageDraw, left: int, top: int) -> None:
            box = (x0 - left, y0 - top, x1 - left, y1 - top)
            mask.rounded_rectangle(box, radius=radius_px * SUPERSAMPLING, fill=255)

        self._blend(corners, 1, colour, alpha, paint)

    def text(
        self,
        xy_px: tuple[float, float],
        text: str,
        size_px: float,
        colour: Colour,
        anchor: str = "ls",
        halo: Colour | None = None,
    ) -> None:
        """One line of text; `anchor` in Pillow's letters (ls: left of the baseline, mm: the middle)."""
        from PIL import ImageDraw

        x, y = (value * SUPERSAMPLING for value in xy_px)
        ImageDraw.Draw(self._image).text(
            (x, y),
            text,
            fill=colour,
            font=_font(size_px),
            anchor=anchor,
            stroke_width=0 if halo is None else max(1, round(size_px * 0.11 * SUPERSAMPLING)),
            stroke_fill=halo,
        )

    def _circle(self, centre_px: ArrayLike, radius_px: float, colour: Colour, alpha: float, width: int | None) -> None:
        ((x, y),) = _pairs(_large(np.reshape(np.asarray(centre_px, np.float64), (1, 2))))
        radius = radius_px * SUPERSAMPLING
        extent = np.array([[x - radius, y - radius], [x + radius, y + radius]])

        def paint(mask: ImageDraw, left: int, top: int) -> None:
            box = (x - radius - left, y - radius - top, x + radius - left, y + radius - top)
            if width is None:
                mask.ellipse(box, fill=255)
            else:
                mask.ellipse(box, outline=255, width=width)

        self._blend(extent, width or 1, colour, alpha, paint)

    def _blend(
        self,
        points: NDArray[np.float64],
        margin: int,
        colour: Colour,
        alpha: float,
        paint: Callable[[ImageDraw, int, int], None],
    ) -> None:
        """Blend a shape once, through a mask as large as its part of the picture."""
        from PIL import Image, ImageDraw

        width, height = self._image.size
        left, top = np.maximum(np.floor(points.min(0)) - margin - 1, 0).astype(int).tolist()
        right, bottom = np.minimum(np.ceil(points.max(0)) + margin + 2, (width, height)).astype(int).tolist()
        if right <= left or bottom <= top or alpha <= 0:
            return
        mask = Image.new("L", (right - left, bottom - top))
        paint(ImageDraw.Draw(mask), left, top)
        if alpha < 1:
            mask = mask.point([round(level * alpha) for level in range(256)])
        self._image.paste(colour, (left, top, right, bottom), mask)


def text_width_px(text: str, size_px: float) -> float:
    """The width of a line of text."""
    return _font(size_px).getlength(text) / SUPERSAMPLING


@lru_cache(maxsize=32)
def _font(size_px: float) -> FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size=size_px * SUPERSAMPLING)
    assert isinstance(font, ImageFont.FreeTypeFont)  # require_pillow asked for FreeType
    return font


def _large(points_px: ArrayLike) -> NDArray[np.float64]:
    """Points [k, 2] in pixels of the supersampled image, whose pixel centres are whole numbers."""
    points = np.floor(np.asarray(points_px, np.float64) * SUPERSAMPLING)  # the pixel that holds the point
    return np.asarray(np.clip(np.nan_to_num(points, posinf=_FAR_PX, neginf=-_FAR_PX), -_FAR_PX, _FAR_PX))


def _odd(width_px: float) -> int:
    """A line width in supersampled pixels; odd, since Pillow draws even ones beside the points, by their direction."""
    return 2 * max(0, round((width_px * SUPERSAMPLING - 1) / 2)) + 1


def _pairs(points: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points]
