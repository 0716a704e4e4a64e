"""Pseudo-boxes: what a teacher's detection outputs say, as if it were annotated.

Re-implementation following DualDistill's public code: heat map logits over a temperature, the 500 highest of each class
group, a score threshold, rotated suppression within the group; the scores are then dropped. Since a temperature keeps
the order, it acts on the threshold alone: sigmoid(x / 0.1) > 0.1 is sigmoid(x) > 0.4453.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bevdeploy.distill.center_targets import boxes_of_codes
from bevdeploy.distill.planes import Plane
from bevdeploy.distill.rotated_overlap import kept_boxes
from bevdeploy.tasks import TaskSpec


@dataclass(frozen=True)
class BoxRule:
    """Numbers of DualDistill's decoding."""

    temperature: float = 0.1
    score: float = 0.1
    candidates: int = 500
    """Highest entries per class group."""
    range_m: float = 61.2
    """Centres farther along x or y are dropped."""
    overlap: float = 0.2
    kept: int = 83
    """Per class group."""


@torch.no_grad()
def pseudo_boxes(
    heatmap: Tensor, box_codes: Tensor, plane: Plane, tasks: TaskSpec, rule: BoxRule
) -> tuple[Tensor, Tensor]:
    """Boxes of a batch; the inputs stay as they are.

    Args:
        heatmap: [B, classes, Y, X] logits.
        box_codes: [B, G, 10, Y, X].
        plane: cells of the heat map.
        tasks: class groups.
        rule: what counts as a box.

    Returns:
        Boxes [B, n, 9], columns of `tasks.BOX_FIELDS`, and labels [B, n], -1 beyond a sample's boxes.
    """
    found: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in heatmap]
    first = 0
    for group, names in enumerate(tasks.detection_tasks):
        logits = heatmap[:, first : first + len(names)].float()  # [B, classes of the group, Y, X]
        candidates = decoded(logits, box_codes[:, group].float(), plane, rule)
        for sample, (boxes, scores, labels) in enumerate(candidates):
            kept = kept_boxes(boxes, scores, rule.overlap, rule.kept)
            found[sample][0].append(boxes[kept])
            found[sample][1].append(labels[kept] + first)
        first += len(names)
    all_boxes, all_labels = [torch.cat(boxes) for boxes, _ in found], [torch.cat(labels) for _, labels in found]
    return pad_sequence(all_boxes, batch_first=True), pad_sequence(all_labels, batch_first=True, padding_value=-1)


def decoded(logits: Tensor, codes: Tensor, plane: Plane, rule: BoxRule) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Boxes [n, 9], scores [n] and labels [n] of each sample above the threshold, best first, before suppression.

    Args:
        logits: [B, classes of one group, Y, X].
        codes: [B, 10, Y, X].
        plane: their cells.
        rule: what counts as a box.
    """
    columns, rows = plane.count
    flat = logits.flatten(1)  # [B, classes*Y*X]
    values, index = flat.topk(min(rule.candidates, flat.shape[1]))  # [B, n] each
    scores = (values / rule.temperature).sigmoid()
    labels, cell = index // (rows * columns), index % (rows * columns)  # [B, n] each
    picked = codes.flatten(2).transpose(1, 2).gather(1, cell[..., None].expand(-1, -1, codes.shape[1]))  # [B, n, 10]
    boxes = boxes_of_codes(picked, cell // columns, cell % columns, plane)  # [B, n, 9]
    good = (scores > rule.score) & (boxes[..., :2].abs() <= rule.range_m).all(-1)  # [B, n]
    rows_of = zip(boxes, scores, labels, good, strict=True)
    return [(box[keep], score[keep], label[keep]) for box, score, label, keep in rows_of]
