"""What is traced: a student with its preprocessing and decoding inside (`frames`), or bare (`tensor`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bevdeploy.export.graph_inputs import student_inputs
from bevdeploy.geometry import ImageTransform
from bevdeploy.models import Student, StudentOutputs
from bevdeploy.models.heads.decoder import running_sum
from bevdeploy.models.heads.detection import cell_positions, divided, gathered_codes
from bevdeploy.models.outputs import dense_outputs
from bevdeploy.runtime.contract import Preprocessing
from bevdeploy.runtime.preprocess import linear_taps, resample_weights
from bevdeploy.tasks import LOG_SIZE_RANGE, TaskSpec

DECODED_BY_HEAD = {
    "detection": ("boxes", "scores", "labels", "cells"),
    "motion": ("trajectories", "trajectory_probabilities"),
    "map": ("map_probabilities",),
    "occupancy": ("occupancy_probabilities",),
    "planning": ("plans",),
}


def decoded_outputs(tasks: TaskSpec, temporal: bool = False) -> tuple[str, ...]:
    """Names of the outputs of a `frames` graph, in its order: decoded ones, and the state of temporal students."""
    decoded = tuple(name for head, names in DECODED_BY_HEAD.items() if head in tasks.heads for name in names)
    return (*decoded, "bev_state") if temporal else decoded


def opened_outputs(tasks: TaskSpec, temporal: bool = False) -> tuple[str, ...]:
    """All outputs of a `frames` graph before those are cut off that only the parity check opens."""
    decoded = decoded_outputs(tasks, temporal)
    return decoded + tuple(name for name in dense_outputs(tasks, temporal) if name not in decoded)


class TensorGraph(nn.Module):
    """Normalised images and tables in, dense outputs out; `agents` as int32."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, images: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """Images [1, N, 3, H, W] and the graph's other inputs (`graph_inputs`); to `StudentOutputs`."""
        outputs = self.student(student_inputs(self.student.spec, images, others))
        return tuple(_exported(outputs).values())


class FramesGraph(nn.Module):
    """Raw frames and tables in, decoded results out; then the dense outputs, which only the parity check opens."""

    mean: Tensor
    std: Tensor
    rows_weights: Tensor
    columns_weights: Tensor
    rows_lower: Tensor
    rows_upper: Tensor
    rows_share: Tensor
    columns_lower: Tensor
    columns_upper: Tensor
    columns_share: Tensor
    group_of_class: Tensor

    def __init__(self, student: Student, transform: ImageTransform, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.student = student
        self.transform = transform
        self.tasks = student.spec.tasks
        self.register_buffer("mean", torch.tensor(preprocessing.mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("group_of_class", torch.tensor(self.tasks.group_of_class), persistent=False)
        self.antialias = preprocessing.resize == "antialias"
        for axis, along in enumerate(("rows", "columns")):
            for name, value in _resampling(transform, axis, self.antialias).items():
                self.register_buffer(f"{along}_{name}", torch.from_numpy(value), persistent=False)

    def forward(self, frames: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """Frames [N, Hraw, Wraw, 3] uint8 RGB and the graph's other inputs (`graph_inputs`)."""
        images = self.preprocess(frames)[None]  # [1, N, 3, H, W]
        outputs = self.student(student_inputs(self.student.spec, images, others))
        named = {**_exported(outputs), **self.decode(outputs)}
        return tuple(named[name] for name in opened_outputs(self.tasks, self.student.spec.temporal))

    def preprocess(self, frames: Tensor) -> Tensor:
        """Frames [N, Hraw, Wraw, 3] uint8 to normalised images [N, 3, H, W]."""
        images = frames.to(self.mean.dtype)  # [N, Hraw, Wraw, 3]
        if self.antialias:
            images = images.permute(0, 3, 1, 2)  # [N, 3, Hraw, Wraw]
            images = (self.rows_weights @ images) @ self.columns_weights.T  # [N, 3, H, W]
        else:
            images = self._interpolated(images, 1, self.rows_lower, self.rows_upper, self.rows_share)
            images = self._interpolated(images, 2, self.columns_lower, self.columns_upper, self.columns_share)
            images = images.permute(0, 3, 1, 2)  # [N, 3, H, W]
        return (images - self.mean) / self.std

    @staticmethod
    def _interpolated(images: Tensor, axis: int, lower: Tensor, upper: Tensor, share: Tensor) -> Tensor:
        """Resize and crop along one axis; constant taps, since Resize operators round coordinates each in their way."""
        below, above = images.index_select(axis, lower), images.index_select(axis, upper)
        return below + (above - below) * share.reshape(-1, *[1] * (3 - axis))

    def decode(self, outputs: StudentOutputs) -> dict[str, Tensor]:
        """Dense outputs of one sample to decoded ones by name, without the batch axis."""
        decoded: dict[str, Tensor] = {}
        if outputs.agents is not None:
            decoded |= self._decoded_boxes(outputs)
        if outputs.map_logits is not None:
            decoded["map_probabilities"] = outputs.map_logits.sigmoid()
        if outputs.occupancy_logits is not None:
            decoded["occupancy_probabilities"] = outputs.occupancy_logits.sigmoid()
        if outputs.plans is not None:
            decoded["plans"] = outputs.plans
        return {name: value[0] for name, value in decoded.items()}

    def _decoded_boxes(self, outputs: StudentOutputs) -> dict[str, Tensor]:
        heatmap, box_codes, agents = outputs.heatmap, outputs.box_codes, outputs.agents  # agents [1, K]
        assert heatmap is not None and box_codes is not None and agents is not None
        grid = self.student.spec.geometry.grid
        columns, rows, _ = grid.count
        labels, cells = divided(agents, rows * columns)  # [1, K] each
        codes = gathered_codes(box_codes, agents, self.group_of_class)  # [1, K, 10]
        lower_m = torch.tensor(grid.lower_m[:2], dtype=codes.dtype, device=codes.device)
        cell_m = torch.tensor(grid.cell_m[:2], dtype=codes.dtype, device=codes.device)
        centres_m = cell_positions(agents, codes, columns, rows) * cell_m + lower_m  # [1, K, 2]
        yaw = torch.atan2(codes[..., 6:7], codes[..., 7:8])  # [1, K, 1]
        sizes_m = codes[..., 3:6].clamp(*LOG_SIZE_RANGE).exp()
        decoded = {
            "boxes": torch.cat([centres_m, codes[..., 2:3], sizes_m, yaw, codes[..., 8:10]], -1),  # [1, K, 9]
            "scores": heatmap.flatten(1).gather(1, agents).sigmoid(),
            "labels": labels.to(torch.int32),
            "cells": cells.to(torch.int32),
        }
        if outputs.trajectory_offsets is not None and outputs.trajectory_logits is not None:
            steps_m = running_sum(self.tasks.motion_steps, codes) @ outputs.trajectory_offsets  # [1, K, M, T, 2]
            decoded["trajectories"] = centres_m[:, :, None, None] + steps_m
            decoded["trajectory_probabilities"] = outputs.trajectory_logits.softmax(-1)
        return decoded


def _exported(outputs: StudentOutputs) -> dict[str, Tensor]:
    """Dense outputs by name; `agents` as int32."""
    return {name: value.to(torch.int32) if name == "agents" else value for name, value in outputs.present().items()}


def _resampling(transform: ImageTransform, axis: int, antialias: bool) -> dict[str, NDArray[Any]]:
    """Constants of the resize along y (0) or x (1): a weight matrix, or the taps of a linear resize."""
    raw, resized = transform.raw_hw[axis], transform.resized_hw[axis]
    crop, net = transform.crop_yx[axis], transform.net_hw[axis]
    if antialias:
        return {"weights": resample_weights(raw, resized, crop, net, antialias=True)}
    taps = linear_taps(raw, resized, crop, net)
    return {"lower": taps.lower.astype(np.int64), "upper": taps.upper.astype(np.int64), "share": taps.share}
