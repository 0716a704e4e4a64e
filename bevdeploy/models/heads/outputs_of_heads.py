"""BEV features to the outputs of the heads that a model has: the same for students and teachers."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from bevdeploy.models.heads.decoder import bev_memory
from bevdeploy.models.heads.dense import MapHead, OccupancyHead
from bevdeploy.models.heads.detection import DetectionHead, cell_positions, gathered_codes, peaks
from bevdeploy.models.heads.motion import MotionHead
from bevdeploy.models.heads.planning import PlanningHead
from bevdeploy.models.outputs import StudentOutputs
from bevdeploy.models.spec import StudentSpec


class HasHeads(Protocol):
    """A model with up to five heads; None for a task that it does not have."""

    spec: StudentSpec
    detection: DetectionHead | None
    map: MapHead | None
    occupancy: OccupancyHead | None
    motion: MotionHead | None
    planning: PlanningHead | None
    group_of_class: Tensor
    """[classes], group of each detection class."""


def outputs_of_heads(model: HasHeads, encoded: Tensor, ego_state: Tensor | None) -> StudentOutputs:
    """Features [B, C, Y, X] to the dense outputs of the model's heads.

    Coordinates, box codes and queries are float32, whatever the convolutions compute in.
    """
    outputs = StudentOutputs(encoded.float())
    if model.map is not None:
        outputs = outputs._replace(map_logits=model.map(encoded).float())
    if model.occupancy is not None:
        outputs = outputs._replace(occupancy_logits=model.occupancy(encoded).float())
    if model.detection is not None:
        heatmap, box_codes = (output.float() for output in model.detection(encoded))
        agents = peaks(heatmap, model.spec.tasks.detections)  # [B, K]
        outputs = outputs._replace(heatmap=heatmap, box_codes=box_codes, agents=agents)
    if model.motion is None and model.planning is None:
        return outputs
    if not torch.is_autocast_enabled(encoded.device.type):
        return _with_queries(model, outputs, ego_state)
    with torch.autocast(encoded.device.type, enabled=False):
        return _with_queries(model, outputs, ego_state)


def _with_queries(model: HasHeads, outputs: StudentOutputs, ego_state: Tensor | None) -> StudentOutputs:
    memory = bev_memory(outputs.bev)  # [B, S, C]
    if model.motion is not None:
        outputs = _with_motion(model.motion, outputs, memory, model.group_of_class)
    if model.planning is not None:
        outputs = outputs._replace(plans=model.planning(outputs.bev, memory, ego_state))
    return outputs


def _with_motion(motion: MotionHead, outputs: StudentOutputs, memory: Tensor, group_of_class: Tensor) -> StudentOutputs:
    bev, heatmap, box_codes, agents = outputs.bev, outputs.heatmap, outputs.box_codes, outputs.agents
    assert heatmap is not None and box_codes is not None and agents is not None
    codes = gathered_codes(box_codes, agents, group_of_class)  # [B, K, 10]
    scores = heatmap.flatten(1).gather(1, agents).sigmoid()  # [B, K]
    rows, columns = bev.shape[-2:]
    size = torch.tensor([columns, rows], device=bev.device, dtype=bev.dtype)
    positions = cell_positions(agents, codes, columns, rows) / size  # [B, K, 2]
    offsets, mode_logits = motion(bev, memory, positions, codes, scores)
    return outputs._replace(trajectory_offsets=offsets, trajectory_logits=mode_logits)
