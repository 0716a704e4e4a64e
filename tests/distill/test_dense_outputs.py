"""A teacher's probabilities on the student's cells, whatever its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from bevdeploy.distill import TapForm, Taps, build_distiller
from bevdeploy.distill.dense_outputs import DENSE, check_dense, teacher_probability
from bevdeploy.errors import TrainingError
from bevdeploy.models import Student


def test_probabilities_lie_on_the_students_cells(
    student: Student, form: TapForm, tapped: Taps, teacher: tuple[TapForm, Taps]
) -> None:
    teacher_form, taps = teacher
    distiller = build_distiller("direct", form, teacher_form, {"outputs": list(DENSE)})
    for name in DENSE:
        on_student = teacher_probability(distiller, tapped, taps, name)
        assert on_student.shape == tapped.output(name).shape
        assert on_student.dtype == torch.float32 and 0 <= on_student.min() and on_student.max() <= 1
        if taps.output(name).shape == on_student.shape and teacher_form.grid == form.grid:
            assert torch.equal(on_student, taps.output(name).sigmoid())


def test_one_lit_corner_of_a_wider_teacher_is_not_the_students_corner(
    student: Student, form: TapForm, tapped: Taps, teacher_of: Callable[..., tuple[TapForm, Taps]]
) -> None:
    """The teacher reaches 57.6 m, the student 51.2 m: what lies at 56 m is outside, what lies at 50 m in its corner."""
    teacher_form, _ = teacher_of(student, "wider")
    distiller = build_distiller("direct", form, teacher_form)
    for cell_m, seen in ((56.0, False), (49.6, True)):
        logits = torch.full((1, 4, 36, 36), -30.0)
        cell = int((cell_m + 57.6) / 3.2)
        logits[0, 0, cell, cell] = 30.0
        found = teacher_probability(distiller, tapped, Taps({}, {"map_logits": logits}), "map_logits")
        assert (float(found[0, 0, -1, -1]) > 0.1) == seen and found[0, 0, :-1, :-1].max() < 1e-6


def test_other_outputs_are_refused() -> None:
    assert check_dense(("heatmap",)) == ("heatmap",)
    with pytest.raises(TrainingError, match="plans cannot be compared here, only heatmap, map_logits"):
        check_dense(("plans",))


def test_other_tasks_are_refused(form: TapForm, student: Student) -> None:
    other = TapForm(form.features, form.outputs, form.grid, type(form.tasks)(map_classes=("divider",)))
    with pytest.raises(TrainingError, match="map_logits: the student's map_classes is"):
        build_distiller("direct", form, other)
