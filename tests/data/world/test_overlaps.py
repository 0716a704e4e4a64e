"""Rotated rectangles against points sampled in them."""

from __future__ import annotations

import numpy as np

from bevdeploy.data.world.overlaps import corners_of, overlap


def contains(rectangle: np.ndarray, points: np.ndarray) -> np.ndarray:
    x, y, yaw, half_length, half_width = rectangle
    dx, dy = points[..., 0] - x, points[..., 1] - y
    along, aside = dx * np.cos(yaw) + dy * np.sin(yaw), dy * np.cos(yaw) - dx * np.sin(yaw)
    return (np.abs(along) <= half_length) & (np.abs(aside) <= half_width)


def sampled(rectangle: np.ndarray, side: int = 60) -> np.ndarray:
    u, v = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    x, y, yaw, half_length, half_width = rectangle
    along, aside = u * half_length, v * half_width
    return np.stack([x + along * np.cos(yaw) - aside * np.sin(yaw), y + along * np.sin(yaw) + aside * np.cos(yaw)], -1)


def test_overlap_is_that_of_sampled_points(rng: np.random.Generator) -> None:
    pairs = rng.uniform([-4, -4, -7, 0.3, 0.3], [4, 4, 7, 3.0, 2.0], (400, 2, 5))
    found = overlap(pairs[:, 0], pairs[:, 1])
    margin = np.array([0, 0, 0, 0.1, 0.1])
    for (one, other), said in zip(pairs, found, strict=True):
        shrunk, grown = other - margin, other + margin
        if contains(one, sampled(shrunk)).any() or contains(shrunk, sampled(one)).any():
            assert said
        if not contains(one, sampled(grown)).any() and not contains(grown, sampled(one)).any():
            assert not said
    assert 50 < found.sum() < 350


def test_corners_lie_half_a_length_and_width_from_the_middle(rng: np.random.Generator) -> None:
    rectangles = rng.uniform(0.5, 3.0, (20, 5))
    corners = corners_of(rectangles)
    assert corners.shape == (20, 4, 2)
    np.testing.assert_allclose(
        np.hypot(*(corners - rectangles[:, None, :2]).transpose(2, 0, 1)),
        np.hypot(rectangles[:, 3], rectangles[:, 4])[:, None].repeat(4, 1),
    )
    assert contains(rectangles[0] + [0, 0, 0, 1e-9, 1e-9], corners[0]).all()


def test_leading_axes_broadcast() -> None:
    row = np.array([[0.0, 0, 0, 1, 1], [5, 0, 0, 1, 1]])
    assert overlap(row[:, None], row[None]).tolist() == [[True, False], [False, True]]
