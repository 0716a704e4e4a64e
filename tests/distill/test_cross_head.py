"""Cross-head responses: the teacher's head stands still, gradients pass it, and its boxes are the targets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from bevdeploy.distill import DistillTruth, TapForm, Taps, build_distiller
from bevdeploy.distill.cross_head import frozen_head, inherit_groups
from bevdeploy.distill.dualdistill import DualDistill, DualDistillSettings
from bevdeploy.distill.masked_features import MaskedFeatureSettings
from bevdeploy.errors import TrainingError
from bevdeploy.models import Student
from bevdeploy.models.heads import DetectionHead
from bevdeploy.tasks import DETECTION_TASKS

Teachers = Callable[..., tuple[TapForm, Taps]]


def test_the_head_stands_still_and_lets_gradients_through(generator: torch.Generator) -> None:
    head = DetectionHead(8, DETECTION_TASKS, 8).train()
    state = {key: value.clone() for key, value in head.state_dict().items()}
    features = torch.randn(2, 8, 8, 8, generator=generator, requires_grad=True)
    heatmap, codes = frozen_head(head)(features)
    (heatmap.sum() + codes.sum()).backward()
    assert features.grad is not None and features.grad.abs().sum() > 0
    assert all(value.grad is None for value in head.parameters())
    assert all(torch.equal(value, state[key]) for key, value in head.state_dict().items()), "batch norms stood still"
    head.eval()
    again, _ = head(features)
    assert torch.equal(heatmap, again), "the head was in evaluation mode"


def test_responses_reach_neck_and_shared_adapter(
    student: Student, form: TapForm, tapped: Taps, teacher_of: Teachers, truth: DistillTruth
) -> None:
    teacher_form, taps = teacher_of(student)
    distiller = DualDistill(form, teacher_form)
    terms = distiller(tapped, taps, truth, 1.0)
    assert distiller.readings["pseudo_boxes"] > 1
    neck = tapped.feature("bev_neck")
    adapter = distiller.masked.pairs["bev_neck"].adapter
    loss = terms["response.heatmap"] + terms["response.boxes"]
    gradients = torch.autograd.grad(loss, [neck, *adapter.parameters()], retain_graph=True)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_a_cache_without_a_head_has_a_substitute(
    student: Student, form: TapForm, tapped: Taps, teacher_of: Teachers, truth: DistillTruth
) -> None:
    teacher_form, taps = teacher_of(student, head=False)
    distiller = build_distiller("dualdistill", form, teacher_form, {"response": "own_head"})
    terms = distiller(tapped, taps, truth, 1.0)
    (gradient,) = torch.autograd.grad(terms["response.heatmap"], tapped.output("heatmap"))
    assert gradient.abs().sum() > 0
    silent = build_distiller("dualdistill", form, teacher_form, {"response": "none", "masked": {"false_positive": 0}})
    assert not any(name.startswith("response") for name in silent(tapped, taps, truth, 1.0))
    assert silent.outputs == ()


def test_the_head_needs_the_neck(student: Student, form: TapForm, teacher_of: Teachers) -> None:
    settings = DualDistillSettings(MaskedFeatureSettings(pairs=("bev_s1",)))
    with pytest.raises(TrainingError, match=r"bev_neck is not in masked\.pairs"):
        DualDistill(form, teacher_of(student)[0], settings)


def test_detection_branches_are_inherited() -> None:
    ours, theirs = DetectionHead(16, DETECTION_TASKS, 8), DetectionHead(24, DETECTION_TASKS, 8)
    shared = ours.shared[0].weight.clone()
    inherit_groups(ours, theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours.groups.parameters(), theirs.groups.parameters(), strict=True))
    assert torch.equal(ours.shared[0].weight, shared)
    with pytest.raises(TrainingError, match=r"0\.heatmap\.0\.0\.weight is \(8, 8, 3, 3\) in the student"):
        inherit_groups(ours, DetectionHead(24, DETECTION_TASKS, 12))
