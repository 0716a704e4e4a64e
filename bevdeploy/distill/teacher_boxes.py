"""A teacher's detections as scored boxes in metres, and which of them a student's detections mean."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bevdeploy.distill.center_targets import boxes_of_codes
from bevdeploy.distill.planes import plane_of
from bevdeploy.distill.taps import TapForm, Taps
from bevdeploy.models.heads.detection import gathered_codes, peaks

MIN_SCORE = 0.3
"""Teacher boxes below it teach nothing."""


class ScoredBoxes(NamedTuple):
    """K detections of each sample, in the order of the network's `agents`."""

    boxes: Tensor
    """[B, K, 9], columns of `tasks.BOX_FIELDS`."""
    labels: Tensor
    """[B, K]."""
    scores: Tensor
    """[B, K]."""


@torch.no_grad()
def scored_boxes(taps: Taps, form: TapForm) -> ScoredBoxes:
    """The boxes at a network's agents, or at the peaks of its heat map where it names none."""
    heatmap, codes = taps.output("heatmap").float(), taps.output("box_codes").float()
    rows, columns = heatmap.shape[-2:]
    agents = taps.outputs.get("agents")
    if agents is None:
        agents = peaks(heatmap, min(form.tasks.detections, heatmap[0].numel()))  # [B, K]
    agents = agents.long()
    groups = torch.tensor(form.tasks.group_of_class, device=heatmap.device)
    labels, cell = agents // (rows * columns), agents % (rows * columns)  # [B, K] each
    plane = plane_of(form.grid, (rows, columns))
    boxes = boxes_of_codes(gathered_codes(codes, agents, groups), cell // columns, cell % columns, plane)  # [B, K, 9]
    return ScoredBoxes(boxes, labels, heatmap.flatten(1).gather(1, agents).sigmoid())


@torch.no_grad()
def matched(student: ScoredBoxes, teacher: ScoredBoxes, reach_m: float) -> tuple[Tensor, Tensor]:
    """For each student box the nearest teacher box of its class.

    Returns:
        Index [B, K] into the teacher's boxes, and bool [B, K] where one scores `MIN_SCORE` and lies within `reach_m`.
    """
    gap_m = torch.cdist(student.boxes[..., :2], teacher.boxes[..., :2])  # [B, K, K']
    possible = (student.labels[..., None] == teacher.labels[:, None]) & (teacher.scores >= MIN_SCORE)[:, None]
    nearest_m, index = gap_m.masked_fill(~possible, torch.inf).min(-1)  # [B, K] each
    return index, nearest_m <= reach_m
