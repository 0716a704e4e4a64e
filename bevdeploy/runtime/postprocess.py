"""Graph outputs to a `BevResult`, in NumPy and float32: the decoder that `--io frames` has inside, for `--io tensor`.

Boxes are read at the agents' cells: one set of box codes per group of classes, in the order of `BOX_CODES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import ContractError
from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.geometry.map_grid import map_grid
from bevdeploy.runtime.contract import Contract
from bevdeploy.runtime.result import BevResult
from bevdeploy.tasks import BOX_FIELDS, LOG_SIZE_RANGE, NOT_A_PEAK

Float32 = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]

BOX_CODES = (
    "offset_x",
    "offset_y",
    "z_m",
    "log_width",
    "log_length",
    "log_height",
    "sin_yaw",
    "cos_yaw",
    "vx_mps",
    "vy_mps",
)
"""Channels of a dense box map; the offsets are in cells, from the lower corner of the cell."""


def result_from_frames(outputs: Arrays, contract: Contract) -> BevResult:
    """The result of a graph that decodes itself (`--io frames`).

    Raises:
        ContractError: an output is missing.
    """
    nothing = _nothing(contract)

    def output(head: str, name: str) -> Float32:
        return _float32(outputs, name) if head in contract.tasks.heads else nothing[name]

    detects = "detection" in contract.tasks.heads
    return BevResult(
        boxes=output("detection", "boxes"),
        scores=output("detection", "scores"),
        labels=_output(outputs, "labels").astype(np.int32) if detects else np.zeros(0, np.int32),
        trajectories_m=output("motion", "trajectories"),
        trajectory_probabilities=output("motion", "trajectory_probabilities"),
        map_probabilities=output("map", "map_probabilities"),
        occupancy_probabilities=output("occupancy", "occupancy_probabilities"),
        plans_m=output("planning", "plans"),
        tasks=contract.tasks,
    )


def result_from_dense(outputs: Arrays, contract: Contract) -> BevResult:
    """The result of a graph that ends in its heads (`--io tensor`).

    Raises:
        ContractError: an output is missing, or an agent lies outside the heatmap.
    """
    heads = contract.tasks.heads
    decoded: dict[str, NDArray[Any]] = _nothing(contract)
    if "detection" in heads:
        decoded |= _decoded_boxes(outputs, contract)
    if "map" in heads:
        decoded["map_probabilities"] = sigmoid(_float32(outputs, "map_logits")[0])
    if "occupancy" in heads:
        decoded["occupancy_probabilities"] = sigmoid(_float32(outputs, "occupancy_logits")[0])
    if "planning" in heads:
        decoded["plans"] = _float32(outputs, "plans")[0]
    return result_from_frames(decoded, contract)


def _decoded_boxes(outputs: Arrays, contract: Contract) -> dict[str, NDArray[Any]]:
    heatmap = _float32(outputs, "heatmap")[0]  # [classes, Y, X]
    agents = _output(outputs, "agents")[0].astype(np.int64)  # [K]
    if agents.size and (agents.min() < 0 or agents.max() >= heatmap.size):
        raise ContractError(
            f"agents must index a heatmap of {heatmap.size} entries, got {agents.min()} to {agents.max()}"
        )
    labels, rows, columns = np.unravel_index(agents, heatmap.shape)  # [K] each
    groups = np.array(contract.tasks.group_of_class)[labels]
    codes = _float32(outputs, "box_codes")[0][groups, :, rows, columns]  # [K, 10]
    boxes = boxes_from_codes(codes, rows, columns, contract.geometry.grid)  # [K, 9]
    decoded = {"boxes": boxes, "scores": sigmoid(heatmap.reshape(-1)[agents]), "labels": labels.astype(np.int32)}
    if "motion" in contract.tasks.heads:
        steps_m = _float32(outputs, "trajectory_offsets")[0]  # [K, modes, steps, 2]
        decoded["trajectories"] = boxes[:, None, None, :2] + steps_m.cumsum(2, dtype=np.float32)
        decoded["trajectory_probabilities"] = softmax(_float32(outputs, "trajectory_logits")[0])
    return decoded


def _nothing(contract: Contract) -> dict[str, NDArray[Any]]:
    """Decoded outputs of tasks that the student does not have: the right axes, one of them of length 0."""
    tasks, side = contract.tasks, contract.tasks.occupancy_side
    _, y, x = map_grid(contract.geometry.grid, tasks).shape_zyx
    shapes = {
        "boxes": (0, len(BOX_FIELDS)),
        "scores": (0,),
        "trajectories": (tasks.detections, 0, tasks.motion_steps, 2),
        "trajectory_probabilities": (tasks.detections, 0),
        "map_probabilities": (0, y, x),
        "occupancy_probabilities": (0, side, side),
        "plans": (0, tasks.plan_steps, 2),
    }
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def boxes_from_codes(codes: Float32, rows: NDArray[np.intp], columns: NDArray[np.intp], grid: BEVGrid) -> Float32:
    """Boxes in metres and radians.

    Args:
        codes: [K, 10] channels of `BOX_CODES`.
        rows: [K] cells along y.
        columns: [K] cells along x.
        grid: the BEV grid of the heads.

    Returns:
        [K, 9] columns of `tasks.BOX_FIELDS`.
    """
    lower_m, cell_m = np.array(grid.lower_m, np.float32), np.array(grid.cell_m, np.float32)
    boxes = np.empty((len(codes), 9), np.float32)
    boxes[:, 0] = lower_m[0] + (columns.astype(np.float32) + codes[:, 0]) * cell_m[0]
    boxes[:, 1] = lower_m[1] + (rows.astype(np.float32) + codes[:, 1]) * cell_m[1]
    boxes[:, 2] = codes[:, 2]
    boxes[:, 3:6] = np.exp(np.clip(codes[:, 3:6], *LOG_SIZE_RANGE))
    boxes[:, 6] = np.arctan2(codes[:, 6], codes[:, 7])
    boxes[:, 7:] = codes[:, 8:]
    return boxes


def peaks(heatmap: Float32, count: int) -> tuple[Float32, NDArray[np.int32]]:
    """Scores and flat indices of the highest peaks: the NumPy twin of the graph's decoder.

    A cell is a peak when no logit of its 3 x 3 neighbourhood is higher; all others count as `NOT_A_PEAK`. Logits rather
    than probabilities are compared, so that a saturated sigmoid makes no ties.

    Args:
        heatmap: [classes, Y, X] logits.
        count: K.

    Returns:
        Scores [K], highest first, and class * Y * X + y * X + x [K]; equal logits in order of their index.
    """
    _, y, x = heatmap.shape
    padded = np.pad(heatmap, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)  # [classes, Y+2, X+2]
    highest = np.max([padded[:, i : i + y, j : j + x] for i in range(3) for j in range(3)], axis=0)  # [classes, Y, X]
    peaked = np.where(heatmap >= highest, heatmap, np.float32(NOT_A_PEAK)).reshape(-1)
    order = np.argsort(-peaked, kind="stable")[:count]
    return sigmoid(peaked[order]), order.astype(np.int32)


def sigmoid(logits: Float32) -> Float32:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, np.float32(1), small) / (1 + small), np.float32)


def softmax(logits: Float32) -> Float32:
    """Shares along the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)


def _output(outputs: Arrays, name: str) -> NDArray[Any]:
    if name not in outputs:
        raise ContractError(f"the graph's outputs lack {name!r}, they are {', '.join(outputs)}; export again")
    return outputs[name]


def _float32(outputs: Arrays, name: str) -> Float32:
    return np.asarray(_output(outputs, name), np.float32)
