"""BridgeTA: terms by hand, settings that switch its forms, and the control beside it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from bevdeploy.distill import DistillTruth, TapForm, Taps, build_distiller
from bevdeploy.distill.bridgeta import BridgeTA, BridgeTASettings, soft_cross_entropy
from bevdeploy.distill.dense_outputs import map_focal
from bevdeploy.distill.direct import DirectDistillation, DirectSettings
from bevdeploy.models import Student

Teachers = Callable[..., tuple[TapForm, Taps]]


def test_terms_are_the_formula(
    student: Student, form: TapForm, tapped: Taps, teacher_of: Teachers, truth: DistillTruth
) -> None:
    """Equation by hand from the modules' own outputs, in evaluation mode."""
    teacher_form, taps = teacher_of(student, "equal")
    settings = BridgeTASettings("fusers", width=16, eps=2.0, low_weight=0.3, output_weight=4.0)
    distiller = BridgeTA(form, teacher_form, settings)
    distiller(tapped, taps, truth, 1.0)  # the statistics see the teacher
    distiller.eval()
    terms = distiller(tapped, taps, truth, 1.0)
    lift = taps.feature("lift")
    target = (lift - lift.mean((0, 2, 3), keepdim=True)) / lift.std((0, 2, 3), keepdim=True, correction=0)
    neck = taps.feature("bev_neck")
    high = (neck - neck.mean((0, 2, 3), keepdim=True)) / neck.std((0, 2, 3), keepdim=True, correction=0)
    levels = distiller.assisted({"lift": target, "bev_neck": high}, tapped)
    between = distiller.assistant_adapters["lift"](levels.low)
    ours = distiller.student_adapters["lift"](tapped.feature("lift"))
    paths = ((target - between) ** 2).mean(), ((between - ours) ** 2).mean()
    assert terms["low"].item() == pytest.approx(0.3 * (2 / 3 * paths[0] + 1 / 3 * paths[1]).item(), rel=1e-4)
    probabilities = [x.sigmoid() for x in (taps.output("map_logits"), levels.outputs["map_logits"])]
    own = tapped.output("map_logits").sigmoid()
    to_teacher = ((probabilities[0] - probabilities[1]) ** 2).mean()
    to_student = ((probabilities[1] - own) ** 2).mean()
    assert terms["output.map_logits"].item() == pytest.approx(
        4 * (2 / 3 * to_teacher + to_student / 3).item(), rel=1e-4
    )
    supervised = map_focal(levels.outputs["map_logits"], truth.map_masks)
    assert terms["assistant.map_logits"].item() == pytest.approx(supervised.item(), rel=1e-4)
    share = ((target - between).norm() / (target - ours).norm()).item()
    assert distiller.readings["assistant_share.low"].item() == pytest.approx(share, rel=1e-4)


def test_the_bound_holds_between_the_methods(
    student: Student, form: TapForm, tapped: Taps, teacher_of: Teachers, truth: DistillTruth
) -> None:
    """With the same adapters, the dual path times (1 + eps)^2 / eps is never below the direct distance."""
    teacher_form, taps = teacher_of(student)
    for rule in ("fixed", "adaptive"):
        settings = BridgeTASettings(width=16, eps_rule=rule, warm_up=0)  # type: ignore[arg-type]
        bridge = BridgeTA(form, teacher_form, settings)
        direct = DirectDistillation(form, teacher_form, DirectSettings(warm_up=0))
        for name in ("lift", "bev_neck"):
            direct.adapters[name] = bridge.student_adapters[name]
        with_assistant, without = bridge(tapped, taps, truth, 1.0), direct(tapped, taps, truth, 1.0)
        if rule == "fixed":  # eps 1: the factor is 4
            assert 4 * with_assistant["low"] >= without["feature.lift"]
            assert 4 * with_assistant["high"] >= without["feature.bev_neck"]
            assert 4 * with_assistant["output.map_logits"] >= without["output.map_logits"]
        else:
            assert all(torch.isfinite(term) for term in with_assistant.values())


def test_weights_rise_over_the_warm_up(
    student: Student, form: TapForm, tapped: Taps, teacher_of: Teachers, truth: DistillTruth
) -> None:
    teacher_form, taps = teacher_of(student)
    distiller = BridgeTA(form, teacher_form, BridgeTASettings(width=16, warm_up=0.2)).eval()
    start, half, full, end = (distiller(tapped, taps, truth, progress) for progress in (0.0, 0.1, 0.2, 1.0))
    for name in ("low", "high", "output.map_logits"):
        assert start[name] == 0 and full[name] == end[name] > 0
        assert half[name].item() == pytest.approx(full[name].item() / 2, rel=1e-5)
    assert start["assistant.map_logits"] == end["assistant.map_logits"] > 0


@pytest.mark.parametrize(
    "table",
    [
        {"outputs": ["map_logits", "heatmap"], "assistant": "fusers"},
        {"output_distance": "cross_entropy", "eps_rule": "adaptive"},
        {"emphasis": 1.0},
        {"outputs": []},
    ],
)
def test_forms(
    table: dict[str, object], student: Student, form: TapForm, tapped: Taps, teacher_of: Teachers, truth: DistillTruth
) -> None:
    teacher_form, taps = teacher_of(student)
    distiller = build_distiller("bridgeta", form, teacher_form, {"width": 16, **table})
    terms = distiller(tapped, taps, truth, 1.0)
    outputs = table.get("outputs", ["map_logits"])
    assert isinstance(outputs, list)
    assert set(terms) == {"low", "high", *(f"{kind}.{name}" for kind in ("output", "assistant") for name in outputs)}
    assert all(torch.isfinite(term) for term in terms.values())


def test_emphasis_keeps_the_mean(form: TapForm, student: Student, teacher_of: Teachers, truth: DistillTruth) -> None:
    distiller = BridgeTA(form, teacher_of(student)[0], BridgeTASettings(width=16, emphasis=1.0))
    weight = distiller.cell_weight(truth, distiller.student_plane())
    assert isinstance(weight, torch.Tensor)
    assert weight.mean().item() == pytest.approx(1)
    mapped = truth.map_masks.amax(1, keepdim=True) > 0
    assert (weight[mapped].mean() / weight[~mapped].mean()).item() == pytest.approx(2)


def test_a_detached_input_leaves_the_distances_as_the_only_way(
    student: Student, form: TapForm, tapped: Taps, teacher_of: Teachers, truth: DistillTruth
) -> None:
    teacher_form, taps = teacher_of(student)
    for detach in (True, False):
        distiller = BridgeTA(form, teacher_form, BridgeTASettings(width=16, detach_student_input=detach))
        term = distiller(tapped, taps, truth, 1.0)["assistant.map_logits"]
        features = [tapped.feature("lift")]
        (gradient,) = torch.autograd.grad(term, features, retain_graph=True, allow_unused=True)
        assert (gradient is None) == detach


def test_map_focal_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 2.0]], [[-1.0, 0.0]]]])  # [1, 2, 1, 2]
    masks = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]]])
    p = logits.sigmoid()
    cells = [0.25 * -p[0, 0, 0, 0].log(), p[0, 0, 0, 1] ** 2 * -(1 - p[0, 0, 0, 1]).log()]
    others = [p[0, 1, 0, 0] ** 2 * -(1 - p[0, 1, 0, 0]).log(), 0.25 * -torch.tensor(0.5).log()]
    assert map_focal(logits, masks).item() == pytest.approx(float(sum(cells) / 2 + sum(others) / 2), rel=1e-5)


def test_soft_cross_entropy_is_torchs(generator: torch.Generator) -> None:
    logits, target = torch.randn(4, 5, generator=generator), torch.rand(4, 5, generator=generator)
    want = nn.functional.binary_cross_entropy_with_logits(logits, target)
    assert soft_cross_entropy(logits, target).item() == pytest.approx(want.item(), rel=1e-5)
