"""Pseudo-boxes: what was drawn comes back; groups, range, thresholds and suppression do what they say."""

from __future__ import annotations

import torch

from bevdeploy.distill.center_targets import center_targets
from bevdeploy.distill.planes import Plane
from bevdeploy.distill.pseudo_boxes import BoxRule, pseudo_boxes
from bevdeploy.tasks import TaskSpec

TASKS, PLANE = TaskSpec(), Plane((-51.2, -51.2), (1.6, 1.6), (64, 64))


def maps_of(boxes: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Heat map logits and box codes that say exactly these boxes [B, n, 9]."""
    targets = center_targets(boxes, labels, torch.ones(labels.shape), PLANE, TASKS)
    heatmap = torch.where(targets.centres > 0, 5.0, -9.0)
    codes = torch.zeros(len(boxes), 6, 10, 64, 64)
    flat = codes.flatten(0, 1).flatten(2)
    flat[targets.cells // 4096, :, targets.cells % 4096] = targets.codes
    return heatmap, codes


def test_boxes_come_back() -> None:
    boxes = torch.zeros(2, 3, 9)
    boxes[0, 0] = torch.tensor([10.3, -4.4, 0.5, 2.0, 4.5, 1.6, 0.4, 2.0, 0.1])
    boxes[0, 1] = torch.tensor([-30.0, 20.0, 1.5, 3.0, 11.0, 3.6, -2.4, 0.0, 0.0])
    boxes[1, 0] = torch.tensor([3.0, 3.0, 0.0, 0.7, 0.8, 1.7, 1.0, 0.0, 1.0])
    labels = torch.tensor([[0, 4, -1], [9, -1, -1]])
    found, classes = pseudo_boxes(*maps_of(boxes, labels), PLANE, TASKS, BoxRule())
    assert sorted(classes[0].tolist()) == [0, 4] and sorted(classes[1].tolist()) == [-1, 9]
    for sample in range(2):
        for box, label in zip(boxes[sample], labels[sample].tolist(), strict=True):
            if label >= 0:
                (got,) = found[sample][classes[sample] == label]
                assert torch.allclose(got, box, atol=1e-4)


def test_of_two_overlapping_boxes_of_a_group_the_better_stays() -> None:
    boxes = torch.zeros(1, 3, 9)
    boxes[0, :, 3:6] = torch.tensor([2.5, 6.0, 2.0])
    boxes[0, 1, 0] = 2.0
    heatmap, codes = maps_of(boxes, torch.tensor([[1, 2, 3]]))  # truck, construction vehicle: one group; bus: another
    heatmap[0, 2] = torch.where(heatmap[0, 2] > 0, 6.0, heatmap[0, 2])
    classes = pseudo_boxes(heatmap, codes, PLANE, TASKS, BoxRule())[1]
    assert sorted(classes[0].tolist()) == [2, 3]


def test_range_and_number_are_limited() -> None:
    boxes = torch.zeros(1, 4, 9)
    boxes[0, :, 0] = torch.tensor([-40.0, -5.0, 5.0, 45.0])
    boxes[0, :, 3:6] = 1.0
    maps = maps_of(boxes, torch.zeros(1, 4, dtype=torch.long))
    assert pseudo_boxes(*maps, PLANE, TASKS, BoxRule())[0].shape[1] == 4
    near = pseudo_boxes(*maps, PLANE, TASKS, BoxRule(range_m=42.0))[0]
    assert sorted(near[0, :, 0].round().tolist()) == [-40, -5, 5]
    assert pseudo_boxes(*maps, PLANE, TASKS, BoxRule(kept=2))[0].shape[1] == 2


def test_nothing_found_is_an_empty_batch() -> None:
    heatmap, codes = torch.full((2, 10, 64, 64), -9.0), torch.zeros(2, 6, 10, 64, 64)
    before = heatmap.clone()
    boxes, labels = pseudo_boxes(heatmap, codes, PLANE, TASKS, BoxRule())
    assert boxes.shape == (2, 0, 9) and labels.shape == (2, 0)
    assert torch.equal(heatmap, before)
