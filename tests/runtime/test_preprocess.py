"""The host's resize against PyTorch's, which training uses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import ImageTransform
from bevdeploy.runtime import Preprocessing
from bevdeploy.runtime.preprocess import images_from_frames, linear_taps, resample_weights

ATOL = 5e-6
"""Normalised units: 3e-4 of a grey level. Sums in another order; worst seen 9e-7 linear, 2e-6 antialiased, on a CPU."""

SIZES = [
    ((900, 1600), (256, 704)),  # nuScenes
    ((901, 1603), (256, 704)),  # a scale without an end in binary
    ((36, 64), (16, 32)),
    ((50, 30), (16, 44)),  # portrait: much falls off the top
    ((20, 80), (40, 64)),  # grows, and loses both sides
    ((16, 32), (16, 32)),  # nothing to do
    ((1, 1), (3, 5)),
]


def torch_images(frame: np.ndarray, net_hw: tuple[int, int], preprocessing: Preprocessing) -> np.ndarray:
    fit = ImageTransform.fit(frame.shape[:2], net_hw)
    planes = torch.from_numpy(frame).permute(2, 0, 1)[None].float()  # [1, 3, Hraw, Wraw]
    antialias = preprocessing.resize == "antialias"
    resized = interpolate(planes, size=fit.resized_hw, mode="bilinear", align_corners=False, antialias=antialias)
    (top, left), (height, width) = fit.crop_yx, net_hw
    cut = resized[0, :, top : top + height, left : left + width]  # [3, H, W]
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    return ((cut - mean) / std).numpy()


@pytest.mark.parametrize("resize", ["linear", "antialias"])
@pytest.mark.parametrize("raw_hw, net_hw", SIZES)
def test_resize_equals_torch(rng: np.random.Generator, raw_hw, net_hw, resize: str) -> None:
    preprocessing = Preprocessing(resize=resize)
    frame = rng.integers(0, 256, (*raw_hw, 3), dtype=np.uint8)
    images = images_from_frames([frame], net_hw, preprocessing)
    assert images.shape == (1, 1, 3, *net_hw)
    assert images.dtype == np.float32
    assert np.abs(images[0, 0] - torch_images(frame, net_hw, preprocessing)).max() <= ATOL


def test_each_camera_by_its_own_size(rng: np.random.Generator) -> None:
    cameras = [rng.integers(0, 256, (*hw, 3), dtype=np.uint8) for hw in ((36, 64), (90, 160), (36, 64), (70, 70))]
    images = images_from_frames(cameras, (16, 32), Preprocessing())
    for n, frame in enumerate(cameras):
        assert np.abs(images[0, n] - torch_images(frame, (16, 32), Preprocessing())).max() <= ATOL


def test_a_frame_that_is_a_view(rng: np.random.Generator) -> None:
    """BGR cameras hand in reversed channels: no copy, negative strides. The frame itself stays as it is."""
    bgr = rng.integers(0, 256, (36, 64, 3), dtype=np.uint8)
    before = bgr.copy()
    got = images_from_frames([bgr[:, :, ::-1]], (16, 32), Preprocessing())
    assert np.array_equal(got, images_from_frames([bgr[:, :, ::-1].copy()], (16, 32), Preprocessing()))
    assert np.array_equal(bgr, before)


def test_half_size_by_hand() -> None:
    """Two to one: every network pixel lies in the middle of four raw ones."""
    frame = np.array([[0, 4, 8, 8], [4, 8, 0, 0]], np.uint8)[:, :, None].repeat(3, 2)
    plain = Preprocessing(mean=(0.0, 1.0, 2.0), std=(1.0, 2.0, 4.0))
    images = images_from_frames([frame], (1, 2), plain)
    assert images[0, 0].tolist() == [[[4, 4]], [[1.5, 1.5]], [[0.5, 0.5]]]


def test_taps_by_hand() -> None:
    """Four pixels from two, centres at -0.25, 0.25, 0.75, 1.25: the edges are clamped."""
    taps = linear_taps(2, 4, 0, 4)
    assert taps.lower.tolist() == [0, 0, 0, 1]
    assert taps.upper.tolist() == [1, 1, 1, 1]
    assert taps.share.tolist() == [0, 0.25, 0.75, 0.25]


def test_the_crop_selects_taps() -> None:
    whole, part = linear_taps(900, 396, 0, 396), linear_taps(900, 396, 140, 256)
    for name in ("lower", "upper", "share"):
        assert np.array_equal(getattr(whole, name)[140:], getattr(part, name))


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(
    "raw, resized, crop, net", [(900, 396, 140, 256), (64, 32, 0, 32), (20, 40, 3, 30), (5, 5, 0, 5)]
)
def test_weights_are_the_resize(rng, raw: int, resized: int, crop: int, net: int, antialias: bool) -> None:
    weights = resample_weights(raw, resized, crop, net, antialias)
    assert weights.shape == (net, raw)
    assert weights.dtype == np.float32
    assert np.allclose(weights.sum(1), 1, atol=1e-6)
    columns = rng.random((raw, 6), np.float32)
    whole = interpolate(
        torch.from_numpy(columns)[None, None], size=(resized, 6), mode="bilinear", antialias=antialias
    )  # [1, 1, resized, 6]
    assert np.abs(weights @ columns - whole[0, 0, crop : crop + net].numpy()).max() <= 1e-6


def test_an_image_without_pixels() -> None:
    with pytest.raises(GeometryError, match="px"):
        images_from_frames([np.zeros((0, 64, 3), np.uint8)], (16, 32), Preprocessing())
