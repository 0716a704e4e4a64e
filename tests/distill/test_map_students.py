"""BridgeTA's own setting: a camera student of map segmentation, whose map has a grid of its own, by a BEVFusion."""

from __future__ import annotations

import pytest
import torch

from bevdeploy.batch import StudentInputs
from bevdeploy.distill.dense_outputs import map_plane
from bevdeploy.distill.methods import build_distiller
from bevdeploy.distill.planes import Resample
from bevdeploy.distill.protocol import DistillTruth
from bevdeploy.distill.taps import StudentTaps, Taps, student_form
from bevdeploy.distill.teacher_taps import teacher_form
from bevdeploy.geometry import indices_from_rig, surround_rig
from bevdeploy.models import Student, StudentOutputs
from bevdeploy.models.teachers.untrained import untrained_teacher
from bevdeploy.models.untrained import untrained_student
from bevdeploy.ops import pool_ranks

SIZES = {"image_height_px": 64, "image_width_px": 176, "cell_m": 3.2, "width": 8}


@pytest.fixture(scope="module")
def student() -> Student:
    return untrained_student("bevfusion_camera_r50", {**SIZES, "map_cell_m": 2.0}, 0).train()


@pytest.mark.parametrize("method", ["direct", "bridgeta", "tinybev"])
def test_terms_reach_the_student(method: str, student: Student) -> None:
    teacher = untrained_teacher("bevfusion_lc_small", {**SIZES, "student_classes": False}, 1)
    form, theirs = student_form(student), teacher_form(teacher)
    assert map_plane(form).size != map_plane(theirs).size, "the student's map has a grid of its own"
    geometry = student.spec.geometry
    pool = pool_ranks([indices_from_rig(surround_rig(400, 225), geometry)] * 2, geometry, 6)
    generator = torch.Generator().manual_seed(2)
    with StudentTaps(student) as tapping:
        outputs: StudentOutputs = student(StudentInputs(torch.randn(2, 6, 3, 64, 176, generator=generator), pool))
    taps = tapping.taps(outputs)
    features = {name: torch.randn(2, *size, generator=generator) for name, size in theirs.features.items()}
    classes = len(teacher.spec.tasks.map_classes)
    logits = torch.randn(2, classes, *map_plane(theirs).size, generator=generator)
    rows, columns = map_plane(form).size
    masks = (torch.rand(2, classes, rows, columns, generator=generator) < 0.3).float()
    truth = DistillTruth(torch.zeros(2, 1, 9), torch.full((2, 1), -1), masks, torch.tensor([0, 0]))
    settings = {"tinybev": {"tasks": ["map"]}, "bridgeta": {"width": 8, "emphasis": 1.0}}.get(method)
    distiller = build_distiller(method, form, theirs, settings)
    terms = distiller(taps, Taps(features, {"map_logits": logits, "bev": features["bev_neck"]}), truth, 0.9)
    assert any("map" in name for name in terms) and all(torch.isfinite(term) for term in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    for name in ("view_transform", "bev_encoder", "map"):
        gradients = [parameter.grad for parameter in student.get_submodule(name).parameters()]
        assert any(gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients), name
    student.zero_grad()


def test_a_map_lies_where_its_grid_says(student: Student) -> None:
    """A teacher's map that is 1 ahead of the vehicle is 1 ahead of it on the student's finer, smaller grid."""
    teacher = untrained_teacher("bevfusion_lc_small", {**SIZES, "student_classes": False}, 1)
    ours, theirs = map_plane(student_form(student)), map_plane(teacher_form(teacher))
    ahead = torch.as_tensor(theirs.centres_m(0) > 10).float().expand(1, 1, *theirs.size)  # [1, 1, Y, X]
    found = Resample(theirs, ours)(ahead)
    expected = torch.as_tensor(ours.centres_m(0) > 10).float()
    near = torch.as_tensor(abs(ours.centres_m(0) - 10) < theirs.cell_m[0])
    assert torch.equal(found[0, 0, 3, ~near], expected[~near])
