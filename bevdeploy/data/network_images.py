"""Image files to network images [H, W, 3]: exactly deployment's resize, or warped by an augmentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.image_file import image_of_file
from bevdeploy.geometry.frames import Float64
from bevdeploy.geometry.resample import network_image, rows_of_fit
from bevdeploy.geometry.rig import Camera

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Resize = Literal["linear", "antialias"]


def fitted_image(path: Path, camera: Camera, net_hw: tuple[int, int], resize: Resize = "linear") -> NDArray[np.uint8]:
    """Network image [H, W, 3] of a file: the resize and crop of deployment, rounded to 8 bits.

    Raises:
        FrameSourceError: the file is missing, damaged or of another size than its camera.
        MissingDependencyError: Pillow is not installed.
    """
    antialias = resize == "antialias"
    raw_hw = camera.height_px, camera.width_px
    first, last = rows_of_fit(raw_hw, net_hw, antialias)
    rows = np.asarray(image_of_file(path, camera).crop((0, first, camera.width_px, last)))  # [rows, Wraw, 3]
    image = network_image(rows, raw_hw, net_hw, antialias)  # [H, W, 3]
    return np.rint(image, out=image).astype(np.uint8)  # weights of 0..1 that add up to 1: never beyond 0..255


def warped_image(
    path: Path, camera: Camera, net_from_image: Float64, net_hw: tuple[int, int], resize: Resize = "linear"
) -> NDArray[np.uint8]:
    """Network image [H, W, 3] of a file under an affine image transform [3, 3]; black where it shows nothing.

    Bilinear between pixel centres at half integers. With antialias the image is first resized to the transform's scale.

    Raises:
        FrameSourceError: as `fitted_image`.
        MissingDependencyError: Pillow is not installed.
    """
    from PIL import Image

    image = image_of_file(path, camera)
    if resize == "antialias":
        image, net_from_image = _reduced(image, net_from_image)
    image_from_net = np.linalg.inv(net_from_image)
    size = net_hw[1], net_hw[0]
    coefficients = tuple(float(value) for value in image_from_net[:2].ravel())
    warped = image.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    return np.array(warped)  # [H, W, 3]


def _reduced(image: PillowImage, net_from_image: Float64) -> tuple[PillowImage, Float64]:
    """An image at the scale of the transform, and the transform that is left."""
    from PIL import Image

    scale = min(1.0, float(np.sqrt(abs(np.linalg.det(net_from_image[:2, :2])))))
    width, height = (max(1, round(side * scale)) for side in image.size)
    reduced = image.resize((width, height), Image.Resampling.BILINEAR)
    return reduced, net_from_image @ np.diag([image.size[0] / width, image.size[1] / height, 1.0])
