from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.augment import Augmentation, ImageDraw, bev_similarity, draw_augmentation, net_from_image
from bevdeploy.errors import DataSetError
from bevdeploy.geometry import ImageTransform

RAW, NET = (900, 1600), (256, 704)


def test_without_any_range_the_image_transform_is_the_fit() -> None:
    for raw_hw, net_hw in ((RAW, NET), ((200, 704), (256, 704)), ((64, 64), (64, 64))):
        fit = ImageTransform.fit(raw_hw, net_hw)
        plain = net_from_image(ImageDraw(1.0, 0.5, False, 0.0), raw_hw, net_hw)
        np.testing.assert_allclose(plain, fit.net_from_image, atol=0.51)  # crops to half a pixel
        np.testing.assert_allclose(plain[:2, :2], fit.net_from_image[:2, :2])


def test_the_order_is_scale_crop_flip_rotation() -> None:
    draw = ImageDraw(1.2, 0.25, True, 0.1)
    u, v = 1000.0, 600.0
    scale = 0.44 * 1.2
    x, y = u * scale - 0.25 * (1600 * scale - 704), v * scale - (900 * scale - 256)
    x = 704 - x
    c, s = np.cos(0.1), np.sin(0.1)
    x, y = 352 + c * (x - 352) - s * (y - 128), 128 + s * (x - 352) + c * (y - 128)
    np.testing.assert_allclose(net_from_image(draw, RAW, NET) @ [u, v, 1], [x, y, 1], atol=1e-9)


def test_draws_are_a_function_of_their_seed_and_within_their_ranges() -> None:
    augmentation = Augmentation(bev_translation_m=0.5)
    draws = [draw_augmentation(augmentation, (3, epoch, n), 6) for epoch in range(2) for n in range(100)]
    again = draw_augmentation(augmentation, (3, 1, 7), 6)
    assert again.images == draws[107].images and (again.bev_from_ego == draws[107].bev_from_ego).all()
    images = [image for draw in draws for image in draw.images]
    assert len(set(images)) == len(images)
    assert 0.864 <= min(i.scale for i in images) < 0.9 and 1.2 < max(i.scale for i in images) <= 1.25
    assert 0.4 < np.mean([i.flip for i in images]) < 0.6
    assert np.rad2deg(max(abs(i.rotation_rad) for i in images)) <= 5.4
    linear = np.stack([draw.bev_from_ego[:3, :3] for draw in draws])
    scales = np.linalg.norm(linear[:, 0], axis=1)
    assert 0.95 <= scales.min() < 0.96 and 1.04 < scales.max() <= 1.05
    assert 0.3 < np.mean(np.linalg.det(linear) < 0) < 0.7
    np.testing.assert_allclose(linear @ linear.transpose(0, 2, 1), np.eye(3) * scales[:, None, None] ** 2, atol=1e-12)
    assert np.abs(np.stack([draw.bev_from_ego[:3, 3] for draw in draws])).std() > 0.1


def test_switches_switch_off() -> None:
    off = Augmentation((1, 1), 0, False, 0, False, False, (1, 1), 0)
    for n in range(20):
        draw = draw_augmentation(off, (n,), 2)
        np.testing.assert_array_equal(draw.bev_from_ego, np.eye(4))
        assert all(not image.flip and image.scale == 1 and image.rotation_rad == 0 for image in draw.images)


def test_similarities_turn_then_flip_then_scale() -> None:
    moved = bev_similarity(np.pi / 2, True, False, 2.0, np.array([1.0, 2.0, 3.0])) @ [1, 0, 0.5, 1]
    np.testing.assert_allclose(moved, [1, 4, 4, 1], atol=1e-12)
    moved = bev_similarity(np.pi / 2, False, True, 1.0) @ [1, 0, 0, 1]
    np.testing.assert_allclose(moved, [0, -1, 0, 1], atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [{"image_scale": (1.2, 0.9)}, {"bev_scale": (0.0, 1.0)}, {"bev_rotation_deg": -1.0}, {"bev_translation_m": np.nan}],
)
def test_impossible_ranges_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(DataSetError, match=f"augmentation: {next(iter(wrong))}"):
        Augmentation(**wrong)  # type: ignore[arg-type]
