"""The masked feature loss against a loop over cells, and its weights at other sizes than the published ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from bevdeploy.distill import DistillTruth, TapForm, Taps
from bevdeploy.distill.distillbev import DistillBEV
from bevdeploy.distill.masked_features import (
    REFERENCE,
    FeaturePair,
    MaskedFeatureSettings,
    PairWeights,
    false_alarms,
    pair_weights,
)
from bevdeploy.distill.masked_mse import masked_sum, squared_error
from bevdeploy.distill.planes import Plane, plane_of
from bevdeploy.distill.region_maps import region_maps
from bevdeploy.geometry import BEVGrid
from bevdeploy.models import Student
from bevdeploy.tasks import TaskSpec

Teachers = Callable[..., tuple[TapForm, Taps]]
GRID = BEVGrid.centred(51.2, 0.8, (-5.0, 3.0))
SETTINGS = MaskedFeatureSettings()


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_at_the_published_sizes_weights_are_the_published_ones(name: str) -> None:
    channels, *size = REFERENCE[name]
    weights = pair_weights(SETTINGS, name, channels, plane_of(GRID, (size[0], size[1])))
    got = weights.foreground, weights.background, weights.false_positive, weights.imitation
    assert got == pytest.approx((6e-3, 4e-2, 6e-2, 2.5e-3), rel=1e-6)


@pytest.mark.parametrize(("channels", "cells"), [(96, 128), (384, 64), (64, 32)])
def test_terms_keep_their_size_at_other_sizes(channels: int, cells: int) -> None:
    """The same scene, differences of one per channel: every term is what it is at the published size."""
    box = torch.zeros(1, 1, 9)
    box[0, 0, [3, 4]] = torch.tensor([12.8, 19.2])
    alarms = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    alarms[..., :32, :32] = True
    terms = []
    for width, side in ((384, 128), (channels, cells)):
        plane = plane_of(GRID, (side, side))
        here = alarms[..., :: 128 // side, :: 128 // side]
        regions = region_maps(box, torch.ones(1, 1, dtype=torch.bool), plane, here)
        pair = FeaturePair(nn.Identity(), pair_weights(SETTINGS, "bev_neck", width, plane), 0.5)
        nn.init.zeros_(pair.imitation.weight)
        nn.init.zeros_(pair.imitation.bias)
        zero, one = torch.zeros(1, width, side, side), torch.ones(1, width, side, side)
        found = pair(zero, one, regions, alarms=True)
        terms.append({name: term.item() for name, term in found.items()})
    assert terms[1] == pytest.approx(terms[0], rel=1e-3)
    cells_of_box = (12.8 / 0.8) * (19.2 / 0.8)
    assert terms[0]["foreground"] == pytest.approx(6e-3 * 384 * math.sqrt(cells_of_box), rel=1e-4)
    assert terms[0]["background"] == pytest.approx(4e-2 * 384, rel=1e-4)
    assert terms[0]["false_positive"] == pytest.approx(6e-2 * 384, rel=1e-4)
    assert terms[0]["imitation"] == pytest.approx(2.5e-3 * 128 * 128, rel=1e-4)


def test_terms_are_those_of_a_loop(generator: torch.Generator) -> None:
    batch, channels, rows, columns = 2, 3, 5, 6
    plane = Plane((-6.0, -5.0), (2.0, 2.0), (columns, rows))
    ours, theirs = (torch.randn(batch, channels, rows, columns, generator=generator) for _ in range(2))
    boxes = torch.zeros(batch, 2, 9)
    boxes[:, 0, [0, 1, 3, 4, 6]] = torch.tensor([1.0, 1.0, 3.0, 5.0, 0.6])
    boxes[:, 1, [0, 1, 3, 4, 6]] = torch.tensor([-4.0, -2.0, 3.0, 3.0, 0.0])
    alarms = torch.rand(batch, 1, rows, columns, generator=generator) < 0.3
    regions = region_maps(boxes, torch.tensor([[True, True], [True, False]]), plane, alarms)
    weights = PairWeights(0.7, 0.5, 0.3, 0.2)
    pair = FeaturePair(nn.Identity(), weights, 0.5)
    terms = pair(ours, theirs, regions, alarms=True)
    assert "false_positive" not in pair(ours, theirs, regions)

    def attention(x: torch.Tensor) -> torch.Tensor:
        powers = (x.abs().mean(0) / 0.5).exp()
        return rows * columns * powers / powers.sum()

    want = dict.fromkeys(terms, 0.0)
    imitated = pair.imitation(ours.mean(1, keepdim=True))
    for b in range(batch):
        a = (attention(ours[b]) + attention(theirs[b])) / 2
        strength = theirs[b].abs().mean((1, 2)) / 0.5
        channel = channels * strength.exp() / strength.exp().sum()
        for y in range(rows):
            for x in range(columns):
                error = (ours[b, :, y, x] - theirs[b, :, y, x]) ** 2
                scale = float(regions.scale[b, 0, y, x] * a[y, x])
                if regions.foreground[b, 0, y, x]:
                    want["foreground"] += 0.7 * scale * float(error.sum()) / batch
                elif regions.background[b, 0, y, x]:
                    want["background"] += 0.5 * scale * float(error.sum()) / batch
                else:
                    alarm_scale = float(regions.false_positive_scale[b, 0, y, x] * a[y, x])
                    want["false_positive"] += 0.3 * alarm_scale * float((error * channel).sum()) / batch
                gap = float(theirs[b, :, y, x].mean()) - imitated[b, 0, y, x].item()
                want["imitation"] += 0.2 * abs(gap) / batch
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(want, rel=1e-4)
    assert min(want.values()) > 0


def test_sums_do_not_overflow_half_precision() -> None:
    """One squared difference of 400 is beyond float16's 65504, and 384 x 128 x 128 of them more so."""
    ours = torch.full((1, 384, 128, 128), 200.0, dtype=torch.float16, requires_grad=True)
    term = masked_sum(squared_error(ours, -ours.detach()), torch.ones(1, 1, 128, 128))
    assert term.dtype == torch.float32 and term.item() == pytest.approx(400**2 * 384 * 128 * 128, rel=1e-4)
    (term / 1e9).backward()
    assert ours.grad is not None and torch.isfinite(ours.grad).all()


def test_false_alarms_are_where_the_teacher_alone_sees_something(truth: DistillTruth) -> None:
    plane = Plane((-51.2, -51.2), (3.2, 3.2), (32, 32))
    heatmap = torch.full((2, 10, 32, 32), -6.0)
    heatmap[:, 3, 4, 6] = 1.0  # an alarm
    heatmap[0, 0, 17, 19] = 3.0  # the true car at (10, 4) m
    found = false_alarms(heatmap, plane, truth, plane, TaskSpec(), 0.1)
    assert found.nonzero().tolist() == [[0, 0, 4, 6], [1, 0, 4, 6]]
    finer = Plane((-51.2, -51.2), (1.6, 1.6), (64, 64))
    there = false_alarms(heatmap, plane, truth, finer, TaskSpec(), 0.1)
    assert bool(there[0, 0, 8:10, 12:14].all()) and not there[0, 0, 34:36, 38:40].any()


def test_a_student_that_equals_the_teacher_has_no_direct_terms(
    student: Student, form: TapForm, tapped: Taps, truth: DistillTruth
) -> None:
    """Identity adapters, same taps: only imitation, through its random convolution, is left."""
    distiller = DistillBEV(form, form)
    for pair in distiller.masked.pairs.values():
        pair.adapter = nn.Identity()
    terms = distiller(tapped, tapped, truth, 1.0)
    assert all((term == 0) == (not name.startswith("imitation")) for name, term in terms.items())


def test_pairs_and_alarms_can_be_chosen(
    student: Student, form: TapForm, teacher_of: Teachers, tapped: Taps, truth: DistillTruth
) -> None:
    teacher_form, taps = teacher_of(student)
    distiller = DistillBEV(form, teacher_form, MaskedFeatureSettings(pairs=("bev_neck",), false_positive=0))
    assert distiller.outputs == () and distiller.features == ("bev_neck",)
    terms = distiller(tapped, Taps({"bev_neck": taps.feature("bev_neck")}, {}), truth, 1.0)
    assert set(terms) == {"foreground.bev_neck", "background.bev_neck", "imitation.bev_neck"}
