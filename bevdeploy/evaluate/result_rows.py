"""Boxes of a car as rows of a result file: ego frame to global frame, attribute by class and speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate.result_file import MAX_BOXES, Row
from bevdeploy.geometry.frames import Float64, transform
from bevdeploy.runtime.result import BevResult

MOVING_MPS = 0.2
"""Above it an object moves. CenterPoint's and BEVDet's result writers use the same speed."""

ATTRIBUTE_OF_MOVING: Mapping[str, str] = {
    "car": "vehicle.moving",
    "truck": "vehicle.moving",
    "construction_vehicle": "vehicle.moving",
    "bus": "vehicle.moving",
    "trailer": "vehicle.moving",
    "motorcycle": "cycle.with_rider",
    "bicycle": "cycle.with_rider",
    "pedestrian": "pedestrian.moving",
}
"""The student has no attribute head: nothing else than the speed can tell. Barriers and cones have no attribute."""

ATTRIBUTE_OF_STILL: Mapping[str, str] = {
    "car": "vehicle.parked",
    "truck": "vehicle.parked",
    "construction_vehicle": "vehicle.parked",
    "bus": "vehicle.stopped",
    "trailer": "vehicle.parked",
    "motorcycle": "cycle.without_rider",
    "bicycle": "cycle.without_rider",
    "pedestrian": "pedestrian.standing",
}
"""What the class mostly is in nuScenes when it stands; a bus stops, the others park."""


def detection_rows(result: BevResult, token: str, global_from_ego: Float64) -> list[Row]:
    """The boxes of one frame as rows of a result file, highest score first, at most `MAX_BOXES`.

    Args:
        result: boxes in the ego frame of the key time.
        token: sample token.
        global_from_ego: [4, 4] pose at the key time.

    Raises:
        DataSetError: a box or score is not finite.
    """
    return rows_of_boxes(result.boxes, result.scores, result.labels, result.tasks.classes, token, global_from_ego)


def rows_of_boxes(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int32],
    classes: Sequence[str],
    token: str,
    global_from_ego: Float64,
) -> list[Row]:
    """As `detection_rows`, of bare arrays: boxes [n, 9] in columns of `tasks.BOX_FIELDS`, scores [n], labels [n].

    Raises:
        DataSetError: a box or score is not finite.
    """
    check_finite(boxes, scores, token)
    order = np.argsort(-scores.astype(np.float64), kind="stable")[:MAX_BOXES]
    boxes64 = boxes[order].astype(np.float64)  # [n, 9]
    centres = transform(global_from_ego, boxes64[:, :3])  # [n, 3]
    flat_velocities = np.pad(boxes64[:, 7:9], ((0, 0), (0, 1)))  # [n, 3]
    velocities = (flat_velocities @ global_from_ego[:3, :3].T)[:, :2]  # [n, 2]
    rotations = _turned(quaternion_of_rotation(global_from_ego[:3, :3]), boxes64[:, 6])  # [n, 4]
    speeds = np.linalg.norm(boxes64[:, 7:9], axis=1)  # [n]
    names = [classes[label] for label in labels[order]]
    return [
        {
            "sample_token": token,
            "translation": centre.tolist(),
            "size": box[3:6].tolist(),
            "rotation": rotation.tolist(),
            "velocity": velocity.tolist(),
            "detection_name": name,
            "detection_score": float(score),
            "attribute_name": attribute_of(name, float(speed)),
        }
        for centre, box, rotation, velocity, name, score, speed in zip(
            centres, boxes64, rotations, velocities, names, scores[order], speeds, strict=True
        )
    ]


def check_finite(boxes: NDArray[np.float32], scores: NDArray[np.float32], token: str) -> None:
    """Refuse boxes of a network that overflows.

    Raises:
        DataSetError: a box or score is not finite.
    """
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise DataSetError(f"sample {token}: boxes or scores are not finite; the network that made them overflows")


def attribute_of(name: str, speed_mps: float) -> str:
    """The likeliest nuScenes attribute of a class at a speed; '' for classes without any."""
    table = ATTRIBUTE_OF_MOVING if speed_mps > MOVING_MPS else ATTRIBUTE_OF_STILL
    return table.get(name, "")


def quaternion_of_rotation(rotation: ArrayLike) -> Float64:
    """Unit quaternion (w, x, y, z) [4] of a rotation matrix [3, 3], from its largest component (Shepperd 1978)."""
    m = np.asarray(rotation, np.float64)
    squares = 1 + np.array([m.trace(), *(2 * np.diag(m) - m.trace())])  # [4], 4w2, 4x2, 4y2, 4z2
    largest = int(squares.argmax())
    products = np.array(
        [
            [squares[0], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], squares[1], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], squares[2], m[1, 2] + m[2, 1]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], squares[3]],
        ]
    )  # [4, 4], 4 q qT
    quaternion = products[largest]
    return np.asarray(quaternion / np.linalg.norm(quaternion))


def _turned(quaternion: Float64, yaws_rad: Float64) -> Float64:
    """`quaternion * (cos yaw/2, 0, 0, sin yaw/2)` [n, 4]: turned about its own z first."""
    w, x, y, z = quaternion
    c, s = np.cos(yaws_rad / 2), np.sin(yaws_rad / 2)
    return np.stack([w * c - z * s, x * c + y * s, y * c - x * s, z * c + w * s], axis=1)
