"""All methods on the house's own student: finite terms, gradients, an unchanged student, settings by name."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch

from bevdeploy.batch import StudentInputs
from bevdeploy.distill import DISTILLERS, DistillTruth, StudentTaps, TapForm, Taps, build_distiller, student_form, total
from bevdeploy.distill.methods import settings_from_table
from bevdeploy.errors import TrainingError
from bevdeploy.models import Student, tinybev_r18

Teachers = Callable[..., tuple[TapForm, Taps]]
METHODS = sorted(DISTILLERS)
LEAN: dict[str, dict[str, object]] = {"bridgeta": {"width": 24}}
"""Settings that keep the tests quick."""


@pytest.mark.parametrize("name", METHODS)
def test_terms_are_finite_float32_scalars_at_any_grid(
    name: str, form: TapForm, tapped: Taps, teacher: tuple[TapForm, Taps], truth: DistillTruth
) -> None:
    teacher_form, teacher_taps = teacher
    distiller = build_distiller(name, form, teacher_form, LEAN.get(name))
    for progress in (0.0, 0.5, 1.0):
        terms = distiller(tapped, teacher_taps, truth, progress)
        assert (not terms) == (name == "none")
        for key, term in terms.items():
            assert term.shape == () and term.dtype == torch.float32 and math.isfinite(term.item()), key
            assert term.item() >= 0, key


@pytest.mark.parametrize("name", [name for name in METHODS if name != "none"])
def test_gradients_reach_student_and_distiller_but_no_teacher(
    name: str, student: Student, inputs: StudentInputs, teacher_of: Teachers, truth: DistillTruth
) -> None:
    form, taps = teacher_of(student)
    for value in (*taps.features.values(), *taps.outputs.values()):
        if value.is_floating_point():
            value.requires_grad_(True)
    distiller = build_distiller(name, student_form(student), form, LEAN.get(name))
    with StudentTaps(student) as tapping:
        ours = tapping.taps(student(inputs))
    total(distiller(ours, taps, truth, 0.9)).backward()
    missing = [key for key, value in distiller.named_parameters() if value.grad is None]
    assert missing == []
    assert student.view_transform.depth_context[-1].weight.grad.abs().sum() > 0
    assert student.image_encoder is not None and all(
        value.grad is not None for value in student.bev_encoder.parameters()
    )
    assert all(value.grad is None for value in (*taps.features.values(), *taps.outputs.values()))
    assert isinstance(form.head, torch.nn.Module)
    assert all(value.grad is None for value in form.head.parameters())


@pytest.mark.parametrize("name", [name for name in METHODS if name != "none"])
def test_a_few_steps_bring_the_student_to_a_fixed_teacher(
    name: str, student: Student, inputs: StudentInputs, teacher_of: Teachers, truth: DistillTruth
) -> None:
    torch.manual_seed(0)
    form, taps = teacher_of(student, "equal")
    distiller = build_distiller(name, student_form(student), form, LEAN.get(name))
    optimiser = torch.optim.AdamW([*student.parameters(), *distiller.parameters()], 1e-3)
    losses = []
    for _ in range(4):
        with StudentTaps(student) as tapping:
            ours = tapping.taps(student(inputs))
        loss = total(distiller(ours, taps, truth, 0.9))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.98 * losses[0]


@pytest.mark.parametrize("name", METHODS)
def test_export(name: str, student: Student, inputs: StudentInputs, teacher_of: Teachers, truth: DistillTruth) -> None:
    """What is saved of a distilled student has the keys and the size of the undistilled one; the teacher is nowhere."""
    plain = copy.deepcopy(student)
    form, taps = teacher_of(student)
    distiller = build_distiller(name, student_form(student), form, LEAN.get(name))
    with StudentTaps(student) as tapping:
        ours = tapping.taps(student(inputs))
    total(distiller(ours, taps, truth, 0.9))
    assert student.state_dict().keys() == plain.state_dict().keys()
    assert sum(p.numel() for p in student.parameters()) == sum(p.numel() for p in plain.parameters())
    assert not set(map(id, distiller.parameters())) & set(map(id, student.parameters()))
    assert isinstance(form.head, torch.nn.Module)
    assert not set(map(id, distiller.modules())) & set(map(id, (form.head, *form.head.modules())))
    assert not any(module is student for module in distiller.modules())


def test_the_tinybev_student_has_28_million_parameters() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in tinybev_r18().parameters())
    assert abs(count / 1e6 - 28.1) < 0.3


def test_distillers_fit_the_full_student(teacher_of: Teachers) -> None:
    """200 x 200 cells and 256 channels: adapters are built from the form alone."""
    with torch.device("meta"):
        full = tinybev_r18()
        form = student_form(full)
        assert form.features["bev_neck"] == (256, 200, 200)
        assert form.features["bev_s1"] == (256, 50, 50)
        sizes = {"lift": (256, 200, 200), "bev_s1": (128, 200, 200), "bev_s2": (256, 100, 100)}
        head = full.detection
        teacher = TapForm({**sizes, "bev_neck": (512, 200, 200)}, form.outputs, form.grid, form.tasks, head)
        for name in METHODS:
            distiller = build_distiller(name, form, teacher, {"response": "own_head"} if name == "dualdistill" else {})
            assert (sum(p.numel() for p in distiller.parameters()) == 0) == (name == "none")


@pytest.mark.parametrize("name", METHODS)
def test_terms_hold_under_mixed_precision(
    name: str, student: Student, inputs: StudentInputs, teacher_of: Teachers, truth: DistillTruth
) -> None:
    """Same terms with the convolutions in bfloat16, within its three digits; sums stay float32."""
    torch.manual_seed(0)
    form, taps = teacher_of(student, "equal")
    distiller = build_distiller(name, student_form(student), form, LEAN.get(name)).eval()
    with torch.no_grad(), StudentTaps(student.eval()) as tapping:
        ours = tapping.taps(student(inputs))
        exact = distiller(ours, taps, truth, 0.9)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = distiller(ours, taps, truth, 0.9)
    for key, term in exact.items():
        assert mixed[key].dtype == torch.float32, key
        assert mixed[key].item() == pytest.approx(term.item(), rel=0.02), key


@pytest.mark.parametrize("name", METHODS)
def test_a_saved_distiller_goes_on_as_it_was(
    name: str, student: Student, inputs: StudentInputs, teacher_of: Teachers, truth: DistillTruth
) -> None:
    """Weights, norms and the teacher's statistics are its state; features may have channels last in memory."""
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    form, taps = teacher_of(student)
    distiller = build_distiller(name, student_form(student), form, LEAN.get(name))
    with torch.no_grad(), StudentTaps(student.eval()) as tapping:
        ours = tapping.taps(student(inputs))
        distiller(ours, taps, truth, 0.9)
        again = build_distiller(name, student_form(student), form, LEAN.get(name))
        again.load_state_dict(distiller.state_dict())
        first, second = distiller.eval()(ours, taps, truth, 0.9), again.eval()(ours, taps, truth, 0.9)
    assert {key: term.item() for key, term in first.items()} == {key: term.item() for key, term in second.items()}


@pytest.mark.parametrize("name", METHODS)
def test_an_image_without_boxes_is_no_trouble(
    name: str, form: TapForm, tapped: Taps, student: Student, teacher_of: Teachers, truth: DistillTruth
) -> None:
    teacher_form, taps = teacher_of(student)
    distiller = build_distiller(name, form, teacher_form, LEAN.get(name))
    none = truth._replace(labels=torch.full_like(truth.labels, -1))
    empty = truth._replace(boxes=truth.boxes[:, :0], labels=truth.labels[:, :0])
    blind = Taps(taps.features, {**taps.outputs, "heatmap": torch.full_like(taps.outputs["heatmap"], -9.0)})
    for given in (none, empty):
        assert all(math.isfinite(term.item()) for term in distiller(tapped, blind, given, 0.9).values())


def test_inputs_are_left_as_they_were(
    form: TapForm, tapped: Taps, student: Student, teacher_of: Teachers, truth: DistillTruth
) -> None:
    teacher_form, taps = teacher_of(student)
    tensors = [*taps.features.values(), *taps.outputs.values(), *tapped.features.values(), *truth]
    before = [value.detach().clone() for value in tensors]
    for name in METHODS:
        build_distiller(name, form, teacher_form, LEAN.get(name))(tapped, taps, truth, 0.9)
    for value, kept in zip(tensors, before, strict=True):
        assert torch.equal(value.nan_to_num(), kept.nan_to_num())


def test_errors_name_what_is_wrong(form: TapForm, student: Student, teacher_of: Teachers, truth: DistillTruth) -> None:
    teacher_form, taps = teacher_of(student)
    with pytest.raises(TrainingError, match="did you mean bridgeta"):
        build_distiller("bridgetta", form, teacher_form)
    with pytest.raises(TrainingError, match=r"unknown setting bridgeta\.with \(did you mean width\?\)"):
        build_distiller("bridgeta", form, teacher_form, {"with": 3})
    with pytest.raises(TrainingError, match=r"dualdistill\.masked\.foreground: expected a number"):
        build_distiller("dualdistill", form, teacher_form, {"masked": {"foreground": "much"}})
    lean = TapForm({"bev_neck": (8, 16, 16)}, frozenset({"heatmap"}), form.grid, form.tasks)
    with pytest.raises(TrainingError, match="reads lift, map_logits of the teacher"):
        build_distiller("bridgeta", form, lean)
    with pytest.raises(TrainingError, match="without a detection head"):
        build_distiller("dualdistill", form, teacher_of(student, head=False)[0])
    with pytest.raises(TrainingError, match="cannot be compared here"):
        build_distiller("direct", form, teacher_form, {"outputs": ["plans"]})
    with pytest.raises(TrainingError, match="none of detection"):
        build_distiller("tinybev", form, teacher_form, {"tasks": ["tracking"]})
    other = Taps({**taps.features, "lift": taps.features["lift"][:, :3]}, taps.outputs)
    distiller = build_distiller("direct", form, teacher_form)
    ours = Taps({name: torch.zeros(1, *size) for name, size in form.features.items()}, {})
    with pytest.raises(TrainingError, match=r"teacher's lift: expected \[B, 20, 32, 32\]"):
        distiller(ours, other, truth, 0.0)


def test_settings_come_from_a_table() -> None:
    settings = settings_from_table(
        DISTILLERS["dualdistill"].settings, {"masked": {"pairs": ["bev_neck"], "alarm": 1}, "boxes": {"kept": 5}}
    )
    assert settings.masked.pairs == ("bev_neck",) and settings.masked.alarm == 1.0 and settings.boxes.kept == 5
    with pytest.raises(TrainingError) as problem:
        settings_from_table(DISTILLERS["bridgeta"].settings, {"eps": -1, "width": 0, "assistant": "none", "oops": 1})
    assert str(problem.value).count("\n") == 3, "all problems in one message"
