"""Bodies stay inside their annotated boxes and fill them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bevdeploy.data.world.bodies import body_of
from bevdeploy.data.world.paint import PAINTS
from bevdeploy.errors import GeometryError
from bevdeploy.tasks import TaskSpec

from .small_scene import SIZES, track


def corners(solids: tuple) -> np.ndarray:
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    assert all(solid.yaw_rad == 0 for solid in solids)
    return np.concatenate([np.add(solid.centre_m, signs * solid.half_m) for solid in solids])


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("flags", [{}, {"ridden": True}, {"seated": True}, {"parked": True}])
def test_inside_the_annotated_box(name: str, flags: dict[str, bool], rng: np.random.Generator) -> None:
    for look in range(25):
        size = tuple(np.array(SIZES[name]) * rng.uniform(0.6, 1.5, 3))
        made = replace(track(name, 0, 0, look=look, **flags), size_wlh_m=size)
        solids = body_of(made)
        points, (width, length, height) = corners(solids), size
        assert np.abs(points[:, 0]).max() <= length / 2 + 1e-9
        assert np.abs(points[:, 1]).max() <= width / 2 + 1e-9
        assert points[:, 2].min() >= -1e-9
        assert points[:, 2].max() <= height + 1e-9
        assert points[:, 2].max() >= 0.9 * height
        assert np.ptp(points[:, 0]) > 0.6 * length or name == "pedestrian"
        assert all(solid.paint in PAINTS and min(solid.half_m) > 0 for solid in solids)


def test_every_class_has_a_body_and_looks_differ() -> None:
    assert set(SIZES) == set(TaskSpec().classes)
    cars = {body_of(track("car", 0, 0, look=look))[0].colour for look in range(40)}
    assert len(cars) > 5
    assert body_of(track("car", 0, 0, look=3)) == body_of(track("car", 9, 9, look=3))


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(GeometryError, match="no body for class 'tram'"):
        body_of(replace(track("car", 0, 0), class_name="tram"))
