"""What is annotated, with which visibility and attribute."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.world.annotations import annotations_at, attribute_of, visibility_of
from bevdeploy.data.world.fixed_tables import ATTRIBUTES, quaternion, yaw_quaternion
from bevdeploy.data.world.scene import Light, Scene, Town, Track
from bevdeploy.geometry.frames import rotation_from_quaternion


def track(category: str = "vehicle.car", x: float = 0.0, speed: float = 0.0, **flags: bool) -> Track:
    times = np.array([-1.0, 3.0])
    poses = np.array([[x - speed, 0, 0.3], [x + 3 * speed, 0, 0.3]])
    return Track("car", category, (2.0, 4.0, 1.5), times, poses, 0, **flags)


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (track(speed=3), "vehicle.moving"),
        (track(), "vehicle.stopped"),
        (track(parked=True), "vehicle.parked"),
        (track("vehicle.bus.rigid", speed=1), "vehicle.moving"),
        (track("vehicle.construction"), "vehicle.stopped"),
        (track("vehicle.bicycle", speed=3, ridden=True), "cycle.with_rider"),
        (track("vehicle.motorcycle", parked=True), "cycle.without_rider"),
        (track("human.pedestrian.adult", speed=1), "pedestrian.moving"),
        (track("human.pedestrian.construction_worker"), "pedestrian.standing"),
        (track("human.pedestrian.child", seated=True), "pedestrian.sitting_lying_down"),
        (track("movable_object.barrier"), ""),
        (track("movable_object.trafficcone"), ""),
    ],
)
def test_attributes(made: Track, name: str) -> None:
    assert attribute_of(made, 1.0) == name
    assert name in ("", *ATTRIBUTES)


@pytest.mark.parametrize(
    ("visible", "unoccluded", "level"),
    [(0, 0, 1), (0, 10, 1), (4, 10, 1), (5, 10, 2), (6.1, 10, 3), (9, 10, 4), (10, 10, 4)],
)
def test_visibility(visible: float, unoccluded: float, level: int) -> None:
    assert visibility_of(visible, unoccluded) == level


def test_seen_or_hit_and_near() -> None:
    tracks = tuple(track(x=x) for x in (10.0, 20.0, 30.0, 79.0, 81.0))
    town = Town("boston-seaport", (10.0, 10.0), {}, {}, (), np.zeros((0, 3)), (), ())
    scene = Scene("scene-0001", "", town, 3, track(), tracks, Light((0, 0, 1), 1, 0, (1, 1, 1), 100), 0)
    visible = np.array([5.0, 0.0, 0.0, 1.0, 9.0])
    rows = annotations_at(scene, 0.5, visible, np.full(5, 10.0), np.array([0, 3, 0, 0, 7]))
    assert [row["track"] for row in rows] == [0, 1, 3]
    assert [row["lidar_points"] for row in rows] == [0, 3, 0]
    assert [row["visibility"] for row in rows] == [2, 1, 1]
    assert rows[0]["pose"] == pytest.approx([10.0, 0.0, 0.3])


def test_quaternions_are_their_rotations(rng: np.random.Generator) -> None:
    half_turns = [(0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 0, 0, 0), (1e-9, 1, 1, 0)]
    for wxyz in [*half_turns, *rng.normal(size=(100, 4))]:
        rotation = rotation_from_quaternion(wxyz)
        assert np.allclose(rotation_from_quaternion(quaternion(rotation)), rotation, atol=1e-12)
    for yaw in (-4.0, 0.0, 1.0, 3.2):
        turned = rotation_from_quaternion(yaw_quaternion(yaw)) @ [1, 0, 0]
        assert np.allclose(turned, [np.cos(yaw), np.sin(yaw), 0])
