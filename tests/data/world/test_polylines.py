"""Polylines: lengths, parallels and joints."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.world import polylines

CIRCLE = 20.0 * np.stack([np.cos(np.linspace(0, 3, 400)), np.sin(np.linspace(0, 3, 400))], axis=-1)


def test_a_parallel_of_a_circle_has_the_other_radius() -> None:
    inner = polylines.parallel(CIRCLE, 3.0)  # counter-clockwise: the middle lies to the left
    np.testing.assert_allclose(np.hypot(*inner.T), 17.0, atol=1e-3)


def test_length_and_points() -> None:
    assert polylines.length_of(CIRCLE) == pytest.approx(60.0, abs=1e-3)
    np.testing.assert_allclose(
        polylines.points_at(CIRCLE, np.array([20.0]))[0], 20 * np.array([np.cos(1), np.sin(1)]), 1e-4
    )


def test_a_part_keeps_its_vertices_and_its_length() -> None:
    part = polylines.part_of(CIRCLE, 5.0, 12.5)
    assert polylines.length_of(part) == pytest.approx(7.5, abs=1e-9)
    assert np.isin(part[1:-1], CIRCLE).all()


def test_resampled_steps_are_equal() -> None:
    steps = np.diff(polylines.lengths_along(polylines.resampled(CIRCLE, 0.7)))
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-3)


@pytest.mark.parametrize("angle", [np.pi / 2, -np.pi / 2, 1.2, -2.2])
def test_a_joint_of_equal_tangents_is_a_circular_arc(angle: float) -> None:
    radius = 8.0
    centre = np.array([0.0, np.sign(angle) * radius])
    end = centre + np.sign(angle) * radius * np.array([np.sin(angle), -np.cos(angle)])
    curve = polylines.joint(np.zeros(2), np.array([1.0, 0.0]), end, np.array([np.cos(angle), np.sin(angle)]), 30)
    np.testing.assert_allclose(np.hypot(*(curve - centre).T), radius, rtol=5e-3)


def test_a_joint_of_parallel_tangents_is_smooth() -> None:
    curve = polylines.joint(np.zeros(2), np.array([1.0, 0.0]), np.array([20.0, 1.0]), np.array([1.0, 0.0]), 40)
    headings = np.arctan2(*np.diff(curve, axis=0).T[::-1])
    assert np.abs(headings).max() < 0.12


def test_inside_is_the_winding_number(rng: np.random.Generator) -> None:
    ring = np.array([[0, 0], [4, 0], [4, 3], [2, 1], [0, 3]], float)
    points = rng.uniform(-1, 5, (300, 2))
    spokes = ring[None] - points[:, None]
    angles = np.arctan2(spokes[..., 1], spokes[..., 0])
    turns = (np.diff(np.concatenate([angles, angles[:, :1]], 1), axis=1) + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_array_equal(polylines.inside(ring, points), np.abs(turns.sum(1)) > np.pi)
