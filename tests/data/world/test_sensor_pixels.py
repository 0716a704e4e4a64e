"""Noise and enlargement."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.world.sensor_pixels import enlarged, noisy


@pytest.mark.parametrize("tone", [8, 100, 247])
def test_noise_is_small_and_without_carry(tone: int) -> None:
    pixels = np.full((90, 120), tone | 100 << 8 | (255 - tone) << 16, np.uint32)
    image = noisy(pixels, (1, 2, 3)).astype(int)
    assert image.shape == (90, 120, 4)
    assert not image[..., 3].any()
    image = image[..., :3]
    offsets = image - [tone, 100, 255 - tone]
    assert np.abs(offsets).max() <= 8
    assert np.abs(offsets.mean((0, 1))).max() < 0.2
    assert np.all((offsets.std((0, 1)) > 1.8) & (offsets.std((0, 1)) < 2.6))
    # The three colours have noise of their own.
    assert abs(np.corrcoef(offsets[..., 0].ravel(), offsets[..., 2].ravel())[0, 1]) < 0.1


def test_noise_follows_its_seed() -> None:
    pixels = np.full((90, 120), 0x808080, np.uint32)
    np.testing.assert_array_equal(noisy(pixels, (1, 2)), noisy(pixels, (1, 2)))
    assert (noisy(pixels, (1, 2)) != noisy(pixels, (1, 3))).any()


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_enlarging_keeps_a_ramp(stride: int) -> None:
    h, w = 12 * stride - (stride > 1), 20 * stride - (stride > 2)
    centres = np.arange(20) * stride + (stride - 1) / 2
    small = np.tile(np.round(centres * 3 + 10)[None, :, None], (12, 1, 3)).astype(np.uint8)
    image = enlarged(small, stride, h, w)
    assert image.shape == (h, w, 3)
    inside = slice(stride, w - 2 * stride)
    np.testing.assert_allclose(image[:, inside, 0], np.tile((np.arange(w) * 3 + 10)[inside], (h, 1)), atol=1.01)
