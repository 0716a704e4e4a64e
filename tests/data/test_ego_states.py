from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.data.ego_states import ego_states, states_from_poses
from bevdeploy.data.index import SampleIndex
from bevdeploy.errors import DataSetError
from bevdeploy.geometry.frames import compose


def circle(n: int, radius_m: float, rate: float, step_s: float) -> np.ndarray:
    angles = rate * step_s * np.arange(n)
    poses = []
    for angle in angles:
        c, s = np.cos(angle), np.sin(angle)
        centre = [radius_m * s, radius_m * (1 - c), 0]
        poses.append(compose([[c, -s, 0], [s, c, 0], [0, 0, 1]], centre))
    return np.stack(poses)


def test_a_circle_is_driven_at_its_speed_and_rate() -> None:
    radius_m, rate, step_s = 50.0, 0.2, 0.05
    states = states_from_poses(
        circle(20, radius_m, rate, step_s), (np.arange(20) * step_s * 1e6).astype(np.int64), np.arange(20) - 1
    )
    np.testing.assert_allclose(states[:, 8], rate, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(states[:, :2], axis=1), radius_m * rate, rtol=1e-4)
    np.testing.assert_allclose(states[2:, 4], radius_m * rate**2, rtol=1e-2)  # towards the centre, left
    assert np.abs(states[2:, 3]).max() < 0.02
    np.testing.assert_array_equal(states[:2, 3:6], 0)


def test_scenes_do_not_mix() -> None:
    poses = np.concatenate([circle(4, 50, 0.2, 0.5), circle(4, 10, -0.3, 0.5) + 0])
    poses[4:, :2, 3] += 1000
    previous = np.array([-1, 0, 1, 2, -1, 4, 5, 6])
    times_us = np.tile(np.arange(4) * 500_000, 2)
    states = states_from_poses(poses, times_us, previous)
    np.testing.assert_allclose(states[:4], states_from_poses(poses[:4], times_us[:4], previous[:4]))
    assert np.linalg.norm(states[4:, :2], axis=1).max() < 4
    np.testing.assert_allclose(states[4:, 8], -0.3)


def test_a_single_keyframe_stands_still() -> None:
    assert not states_from_poses(np.eye(4)[None], np.array([5]), np.array([-1])).any()


def test_can_bus_and_poses_agree_on_real_drives(mini_index: SampleIndex) -> None:
    arrays = mini_index.arrays
    assert arrays.ego_state_measured.all()
    derived = states_from_poses(arrays.global_from_ego, arrays.timestamp_us, arrays.previous)
    long = np.flatnonzero(arrays.previous >= 0)
    speed = np.linalg.norm(derived[long, :3], axis=1)
    assert np.abs(speed - arrays.ego_state[long, 0]).mean() < 0.35  # half a second apart
    assert np.corrcoef(derived[long, 8], arrays.ego_state[long, 8])[0, 1] > 0.9
    assert np.abs(arrays.ego_state[:, 5].mean()) < 0.3  # gravity is off


def test_messages_belong_to_near_keyframes_only(tmp_path: Path) -> None:
    arrays = {
        "scene": np.zeros(3, np.int32),
        "timestamp_us": np.array([0, 500_000, 1_000_000]),
        "previous": np.array([-1, 0, 1]),
        "global_from_ego": circle(3, 50, 0.1, 0.5),
    }
    (tmp_path / "can_bus").mkdir()
    path = tmp_path / "can_bus" / "s_pose.json"
    message = {"utime": 490_000, "vel": [7, 0, 0], "accel": [1, 2, 9.81 + 3], "rotation_rate": [0, 0, 0.5]}
    path.write_text(json.dumps([message]))
    states, measured = ego_states(tmp_path, ["s"], arrays)
    assert measured.tolist() == [False, True, False]
    np.testing.assert_allclose(states[1], [7, 0, 0, 1, 2, 3, 0, 0, 0.5], atol=1e-5)
    path.write_text("[]")
    assert not ego_states(tmp_path, ["s"], arrays)[1].any()
    nowhere = [{**message, **wrong} for wrong in ({"utime": float("inf")}, {"utime": 10**30}, {"vel": [1e300, 0, 0]})]
    for content in (
        "{}",
        '[{"utime": 1}]',
        "[1]",
        '[{"utime": 1, "vel": [1], "accel": [], "rotation_rate": []}]',
        "[",
        *(json.dumps([wrong]) for wrong in nowhere),
    ):
        path.write_text(content)
        if content == "{}":
            assert not ego_states(tmp_path, ["s"], arrays)[1].any()
            continue
        with pytest.raises(DataSetError, match="cannot be read as CAN bus poses"):
            ego_states(tmp_path, ["s"], arrays)
