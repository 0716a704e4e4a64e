"""Raw image to network image."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import ImageTransform


def test_the_fields_nuscenes_setting() -> None:
    fit = ImageTransform.fit((900, 1600), (256, 704))
    assert fit.resized_hw == (396, 704)
    assert fit.crop_yx == (140, 0)
    assert np.allclose(fit.net_from_image, [[0.44, 0, 0], [0, 0.44, -140], [0, 0, 1]])


def test_a_wider_image_loses_both_sides() -> None:
    fit = ImageTransform.fit((100, 400), (50, 100))
    assert fit.resized_hw == (50, 200)
    assert fit.crop_yx == (0, 50)
    assert np.allclose(fit.net_from_image @ [200, 100, 1], [50, 50, 1])


def test_a_small_image_grows() -> None:
    fit = ImageTransform.fit((30, 40), (60, 80))
    assert fit.resized_hw == (60, 80)
    assert np.allclose(fit.net_from_image, np.diag([2, 2, 1]))


def test_the_network_image_is_always_inside(rng: np.random.Generator) -> None:
    for raw_h, raw_w, net_h, net_w in rng.integers(1, 2000, (500, 4)).tolist():
        fit = ImageTransform.fit((raw_h, raw_w), (net_h, net_w))
        for size, crop, net in zip(fit.resized_hw, fit.crop_yx, (net_h, net_w), strict=True):
            assert 0 <= crop
            assert crop + net <= size


@pytest.mark.parametrize("raw_hw, net_hw", [((0, 1600), (256, 704)), ((900, -1), (256, 704)), ((900, 1600), (0, 704))])
def test_images_without_pixels(raw_hw: tuple[int, int], net_hw: tuple[int, int]) -> None:
    with pytest.raises(GeometryError, match="px"):
        ImageTransform.fit(raw_hw, net_hw)
