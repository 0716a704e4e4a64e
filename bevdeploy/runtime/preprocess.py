"""Raw camera frames to normalised network images, in NumPy: the resize of training, on the host of a deployment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry.resample import LinearTaps as LinearTaps
from bevdeploy.geometry.resample import blend, taps_of_fit, triangle_weights, weights_of_fit
from bevdeploy.geometry.resample import linear_taps as linear_taps
from bevdeploy.runtime.contract import Preprocessing

Float32 = NDArray[np.float32]


def images_from_frames(
    frames: Sequence[NDArray[np.uint8]], net_hw: tuple[int, int], preprocessing: Preprocessing
) -> Float32:
    """Resize, crop and normalise; each camera by the image transform that fits its own raw size.

    Args:
        frames: RGB images [Hraw, Wraw, 3], one per camera in network order.
        net_hw: network image height and width, px.
        preprocessing: mean, standard deviation and kind of resize.

    Returns:
        [1, N, 3, H, W].

    Raises:
        GeometryError: an image has no pixels.
    """
    mean = np.array(preprocessing.mean, np.float32)
    std = np.array(preprocessing.std, np.float32)
    resized = _antialias_resized if preprocessing.resize == "antialias" else _linear_resized
    images = np.empty((1, len(frames), 3, *net_hw), np.float32)
    for n, frame in enumerate(frames):
        height, width = frame.shape[:2]
        image = resized(frame, (height, width), net_hw)  # [W, 3, H]
        image -= mean[:, None]
        image /= std[:, None]
        images[0, n] = image.transpose(1, 2, 0)  # [3, H, W]
    return images


def resample_weights(raw: int, resized: int, crop: int, net: int, antialias: bool) -> Float32:
    """The resize and crop of one axis as a constant matrix, for a graph of matrix products.

    Args:
        raw: pixels of the raw image along the axis.
        resized: pixels after the resize.
        crop: first resized pixel that is kept.
        net: pixels that are kept.
        antialias: triangle filter of the width of the reduction, as PyTorch's antialiased bilinear resize.

    Returns:
        [net, raw]; a network image is `weights_y @ frame @ weights_x.T`. Each row adds up to 1.
    """
    if antialias:
        return triangle_weights(raw, resized, crop, net)
    taps = linear_taps(raw, resized, crop, net)
    weights, rows = np.zeros((net, raw), np.float32), np.arange(net)
    weights[rows, taps.lower] += 1 - taps.share
    weights[rows, taps.upper] += taps.share  # upper equals lower at the edge
    return weights


def _linear_resized(frame: NDArray[np.uint8], raw_hw: tuple[int, int], net_hw: tuple[int, int]) -> Float32:
    """[Hraw, Wraw, 3] to [W, 3, H]: columns last to first, so that every gather copies long runs."""
    along_y, along_x = taps_of_fit(raw_hw, net_hw)
    rows = frame.reshape(raw_hw[0], -1)  # [Hraw, Wraw*3]
    tall = blend(rows[along_y.lower], rows[along_y.upper], along_y.share[:, None])  # [H, Wraw*3]
    columns = np.ascontiguousarray(tall.T).reshape(raw_hw[1], 3, net_hw[0])  # [Wraw, 3, H]
    return blend(columns[along_x.lower], columns[along_x.upper], along_x.share[:, None, None])  # [W, 3, H]


def _antialias_resized(frame: NDArray[np.uint8], raw_hw: tuple[int, int], net_hw: tuple[int, int]) -> Float32:
    """[Hraw, Wraw, 3] to [W, 3, H]."""
    along_y, along_x = weights_of_fit(raw_hw, net_hw)
    tall = along_y @ frame.reshape(raw_hw[0], -1).astype(np.float32)  # [H, Wraw*3]
    columns = np.ascontiguousarray(tall.T).reshape(raw_hw[1], -1)  # [Wraw, 3*H]
    return np.asarray(along_x @ columns, np.float32).reshape(net_hw[1], 3, net_hw[0])  # [W, 3, H]
