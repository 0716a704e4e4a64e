"""CAN bus poses of drives whose speeds and turn rates are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.data.world.can_bus import STEP_US, WITHOUT_CAN_BUS, has_can_bus, pose_messages
from bevdeploy.data.world.scene import LEAD_S, STEP_S, Light, Scene, Town, Track

KEYFRAMES = 5
START_US = 1_530_000_000_000_000


def drive(x: Any, y: Any, yaw: Any) -> Scene:
    """A scene without anything but an ego vehicle whose pose follows from the time."""
    times = np.arange(-LEAD_S, (KEYFRAMES - 1) * STEP_S + LEAD_S + 1e-9, 0.01)
    poses = np.stack([np.broadcast_to(part(times), times.shape) for part in (x, y, yaw)], axis=1)
    ego = Track("car", "vehicle.car", (1.85, 4.084, 1.5), times, poses, 0)
    town = Town("boston-seaport", (10.0, 10.0), {}, {}, (), np.zeros((0, 3)), (), ())
    return Scene("scene-0001", "", town, KEYFRAMES, ego, (), Light((0, 0, 1), 1, 0, (1, 1, 1), 100), 0)


def columns(scene: Scene) -> dict[str, np.ndarray]:
    messages = pose_messages(scene, START_US)
    return {key: np.array([message[key] for message in messages]) for key in messages[0]}


def test_a_straight_drive_that_brakes() -> None:
    """8 m/s less 2 m/s each second, to the north-east."""

    def along(t: Any) -> Any:
        return (8 * t - t * t) * np.sqrt(0.5)

    rows = columns(drive(lambda t: 5 + along(t), along, lambda t: np.pi / 4))
    t = (rows["utime"] - START_US) / 1e6
    assert t[0] == -0.5
    assert t[-1] == (KEYFRAMES - 1) * STEP_S + 0.5
    assert set(np.diff(rows["utime"])) == {STEP_US}
    assert np.allclose(rows["vel"], np.stack([8 - 2 * t, 0 * t, 0 * t], axis=1), atol=1e-3)
    assert np.allclose(rows["accel"], [-2, 0, 9.81], atol=1e-2)
    assert np.allclose(rows["rotation_rate"], 0, atol=1e-9)
    assert np.allclose(rows["pos"], np.stack([5 + along(t), along(t), 0 * t], axis=1), atol=1e-4)
    assert np.allclose(rows["orientation"], [np.cos(np.pi / 8), 0, 0, np.sin(np.pi / 8)])


def test_a_left_turn() -> None:
    """6 m/s on a circle of 20 m: 0.3 rad/s, 1.8 m/s2 to the left."""
    rate = 6 / 20
    scene = drive(lambda t: 20 * np.sin(rate * t), lambda t: -20 * np.cos(rate * t), lambda t: rate * t)
    rows = columns(scene)
    assert np.allclose(rows["vel"], [6, 0, 0], atol=0.02)
    assert np.allclose(rows["accel"], [0, 1.8, 9.81], atol=0.05)
    assert np.allclose(rows["rotation_rate"], [0, 0, rate], atol=1e-6)


def test_scenes_without_are_those_that_the_devkit_refuses(tmp_path: Path) -> None:
    api = pytest.importorskip("nuscenes.can_bus.can_bus_api")
    (tmp_path / "can_bus").mkdir()
    assert set(WITHOUT_CAN_BUS) == set(api.NuScenesCanBus(str(tmp_path)).can_blacklist)
    assert not has_can_bus("scene-0161")
    assert has_can_bus("scene-0169")
