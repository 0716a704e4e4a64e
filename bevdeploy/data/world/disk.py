"""How much disk a world takes, before it is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bevdeploy.data.world.options import WorldOptions
from bevdeploy.errors import OutputError

CAMERAS = 6
JPEG_BYTES_PER_PX = 0.30
SWEEP_BYTES = 640_000
KEYFRAME_BYTES = 60_000
"""Rows of the tables, CAN bus messages and the parts kept until the end."""
MAP_BYTES = 4_000_000
"""Of one of the four locations."""


def estimated_bytes(options: WorldOptions) -> int:
    """What a world of these options takes, on the high side."""
    image = options.width_px * options.height_px * JPEG_BYTES_PER_PX
    keyframe = CAMERAS * image + options.sweeps * SWEEP_BYTES + KEYFRAME_BYTES
    return round(options.scenes * options.keyframes * keyframe + min(options.scenes, 4) * MAP_BYTES)


def free_bytes(root: Path) -> int:
    """Free bytes of the disk on which a folder is, or will be.

    Raises:
        OutputError: the disk does not say.
    """
    nearest = next(path for path in (root.absolute(), *root.absolute().parents) if os.path.lexists(path))
    try:
        return shutil.disk_usage(nearest).free
    except OSError as error:
        raise OutputError(f"{root}: cannot be written ({error.strerror or error}); write elsewhere") from error


def check_space(root: Path, needed_bytes: int) -> None:
    """Refuse a world that does not fit.

    Raises:
        OutputError: the disk has less room.
    """
    free = free_bytes(root)
    if free < needed_bytes:
        raise OutputError(
            f"{root}: about {size_text(needed_bytes)} are needed, {size_text(free)} are free; take fewer --scenes, "
            "--keyframes or --sweeps, or another disk"
        )


def size_text(size: float) -> str:
    """`1.2 GB`; powers of ten."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
