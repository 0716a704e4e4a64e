"""A teacher's taps beside what its modules hand to each other, and its form beside the real shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bevdeploy.batch import StudentInputs
from bevdeploy.distill.taps import form_of_taps
from bevdeploy.distill.teacher_taps import TeacherTaps, teacher_form
from bevdeploy.errors import TrainingError
from bevdeploy.geometry import indices_from_rig, surround_rig
from bevdeploy.models.teachers import TEACHERS, Teacher, TeacherInputs, build_teacher, lidar_points
from bevdeploy.ops import pool_ranks


def made(name: str, **options: Any) -> tuple[Teacher, TeacherInputs]:
    """A teacher of 8 channels in evaluation mode, and inputs of two samples."""
    arguments = {"width": 8, **options}
    if "centerpoint" not in name:
        arguments |= {"image_height_px": 64, "image_width_px": 96}
    if "bevfusion" not in name:
        arguments |= {"detections": 9}
    torch.manual_seed(0)
    teacher, rng = build_teacher(name, arguments).eval(), np.random.default_rng(0)
    geometry, cameras = teacher.spec.geometry, None
    if teacher.camera is not None:
        indices = indices_from_rig(surround_rig(96, 64), geometry)
        ego_state = torch.randn(2, 9) if teacher.spec.ego_state else None
        cameras = StudentInputs(torch.randn(2, 6, 3, 64, 96), pool_ranks([indices] * 2, geometry, 6), ego_state)
    clouds = [rng.uniform(-50, 50, (700, 5)).astype(np.float32) for _ in range(2)]
    return teacher, TeacherInputs(cameras, lidar_points(clouds))


@pytest.mark.parametrize("cells", [{"cell_m": 6.4, "pillars_per_cell": 2}, {"cell_m": 3.2, "pillars_per_cell": 1}])
@pytest.mark.parametrize("name", list(TEACHERS))
def test_the_form_is_that_of_a_forward(name: str, cells: dict[str, float]) -> None:
    teacher, inputs = made(name, **cells)
    with torch.no_grad(), TeacherTaps(teacher) as tapping:
        taps = tapping.taps(teacher(inputs))
    form, real = teacher_form(teacher), form_of_taps(taps, teacher.spec.geometry.grid, teacher.spec.tasks)
    assert dict(form.features) == dict(real.features) and list(form.features) == list(real.features)
    assert form.outputs == real.outputs
    assert (form.grid, form.tasks) == (real.grid, real.tasks)
    assert (form.head is None) == (teacher.detection is None)


@pytest.mark.parametrize("name", ["centerpoint_pillar_small", "planner_lc_small"])
def test_taps_are_what_modules_hand_on(name: str) -> None:
    """Every tapped feature, put through what follows it, gives the next one to the bit."""
    teacher, inputs = made(name, cell_m=6.4)
    with torch.no_grad():
        alone = teacher(inputs)
        with TeacherTaps(teacher) as tapping:
            taps = tapping.taps(teacher(inputs))
        again = teacher(inputs)
        stages = [taps.feature(f"bev_s{n}") for n in range(len(teacher.backbone.stages))]
        assert torch.equal(teacher.backbone.stages[0](taps.feature("lift")), stages[0])
        assert torch.equal(teacher.backbone.stages[1](stages[0]), stages[1])
        assert torch.equal(teacher.neck(stages), taps.feature("bev_neck"))
        head = teacher_form(teacher).head
        assert head is not None
        heatmap, codes = head(taps.feature("bev_neck"))
    assert torch.equal(heatmap, alone.heatmap) and torch.equal(codes, alone.box_codes)
    for one, other, tapped in zip(alone, again, (taps.outputs.get(key) for key in alone._fields), strict=True):
        assert (one is None and tapped is None) or (torch.equal(one, other) and torch.equal(one, tapped))


def test_forwards_outside_the_block_are_not_taken() -> None:
    teacher, inputs = made("centerpoint_pillar_small", cell_m=6.4)
    with torch.no_grad(), TeacherTaps(teacher) as tapping:
        pass
    outputs = teacher(inputs)
    with pytest.raises(TrainingError, match=r"no forward has passed lift.*run the network inside"):
        tapping.taps(outputs)
    with tapping, pytest.raises(TrainingError, match="these TeacherTaps are in use"), tapping:
        pass


@pytest.mark.parametrize("name", ["centerpoint_pillar_small", "planner_lc_small"])
def test_half_precision_keeps_metres(name: str) -> None:
    """Under autocast the pillars compute in float32: features stay near, where bfloat16 metres would not."""
    teacher, inputs = made(name, cell_m=6.4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = teacher.pillars(inputs.lidar)
        outputs = teacher(inputs)
    with torch.no_grad():
        torch.testing.assert_close(half, teacher.pillars(inputs.lidar), rtol=0, atol=0)
    assert outputs.bev.dtype == torch.float32 and bool(torch.isfinite(outputs.bev).all())
