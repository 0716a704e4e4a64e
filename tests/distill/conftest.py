"""A small student with its inputs, teachers of other sizes whose taps are random, and annotations for both."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch

from bevdeploy.batch import StudentInputs
from bevdeploy.distill import DistillTruth, StudentTaps, TapForm, Taps, student_form
from bevdeploy.geometry import BEVGrid, indices_from_rig, surround_rig
from bevdeploy.models import Student, StudentOutputs
from bevdeploy.models.heads import DetectionHead
from bevdeploy.models.untrained import calibrate_norms, untrained_student
from bevdeploy.ops import pool_ranks

BATCH = 2


@pytest.fixture(scope="session")
def inputs() -> StudentInputs:
    """Two samples of noise for the student below; its grid is 16 x 16 cells of 6.4 m."""
    images = torch.randn(BATCH, 6, 3, 32, 88, generator=torch.Generator().manual_seed(5))
    view = _student().spec.geometry
    indices = indices_from_rig(surround_rig(400, 225), view)
    return StudentInputs(images, pool_ranks([indices] * BATCH, view, 6))


@pytest.fixture(scope="session")
def calibrated(inputs: StudentInputs) -> Student:
    """Made once; tests take `student`, a copy."""
    made = _student()
    calibrate_norms(made, list(inputs.images[:1]), surround_rig(400, 225))
    return made.train()


@pytest.fixture
def student(calibrated: Student) -> Student:
    """In training mode; each test has its own."""
    return copy.deepcopy(calibrated)


def _student() -> Student:
    sizes: dict[str, int | float | bool] = {"image_height_px": 32, "image_width_px": 88, "cell_m": 6.4}
    return untrained_student("tinybev_r18_small", sizes, seed=2)


@pytest.fixture
def tapped(student: Student, inputs: StudentInputs) -> Taps:
    """The student's taps, with gradients."""
    with StudentTaps(student) as taps:
        return taps.taps(student(inputs))


@pytest.fixture(scope="session")
def truth() -> DistillTruth:
    """Three boxes and one, a few map cells."""
    boxes = torch.zeros(BATCH, 3, 9)
    boxes[0, 0] = torch.tensor([10.0, 4.0, 0.5, 8.0, 20.0, 1.6, 0.4, 2.0, 0.0])
    boxes[0, 1] = torch.tensor([-20.0, -30.0, 0.5, 8.0, 13.0, 3.0, -1.2, math.nan, math.nan])
    boxes[0, 2] = torch.tensor([30.0, 30.0, 0.5, 0.7, 0.7, 1.8, 0.0, 0.0, 1.0])
    boxes[1, 0] = torch.tensor([5.0, -12.0, 0.5, 10.0, 16.0, 2.0, 2.5, 3.0, 1.0])
    labels = torch.tensor([[0, 1, 8], [3, -1, -1]])
    map_masks = (torch.rand(BATCH, 4, 16, 16, generator=torch.Generator().manual_seed(1)) < 0.2).float()
    return DistillTruth(boxes, labels, map_masks, torch.tensor([2, 0]))


TEACHERS = {
    "finer": BEVGrid.centred(51.2, 3.2, (-5.0, 3.0)),
    "wider": BEVGrid.centred(57.6, 3.2, (-5.0, 3.0)),
    "equal": BEVGrid.centred(51.2, 6.4, (-5.0, 3.0)),
}
CHANNELS = {"lift": 20, "bev_s0": 12, "bev_s1": 20, "bev_s2": 28, "bev_neck": 40}
STRIDES = {"lift": 1, "bev_s0": 2, "bev_s1": 1, "bev_s2": 2, "bev_neck": 1}


@pytest.fixture(params=sorted(TEACHERS))
def teacher_grid(request: pytest.FixtureRequest) -> BEVGrid:
    """Finer cells than the student's, a larger extent, or the student's own grid."""
    return TEACHERS[request.param]


@pytest.fixture
def teacher(student: Student, teacher_grid: BEVGrid) -> tuple[TapForm, Taps]:
    """A teacher with other channels and a detection head of its own."""
    return made_teacher(student, teacher_grid)


def made_teacher(student: Student, grid: BEVGrid, head: bool = True) -> tuple[TapForm, Taps]:
    """The form and random taps, heat maps with some clear peaks."""
    generator = torch.Generator().manual_seed(7)
    _, rows, columns = grid.shape_zyx
    tasks = student.spec.tasks

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(BATCH, *shape, generator=generator)

    sizes = {name: (CHANNELS[name], rows // STRIDES[name], columns // STRIDES[name]) for name in CHANNELS}
    features = {name: noise(*size).relu() for name, size in sizes.items()}
    heatmap = noise(len(tasks.classes), rows, columns) - 4
    heatmap[:, :, rows // 3, columns // 2] = 2.0
    heatmap[:, 0, rows // 2 + 1, 3] = 3.0
    codes = noise(len(tasks.detection_tasks), 10, rows, columns) * 0.3
    codes[:, :, 3:6] += 1.5
    agents = torch.stack([sample.flatten().topk(tasks.detections).indices for sample in heatmap])
    outputs = StudentOutputs(
        bev=features["bev_neck"],
        heatmap=heatmap,
        box_codes=codes,
        map_logits=noise(len(tasks.map_classes), rows, columns),
        occupancy_logits=noise(len(tasks.occupancy_steps_s), tasks.occupancy_side, tasks.occupancy_side) - 1,
        agents=agents,
        trajectory_offsets=noise(tasks.detections, tasks.motion_modes, tasks.motion_steps, 2),
        trajectory_logits=noise(tasks.detections, tasks.motion_modes),
        plans=noise(len(tasks.plan_commands), tasks.plan_steps, 2).cumsum(2),
    )
    own_head = DetectionHead(CHANNELS["bev_neck"], tasks.detection_tasks, 16) if head else None
    form = TapForm(sizes, frozenset(StudentOutputs._fields), grid, tasks, own_head)
    return form, Taps(features, outputs.present())


@pytest.fixture(scope="session")
def teacher_of() -> Callable[..., tuple[TapForm, Taps]]:
    """Teachers on a named grid, with or without their head."""

    def made(student: Student, grid: str = "finer", head: bool = True) -> tuple[TapForm, Taps]:
        return made_teacher(student, TEACHERS[grid], head)

    return made


@pytest.fixture
def form(student: Student) -> TapForm:
    """What the student taps."""
    return student_form(student)


@pytest.fixture
def generator() -> torch.Generator:
    """Seeded."""
    return torch.Generator().manual_seed(31)
