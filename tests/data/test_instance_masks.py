"""Masks of polygons against a test of each pixel, run lengths against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.instance_masks import InstanceMask, mask_of_polygons, mask_of_runs, runs_of_text


def holds(polygon: np.ndarray, u: float, v: float) -> bool:
    """Even-odd rule by a ray to the left, one edge after the other."""
    odd = False
    for (u0, v0), (u1, v1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        if (v0 <= v) != (v1 <= v):
            odd ^= u0 + (v - v0) * (u1 - u0) / (v1 - v0) <= u
    return bool(odd)


def placed(mask: np.ndarray, corner_px: tuple[int, int], image_hw: tuple[int, int]) -> np.ndarray:
    full = np.zeros(image_hw, bool)
    full[corner_px[1] : corner_px[1] + mask.shape[0], corner_px[0] : corner_px[0] + mask.shape[1]] = mask
    return full


def test_polygons_equal_a_test_of_each_pixel(rng: np.random.Generator) -> None:
    height, width = 24, 37
    filled = 0
    for _ in range(60):
        count = int(rng.integers(1, 4))
        polygons = [
            rng.uniform(-15, 50, (int(rng.integers(3, 9)), 2)).round(int(rng.integers(0, 3))) for _ in range(count)
        ]
        mask, corner_px = mask_of_polygons(polygons, (height, width))
        got = placed(mask, corner_px, (height, width))
        for v in range(height):
            for u in range(width):
                assert got[v, u] == any(holds(polygon, u + 0.5, v + 0.5) for polygon in polygons), (u, v)
        filled += got.sum()
    assert filled > 10_000


def test_shapes_that_span_nothing() -> None:
    outside = np.array([[50.0, 0], [60, 0], [60, 9]])
    thin = np.array([[3.0, 2], [9, 2], [5, 2]])
    for polygons in ([], [outside], [outside - (500, 500)], [thin], [thin[:1]]):
        mask, corner_px = mask_of_polygons(polygons, (20, 30))
        assert not mask.any() and placed(mask, corner_px, (20, 30)).shape == (20, 30)
    square = np.array([[-5.0, -5], [1e6, -5], [1e6, 1e6], [-5, 1e6]])
    mask, corner_px = mask_of_polygons([square], (20, 30))
    assert mask.all() and (mask.shape, corner_px) == ((20, 30), (0, 0))


def test_an_instance_knows_its_pixels(rng: np.random.Generator) -> None:
    instance = InstanceMask("car", 0.5, rng.random((4, 6)) < 0.4, (10, 3))
    full = placed(instance.mask, instance.corner_px, (9, 20))
    v, u = np.nonzero(full)
    np.testing.assert_array_equal(instance.pixels(), np.stack([u, v], 1))
    everywhere = np.array([(u, v) for v in range(-2, 11) for u in range(-2, 23)])
    want = [0 <= v < 9 and 0 <= u < 20 and full[v, u] for u, v in everywhere]
    np.testing.assert_array_equal(instance.holds(everywhere), want)


def test_run_lengths_are_cocos(rng: np.random.Generator) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    for height, width in ((1, 1), (7, 5), (90, 160), (900, 1600)):
        for share in (0.0, 0.01, 0.5, 1.0):
            mask = rng.random((height, width)) < share
            if height == 900:
                mask = np.zeros((height, width), bool)
                mask[200 : 200 + round(500 * share), 300:900] = True
            text = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
            np.testing.assert_array_equal(mask_of_runs(runs_of_text(text), (height, width)), mask)
    with pytest.raises(ValueError, match="end inside a number"):
        runs_of_text("P")


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([3, 2], "sum to 5, the image has 2 x 3 pixels"),
        ([7, -1], "from 0 to the image's pixels"),
        ([10**12], "from 0 to the image's pixels"),
        ([[6]], "whole numbers"),
        ([10**30], "too large|too big"),
    ],
)
def test_impossible_runs_are_refused(runs: list[int], message: str) -> None:
    with pytest.raises((ValueError, OverflowError), match=message):
        mask_of_runs(runs, (2, 3))


def test_impossible_text_is_refused() -> None:
    for text in ("é", " ", "p0", "oooooooooo0"):
        with pytest.raises(ValueError, match="in compressed run lengths"):
            runs_of_text(text)
