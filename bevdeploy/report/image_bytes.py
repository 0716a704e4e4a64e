"""Pictures as bytes and files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from bevdeploy.paths import write_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

JPEG_QUALITY = 88


def png_bytes(picture: Image) -> bytes:
    """A picture as a PNG file's content."""
    return _encoded(picture, "PNG", optimize=False, compress_level=6)


def jpeg_bytes(picture: Image, quality: int = JPEG_QUALITY) -> bytes:
    """A picture as a JPEG file's content; full chroma resolution, since boxes are thin coloured lines."""
    return _encoded(picture, "JPEG", quality=quality, subsampling=0, optimize=True)


def save_png(picture: Image, path: Path) -> None:
    """Write a picture as a whole PNG file or none.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    write_bytes(Path(path), png_bytes(picture))


def _encoded(picture: Image, file_format: str, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, file_format, **options)
    return buffer.getvalue()
