"""One image file, of the size that its camera promises, as an RGB array or as Pillow's image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import FrameSourceError, MissingDependencyError
from bevdeploy.geometry.rig import Camera

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage


def frame_from_image(path: Path, camera: Camera) -> NDArray[np.uint8]:
    """RGB image [Hraw, Wraw, 3] of a file, for the camera that took it.

    Pixels are taken as they are stored: an EXIF orientation is not applied, since intrinsics describe stored pixels.

    Raises:
        FrameSourceError: the file is missing, unreadable or truncated, has more than 8 bits per channel, or has another
            size than the rig's camera.
        MissingDependencyError: Pillow is not installed.
    """
    return np.array(image_of_file(path, camera))  # [Hraw, Wraw, 3]


def image_of_file(path: Path, camera: Camera) -> PillowImage:
    """The decoded image of a file in mode RGB; otherwise as `frame_from_image`.

    Raises:
        FrameSourceError: as `frame_from_image`.
        MissingDependencyError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError("reading images needs Pillow: pip install 'bevdeploy[media]'") from error
    try:
        with Image.open(path) as image:
            if image.size != (camera.width_px, camera.height_px):
                raise FrameSourceError(
                    f"{path}: {image.size[0]} x {image.size[1]} px, but the rig's camera {camera.name} has "
                    f"{camera.width_px} x {camera.height_px} px; use the rig that took these frames (--rig FILE)"
                )
            if image.mode.startswith(("I", "F")):
                raise FrameSourceError(f"{path}: {image.mode} pixels; convert the image to 8 bits per channel first")
            decoded: PillowImage = image if image.mode == "RGB" else image.convert("RGB")
            decoded.load()
            return decoded
    except FileNotFoundError as error:
        raise FrameSourceError(f"{path}: no such image for camera {camera.name}") from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError, Warning, Image.DecompressionBombError) as error:
        # Pillow's decoders raise any of these for damaged files; Warning where a caller turned warnings into errors.
        raise FrameSourceError(
            f"{path}: cannot be read as an image ({error}); copy or record the file of camera {camera.name} again"
        ) from error
