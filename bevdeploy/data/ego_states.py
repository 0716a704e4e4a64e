"""The ego vehicle's velocity, acceleration and rotation rate at keyframes: CAN bus where there is one, else poses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import DataSetError
from bevdeploy.geometry.frames import Float64
from bevdeploy.tasks import EGO_STATE

GRAVITY_MPS2 = 9.81
NEAR_US = 100_000
"""A CAN message belongs to a keyframe when it is this near; messages come at 50 Hz."""
FASTEST = 1e6
"""m/s, m/s2 and rad/s of no vehicle."""


def ego_states(
    root: Path,
    scenes: Sequence[str],
    arrays: Mapping[str, NDArray[Any]],
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """[n, 9] states in the ego frame, and [n] whether they were measured.

    CAN accelerometers feel gravity, about 9.81 m/s2 along global z; it is taken off, so that both sources agree.

    Args:
        root: nuScenes root; CAN poses lie in `can_bus/SCENE_pose.json`.
        scenes: names, in the order of `arrays["scene"]`.
        arrays: of the index: scene, timestamp_us, previous, global_from_ego.
        progress: called now and then.

    Raises:
        DataSetError: a CAN file is damaged.
    """
    states = states_from_poses(arrays["global_from_ego"], arrays["timestamp_us"], arrays["previous"])
    measured = np.zeros(len(states), bool)
    for n, name in enumerate(scenes):
        progress("CAN bus", n, len(scenes))
        path = root / "can_bus" / f"{name}_pose.json"
        if not path.is_file():
            continue
        times_us, messages = _messages(path)
        here = np.flatnonzero(arrays["scene"] == n)
        if not len(times_us) or not len(here):
            continue
        nearest = np.abs(times_us[None] - arrays["timestamp_us"][here, None]).argmin(1)  # [k]
        near = np.abs(times_us[nearest] - arrays["timestamp_us"][here]) <= NEAR_US
        here, nearest = here[near], nearest[near]
        states[here] = messages[nearest]
        states[here, 3:6] -= GRAVITY_MPS2 * arrays["global_from_ego"][here, 2, :3]  # global z in the ego frame
        measured[here] = True
    return states.astype(np.float32), measured


def states_from_poses(global_from_ego: Float64, timestamp_us: NDArray[Any], previous: NDArray[Any]) -> Float64:
    """[n, 9] from differences to the keyframe before, so that no state knows the future.

    The first keyframe of a scene has its follower's velocity and rotation rate; it and the second have no acceleration.
    """
    states = np.zeros((len(global_from_ego), EGO_STATE))
    velocity = np.zeros((len(global_from_ego), 3))  # global frame
    later = np.flatnonzero(np.asarray(previous) >= 0)
    before = np.asarray(previous)[later]
    seconds = np.maximum((timestamp_us[later] - timestamp_us[before]) * 1e-6, 1e-3)[:, None]
    rotation = np.asarray(global_from_ego[:, :3, :3])
    velocity[later] = (global_from_ego[later, :3, 3] - global_from_ego[before, :3, 3]) / seconds
    states[later, 6:] = _rotation_vectors(rotation[before].transpose(0, 2, 1) @ rotation[later]) / seconds
    first = np.asarray(previous)[before] < 0  # the keyframe before is its scene's first
    velocity[before[first]] = velocity[later[first]]
    states[before[first], 6:] = states[later[first], 6:]
    acceleration = (velocity[later] - velocity[before]) / seconds
    states[:, :3] = np.einsum("nji,nj->ni", rotation, velocity)
    states[later, 3:6] = np.einsum("nji,nj->ni", rotation[later], acceleration)
    return states


def _rotation_vectors(rotations: Float64) -> Float64:
    """[k, 3] axis times angle of rotations [k, 3, 3] below half a turn."""
    skew = np.stack(
        [
            rotations[:, 2, 1] - rotations[:, 1, 2],
            rotations[:, 0, 2] - rotations[:, 2, 0],
            rotations[:, 1, 0] - rotations[:, 0, 1],
        ],
        1,
    )  # [k, 3], 2 sin(angle) times the axis
    sine = np.linalg.norm(skew, axis=1) / 2
    cosine = (np.trace(rotations, axis1=1, axis2=2) - 1) / 2
    angle = np.arctan2(sine, cosine)
    factor = np.where(sine > 1e-9, angle / np.maximum(2 * sine, 1e-12), 0.5)
    return np.asarray(skew * factor[:, None])


def _messages(path: Path) -> tuple[NDArray[np.int64], Float64]:
    """Times [k] and velocity, acceleration, rotation rate [k, 9] of a scene's CAN poses."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        times_us = np.array([int(row["utime"]) for row in rows], np.int64)
        states = np.array([[*row["vel"], *row["accel"], *row["rotation_rate"]] for row in rows], np.float64)
        states = states.reshape(len(rows), EGO_STATE)
        if not (np.abs(states) < FASTEST).all():  # NaN neither
            raise ValueError("numbers of no vehicle")
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataSetError(
            f"{path}: cannot be read as CAN bus poses ({type(error).__name__}: {error}); unpack can_bus again, or "
            "remove the file: the state is then taken from the poses"
        ) from error
    return times_us, states
