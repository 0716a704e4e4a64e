"""Drawn boxes against loops; codes are what the student's decoder reads back."""

from __future__ import annotations

import math

import pytest
import torch

from bevdeploy.distill.center_loss import CODE_WEIGHTS, box_loss, heatmap_loss
from bevdeploy.distill.center_targets import boxes_of_codes, center_targets, gaussian_radius
from bevdeploy.distill.planes import Plane
from bevdeploy.tasks import TaskSpec

PLANE = Plane((-12.8, -9.6), (0.8, 0.6), (32, 32))
TASKS = TaskSpec()


@pytest.fixture
def boxes(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes [2, 6, 9] of which some lie outside, labels with gaps, weights."""
    boxes = torch.randn(2, 6, 9, generator=generator)
    boxes[..., 0] *= 8
    boxes[..., 1] *= 6
    boxes[..., 3:6] = boxes[..., 3:6].abs() * 2 + 0.5
    boxes[0, 1, :2] = boxes[0, 0, :2]  # two boxes of one cell
    boxes[0, 2, :2] = boxes[0, 0, :2] + 1.0  # and a neighbour
    labels = torch.tensor([[0, 0, 0, 5, 9, -1], [1, 2, -1, 3, 8, 7]])
    return boxes, labels, torch.rand(2, 6, generator=generator) * 0.7 + 0.3


def slow_radius(length: float, width: float) -> float:
    """CornerNet's three cases written out, overlap 0.1."""
    b1, c1 = length + width, length * width * 0.9 / 1.1
    b2, c2 = 2 * (length + width), 0.9 * length * width
    a3, b3, c3 = 0.4, -0.2 * (length + width), -0.9 * length * width
    return math.floor(
        min(
            (b1 + math.sqrt(b1 * b1 - 4 * c1)) / 2,
            (b2 + math.sqrt(b2 * b2 - 16 * c2)) / 2,
            (b3 + math.sqrt(b3 * b3 - 4 * a3 * c3)) / 2,
        )
    )


def test_heat_maps_are_those_of_a_loop(boxes: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    given, labels, weights = boxes
    targets = center_targets(given, labels, weights, PLANE, TASKS)
    want, centres, drawn = torch.zeros(2, 10, 32, 32), torch.zeros(2, 10, 32, 32), 0
    for sample in range(2):
        for box, label, weight in zip(given[sample], labels[sample].tolist(), weights[sample].tolist(), strict=True):
            column, row = math.floor((float(box[0]) + 12.8) / 0.8), math.floor((float(box[1]) + 9.6) / 0.6)
            if label < 0 or not (0 <= column < 32 and 0 <= row < 32):
                continue
            drawn += 1
            radius = int(max(2, slow_radius(float(box[4]) / 0.8, float(box[3]) / 0.6)))
            sigma = (2 * radius + 1) / 6
            for y in range(max(0, row - radius), min(32, row + radius + 1)):
                for x in range(max(0, column - radius), min(32, column + radius + 1)):
                    peak = weight * math.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
                    want[sample, label, y, x] = max(float(want[sample, label, y, x]), peak)
            centres[sample, label, row, column] = max(float(centres[sample, label, row, column]), weight)
    assert drawn >= 6 and len(targets.cells) == drawn
    assert torch.allclose(targets.heatmap, want, atol=1e-5)
    assert torch.allclose(targets.centres, centres, atol=1e-6)


def test_codes_decode_to_the_boxes(boxes: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    given, labels, weights = boxes
    targets = center_targets(given, labels, weights, PLANE, TASKS)
    cell = targets.cells % (32 * 32)
    decoded = boxes_of_codes(targets.codes, cell // 32, cell % 32, PLANE)
    inside = (given[..., :2] >= torch.tensor([-12.8, -9.6])) & (given[..., :2] < torch.tensor([12.8, 9.6]))
    kept = inside.all(-1) & (labels >= 0)
    assert torch.allclose(decoded, given[kept], atol=1e-4)
    groups = torch.tensor(TASKS.group_of_class)[labels[kept]]
    sample = kept.nonzero()[:, 0]
    assert torch.equal(targets.cells // (32 * 32), sample * 6 + groups) and torch.equal(targets.groups, groups)


def test_radius_by_hand() -> None:
    lengths, widths = torch.tensor([5.75, 13.0, 1.0]), torch.tensor([2.4, 3.6, 1.0])
    want = [slow_radius(a, b) for a, b in zip(lengths.tolist(), widths.tolist(), strict=True)]
    assert gaussian_radius(lengths, widths).tolist() == want


def test_losses_are_those_of_a_loop(
    boxes: tuple[torch.Tensor, torch.Tensor, torch.Tensor], generator: torch.Generator
) -> None:
    given, labels, weights = boxes
    given = given.clone()
    given[0, 0, 7:] = math.nan  # unknown velocity
    targets = center_targets(given, labels, weights, PLANE, TASKS)
    logits = torch.randn(2, 10, 32, 32, generator=generator)
    codes = torch.randn(2, 6, 10, 32, 32, generator=generator)
    p = logits.double().sigmoid()
    heat, box = 0.0, 0.0
    first = 0
    for group, names in enumerate(TASKS.detection_tasks):
        channels = slice(first, first + len(names))
        mine, target, centre = p[:, channels], targets.heatmap[:, channels], targets.centres[:, channels]
        positive = -(centre * (1 - mine) ** 2 * mine.log())[centre > 0].sum()
        negative = -((1 - target) ** 4 * mine**2 * (1 - mine).log())[centre == 0].sum()
        heat += float(positive + negative) / max(1.0, float(centre.sum()))
        error = weight = 0.0
        for k in range(len(targets.cells)):
            if int(targets.groups[k]) == group:
                plane, cell = divmod(int(targets.cells[k]), 1024)
                found = codes[plane // 6, plane % 6, :, cell // 32, cell % 32]
                for code in range(10):
                    if math.isfinite(targets.codes[k, code]):
                        gap = abs(float(found[code] - targets.codes[k, code]))
                        error += CODE_WEIGHTS[code] * gap * float(targets.weights[k])
                weight += float(targets.weights[k])
        box += error / max(1.0, weight)
        first += len(names)
    assert heatmap_loss(logits, targets, TASKS).item() == pytest.approx(heat, rel=1e-4)
    assert box_loss(codes, targets, TASKS).item() == pytest.approx(box, rel=1e-4)


def test_gradients_stay_finite_at_saturated_logits(
    boxes: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    targets = center_targets(*boxes, PLANE, TASKS)
    logits = torch.cat([torch.full((2, 5, 32, 32), 80.0), torch.full((2, 5, 32, 32), -80.0)], 1).requires_grad_(True)
    heatmap_loss(logits, targets, TASKS).backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_a_true_peak_of_weight_one_is_cornernets_loss() -> None:
    """One positive of logit 0, all else certain: (1/2)^2 * log 2."""
    box = torch.tensor([[[0.1, 0.1, 0, 2.0, 4.0, 1.5, 0, 0, 0]]])
    targets = center_targets(box, torch.tensor([[0]]), torch.ones(1, 1), PLANE, TASKS)
    logits = torch.where(targets.centres > 0, 0.0, -40.0)
    assert heatmap_loss(logits, targets, TASKS).item() == pytest.approx(math.log(2) / 4, rel=1e-5)
