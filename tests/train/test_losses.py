"""Losses: numbers by hand, slow twins, and gradients where they belong."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from bevdeploy.train.batch import TargetTensors
from bevdeploy.train.box_loss import CODE_WEIGHTS, box_loss
from bevdeploy.train.depth_loss import depth_loss
from bevdeploy.train.heatmap_loss import heatmap_loss
from bevdeploy.train.map_loss import map_loss
from bevdeploy.train.mask_loss import dice, hardest
from bevdeploy.train.motion_loss import matched_futures, motion_loss
from bevdeploy.train.occupancy_loss import DISCOUNT, HARD_SHARE, occupancy_loss
from bevdeploy.train.planning_loss import collision_loss, planning_loss

GENERATOR = torch.Generator().manual_seed(5)


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def targets_with(**fields: torch.Tensor) -> TargetTensors:
    empty = torch.zeros(0)
    return TargetTensors(**{**dict.fromkeys(TargetTensors._fields, empty), **fields})


def test_heatmap_by_hand() -> None:
    logits = torch.tensor([logit(0.8), logit(0.3), logit(0.1)]).reshape(1, 1, 1, 3)
    targets = torch.tensor([1.0, 0.5, 0.0]).reshape(1, 1, 1, 3)
    expected = -(0.2**2 * math.log(0.8) + 0.5**4 * 0.3**2 * math.log(0.7) + 0.1**2 * math.log(0.9))
    assert float(heatmap_loss(logits, targets, [1])) == pytest.approx(expected, rel=1e-5)


def test_heatmap_divides_each_group_by_its_own_centres() -> None:
    logits = torch.randn(2, 3, 4, 5, generator=GENERATOR)
    targets = torch.rand(2, 3, 4, 5, generator=GENERATOR) * 0.9
    targets[0, 0, 1, 1] = targets[1, 0, 2, 2] = targets[0, 2, 3, 3] = 1
    expected = 0.0
    for classes in ([0], [1, 2]):
        loss, centres = 0.0, 0
        for x, t in zip(logits[:, classes].flatten().tolist(), targets[:, classes].flatten().tolist(), strict=True):
            p = 1 / (1 + math.exp(-x))
            centres += t == 1
            loss -= (1 - p) ** 2 * math.log(p) if t == 1 else (1 - t) ** 4 * p**2 * math.log(1 - p)
        expected += loss / max(centres, 1)
    assert float(heatmap_loss(logits, targets, [1, 2])) == pytest.approx(expected, rel=1e-5)


def test_heatmap_stays_finite_where_the_sigmoid_does_not() -> None:
    logits = torch.tensor([-200.0, 200.0]).reshape(1, 1, 1, 2).requires_grad_()
    heatmap_loss(logits, torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2), [1]).backward()
    assert logits.grad is not None and logits.grad.flatten().tolist() == pytest.approx([-1, 1])


def test_boxes_by_hand() -> None:
    box_codes = torch.zeros(2, 2, 10, 2, 3, requires_grad=True)
    cells = torch.tensor([4, 6 * 3 + 1])  # sample 0, group 0, row 1, column 1; sample 1, group 1, row 0, column 1
    codes = torch.ones(2, 10)
    codes[0, 8:] = torch.nan
    loss = box_loss(box_codes, cells, codes, torch.tensor([1.0, 0.5]))
    # group 0: 8 codes of weight 1 over a weight of 1; group 1: (8 + 2 * 0.2) * 0.5, over 1 at least
    assert loss.item() == pytest.approx(8 + 8.4 * 0.5)
    loss.backward()
    assert box_codes.grad is not None and torch.isfinite(box_codes.grad).all()
    touched = box_codes.grad.nonzero()[:, [0, 1, 3, 4]].unique(dim=0).tolist()
    assert touched == [[0, 0, 1, 1], [1, 1, 0, 1]]
    assert box_codes.grad[0, 0, 8:].abs().sum() == 0, "an unknown velocity trains nothing"


def test_boxes_against_loops() -> None:
    box_codes = torch.randn(3, 6, 10, 4, 5, generator=GENERATOR)
    cells = torch.randperm(3 * 6 * 20, generator=GENERATOR)[:40]
    codes = torch.randn(40, 10, generator=GENERATOR)
    codes[::3, 8:] = torch.nan
    weights = torch.rand(40, generator=GENERATOR)
    sums, totals = [0.0] * 6, [0.0] * 6
    for cell, code, weight in zip(cells.tolist(), codes.tolist(), weights.tolist(), strict=True):
        sample, group, y, x = cell // 120, cell // 20 % 6, cell % 20 // 5, cell % 5
        for k, value in enumerate(code):
            if not math.isnan(value):
                sums[group] += weight * CODE_WEIGHTS[k] * abs(float(box_codes[sample, group, k, y, x]) - value)
        totals[group] += weight
    expected = sum(s / max(t, 1) for s, t in zip(sums, totals, strict=True))
    assert float(box_loss(box_codes, cells, codes, weights)) == pytest.approx(expected, rel=1e-5)


def test_boxes_of_an_empty_batch_are_zero_with_a_gradient() -> None:
    box_codes = torch.zeros(1, 6, 10, 4, 4, requires_grad=True)
    loss = box_loss(box_codes, torch.zeros(0, dtype=torch.int64), torch.zeros(0, 10), torch.zeros(0))
    loss.backward()
    assert loss.item() == 0 and box_codes.grad is not None and box_codes.grad.abs().sum() == 0


def test_dice_by_hand() -> None:
    logits = torch.tensor([[40.0, -40.0], [40.0, -40.0]]).reshape(1, 2, 1, 2)
    masks = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).reshape(1, 2, 1, 2)
    # class 0 is right: 1 - (2 + 1) / (2 + 1); class 1 misses: 1 - 1 / (2 + 1)
    assert dice(logits, masks).tolist() == pytest.approx([0, 2 / 3])


def test_map_by_hand() -> None:
    logits = torch.zeros(1, 2, 1, 2)
    masks = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    # every cell costs log 2; Dice: 1 - (2 * 0.5 + 1) / (1 + 1 + 1) and 1 - 1 / (1 + 1)
    assert float(map_loss(logits, masks)) == pytest.approx(2 * math.log(2) + 1 / 3 + 1 / 2)
    assert float(map_loss(logits, masks, dice_weight=0)) == pytest.approx(2 * math.log(2))


def test_hardest_by_hand() -> None:
    assert hardest(torch.tensor([[1.0, 4.0, 3.0, 2.0], [0.0, 0.0, 8.0, 0.0]]), 0.5).tolist() == [3.5, 4.0]


def test_occupancy_against_loops_and_unknown_steps() -> None:
    logits = torch.randn(2, 3, 4, 4, generator=GENERATOR)
    occupancy = (torch.rand(2, 3, 4, 4, generator=GENERATOR) < 0.3).float()
    valid = torch.tensor([[True, True, False], [True, False, False]])
    total, weights = 0.0, 0.0
    for sample in range(2):
        for step in range(3):
            if valid[sample, step]:
                cells = F.binary_cross_entropy_with_logits(
                    logits[sample, step], occupancy[sample, step], reduction="none"
                )
                worst = sorted(cells.flatten().tolist(), reverse=True)[: round(HARD_SHARE * 16)]
                total += DISCOUNT**step * sum(worst) / len(worst)
                weights += DISCOUNT**step
    overlaps = 0.0
    for step, samples in ((0, [0, 1]), (1, [0])):
        p, mask = logits[samples, step].sigmoid(), occupancy[samples, step]
        overlaps += DISCOUNT**step * float(1 - (2 * (p * mask).sum() + 1) / (p.sum() + mask.sum() + 1))
    expected = total / weights + overlaps / (1 + DISCOUNT)
    assert float(occupancy_loss(logits, occupancy, valid)) == pytest.approx(expected, rel=1e-5)
    assert float(occupancy_loss(logits, occupancy, torch.zeros_like(valid))) == 0


def test_motion_by_hand() -> None:
    # one agent 1 m beside the box, one far away; two modes, two steps
    positions_m = torch.tensor([[[5.0, 1.0], [30.0, 0.0]]])
    targets = targets_with(
        boxes=torch.tensor([[[5.0, 0.0, 0, 2, 4, 1, 0, 0, 0], [-5.0, 0.0, 0, 2, 4, 1, 0, 0, 0]]]),
        futures_m=torch.tensor([[[[3.0, 0.0], [6.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]]),
        futures_valid=torch.tensor([[[True, True], [True, True]]]),
    )
    offsets = torch.zeros(1, 2, 2, 2, 2)
    offsets[0, 0, 1] = torch.tensor([3.0, 0.0])  # mode 1: 3, then 6 m: exact but for what is added below
    offsets[0, 0, 1, 1, 1] = 2.0  # (6, 2) at the second step: smooth L1 of 2 is 1.5
    offsets.requires_grad_()
    logits = torch.zeros(1, 2, 2, requires_grad=True)
    paths, modes = motion_loss(offsets, logits, positions_m, targets)
    assert paths.item() == pytest.approx(1.5 / 2)
    assert modes.item() == pytest.approx(math.log(2))
    (paths + modes).backward()
    assert offsets.grad is not None and logits.grad is not None
    assert offsets.grad[0, 1].abs().sum() == 0 and offsets.grad[0, 0, 0].abs().sum() == 0
    assert offsets.grad[0, 0, 1].abs().sum() > 0 and logits.grad[0, 0, 1] < 0 < logits.grad[0, 0, 0]


def test_agents_take_the_nearest_box_with_a_known_future() -> None:
    boxes = torch.rand(2, 7, 9, generator=GENERATOR) * 10
    futures = torch.rand(2, 7, 3, 2, generator=GENERATOR)
    valid = torch.rand(2, 7, 3, generator=GENERATOR) < 0.4
    positions_m = torch.rand(2, 9, 2, generator=GENERATOR) * 10
    future, known = matched_futures(positions_m, targets_with(boxes=boxes, futures_m=futures, futures_valid=valid))
    for b in range(2):
        for k in range(9):
            gaps = [
                (float((boxes[b, n, :2] - positions_m[b, k]).norm()), n) for n in range(7) if bool(valid[b, n].any())
            ]
            gap_m, n = min(gaps)
            assert known[b, k].tolist() == (valid[b, n].tolist() if gap_m <= 2 else [False] * 3)
            if gap_m <= 2:
                assert torch.equal(future[b, k], futures[b, n])


def test_motion_without_a_match_is_zero() -> None:
    targets = targets_with(
        boxes=torch.zeros(1, 1, 9), futures_m=torch.zeros(1, 1, 3, 2), futures_valid=torch.zeros(1, 1, 3).bool()
    )
    offsets = torch.randn(1, 4, 2, 3, 2, requires_grad=True)
    paths, modes = motion_loss(offsets, torch.randn(1, 4, 2), torch.zeros(1, 4, 2), targets)
    (paths + modes).backward()
    assert paths.item() == modes.item() == 0 and offsets.grad is not None and offsets.grad.abs().sum() == 0


def test_plan_by_hand() -> None:
    plans = torch.zeros(2, 3, 2, 2, requires_grad=True)
    targets = targets_with(
        plan_m=torch.tensor([[[3.0, 4.0], [6.0, 8.0]], [[1.0, 0.0], [0.0, 0.0]]]),
        plan_valid=torch.tensor([[True, True], [True, False]]),
        command=torch.tensor([1, 2]),
    )
    loss = planning_loss(plans, targets)
    assert loss.item() == pytest.approx((5 + 10 + 1) / 3, rel=1e-4)
    loss.backward()
    assert plans.grad is not None
    assert plans.grad.abs().sum((2, 3)).gt(0).tolist() == [[False, True, False], [False, False, True]]


def test_collision_by_hand() -> None:
    # a car of 2 x 4 m, as the ego frame turned, 3 m ahead of the ego vehicle's centre, in its lane
    box = torch.tensor([0.985 + 3.0, 0.0, 0.0, 2.0, 4.0, 1.5, 0.0, 0.0, 0.0])
    targets = targets_with(
        boxes=box.reshape(1, 1, 9),
        futures_m=torch.zeros(1, 1, 12, 2),
        futures_valid=torch.ones(1, 1, 12).bool(),
        command=torch.tensor([2]),
    )
    plans = torch.zeros(1, 3, 1, 2, requires_grad=True)
    loss = collision_loss(plans, targets)
    reach_x, reach_y = (4 + 4.084) / 2, (2 + 1.85) / 2
    expected = sum(
        weight * (reach_x + margin - 3) * (reach_y + margin) for margin, weight in ((0, 2.5), (0.5, 1.0), (1.0, 0.25))
    )
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert plans.grad is not None and plans.grad[0, 2, 0, 0] > 0, "braking lowers the loss"
    beside = targets._replace(boxes=targets.boxes + torch.tensor([0, 3.0, 0, 0, 0, 0, 0, 0, 0]))
    assert collision_loss(plans, beside).item() == 0
    turned = targets._replace(boxes=beside.boxes + torch.tensor([0.0, 0, 0, 0, 0, 0, math.pi / 2, 0, 0]))
    assert collision_loss(plans, turned).item() > 0, "across the road it reaches into the lane"
    gone = targets._replace(futures_m=torch.full((1, 1, 12, 2), 30.0))
    assert collision_loss(plans, gone).item() == 0


def test_depth_by_hand() -> None:
    logits = torch.zeros(2, 4, 1, 2)
    logits[0, 1, 0, 0] = math.log(3)  # probabilities 1/6, 3/6, 1/6, 1/6
    bins = torch.tensor([[[[1, -1]], [[-1, 0]]]], dtype=torch.int16)  # one sample of two cameras
    assert float(depth_loss(logits, bins)) == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert float(depth_loss(logits, torch.full_like(bins, -1))) == 0


def test_samples_without_a_map_do_not_count() -> None:
    logits = torch.randn(3, 2, 4, 4, requires_grad=True)
    masks = (torch.rand(3, 2, 4, 4) < 0.5).float()
    some = map_loss(logits, masks, torch.tensor([True, False, True]))
    assert some.item() == pytest.approx(map_loss(logits[[0, 2]], masks[[0, 2]]).item())
    none = map_loss(logits, masks, torch.zeros(3, dtype=torch.bool))
    none.backward()
    assert none.item() == 0 and not logits.grad.any()
