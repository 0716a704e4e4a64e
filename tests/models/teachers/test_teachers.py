"""The pillar encoder beside a loop over pillars, and the teachers' shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bevdeploy.batch import StudentInputs
from bevdeploy.errors import ContractError, GeometryError
from bevdeploy.geometry import BEVGrid, indices_from_rig, surround_rig
from bevdeploy.models import tinybev_r18_small
from bevdeploy.models.teachers import TEACHERS, Teacher, TeacherInputs, lidar_points
from bevdeploy.models.teachers.builders import centerpoint_pillar
from bevdeploy.models.teachers.pillars import PillarEncoder
from bevdeploy.ops import pool_ranks

GRID = BEVGrid.centred(4.0, 1.0, (-2.0, 2.0))


def clouds(rng: np.random.Generator, *counts: int, features: int = 5, extent_m: float = 5.0) -> list[np.ndarray]:
    return [rng.uniform(-extent_m, extent_m, (n, features)).astype(np.float32) for n in counts]


def pillars_by_loop(encoder: PillarEncoder, cloud: np.ndarray) -> np.ndarray:
    weight, norm = encoder.linear.weight.detach().numpy(), encoder.norm
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach().numpy()
    shift = (norm.bias - norm.running_mean * torch.from_numpy(scale)).detach().numpy()
    bev = np.zeros((encoder.channels, GRID.count[1], GRID.count[0]), np.float32)
    for row in range(GRID.count[1]):
        for column in range(GRID.count[0]):
            low = np.array([GRID.lower_m[0] + column, GRID.lower_m[1] + row])
            inside = (cloud[:, :2] >= low).all(1) & (cloud[:, :2] < low + 1).all(1)
            inside &= (cloud[:, 2] >= -2) & (cloud[:, 2] < 2)
            points = cloud[inside]
            if len(points):
                away = np.concatenate([points, points[:, :3] - points[:, :3].mean(0), points[:, :2] - low - 0.5], 1)
                bev[:, row, column] = np.maximum(away @ weight.T * scale + shift, 0).max(0)
    return bev


def test_pillars_equal_a_loop(rng: np.random.Generator) -> None:
    encoder = PillarEncoder(GRID, 5, 7).eval()
    with torch.no_grad():
        encoder.norm.running_mean.normal_()
        encoder.norm.running_var.uniform_(0.5, 2)
        encoder.norm.bias.normal_()
    samples = clouds(rng, 300, 0, 40)
    bev = encoder(lidar_points(samples)).detach().numpy()
    assert bev.shape == (3, 7, 8, 8)
    for got, cloud in zip(bev, samples, strict=True):
        np.testing.assert_allclose(got, pillars_by_loop(encoder, cloud), rtol=1e-5, atol=1e-5)
    assert not bev[1].any(), "a sample without points is empty"


def test_no_point_at_all_is_an_empty_bev() -> None:
    encoder = PillarEncoder(GRID, 5, 3)
    assert not encoder(lidar_points([np.zeros((0, 5), np.float32)])).any()


def test_wrong_points_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ContractError, match="takes 5 numbers per point, got 17"):
        PillarEncoder(GRID, 5, 3)(lidar_points(clouds(rng, 4, features=17)))
    with pytest.raises(ContractError, match="one F for all samples"):
        lidar_points([np.zeros((2, 5), np.float32), np.zeros((2, 4), np.float32)])
    with pytest.raises(GeometryError, match="power of two"):
        centerpoint_pillar(pillars_per_cell=3)


def small(name: str) -> Teacher:
    options = {"cell_m": 3.2, "pillars_per_cell": 2, "width": 8}
    if not name.startswith("centerpoint"):
        options |= {"image_height_px": 64, "image_width_px": 96}
    return TEACHERS[name](**options)


@pytest.mark.parametrize("name", list(TEACHERS))
def test_a_teacher_learns_from_its_inputs(name: str, rng: np.random.Generator) -> None:
    teacher = small(name)
    spec = teacher.spec
    cameras = None
    if not name.startswith("centerpoint"):
        indices = indices_from_rig(surround_rig(96, 64), spec.geometry)
        ego_state = torch.randn(2, 9) if spec.ego_state else None
        cameras = StudentInputs(torch.randn(2, 6, 3, 64, 96), pool_ranks([indices] * 2, spec.geometry, 6), ego_state)
    outputs = teacher(TeacherInputs(cameras, lidar_points(clouds(rng, 900, 700, extent_m=50))))
    assert outputs.bev.shape == (2, spec.bev_channels, 32, 32)
    heads = {"heatmap": "detection", "map_logits": "map", "occupancy_logits": "occupancy", "plans": "planning"}
    assert {heads[key] for key in outputs.present() if key in heads} == set(spec.tasks.heads) - {"motion"}
    sum(value.float().square().mean() for key, value in outputs.present().items() if key != "agents").backward()
    without = [key for key, parameter in teacher.named_parameters() if parameter.grad is None]
    assert without == []


def test_published_sizes() -> None:
    """CenterPoint: 64 channels of 0.2 m pillars, 384 at 0.8 m; BEVFusion: 80 + 256 channels fused to 256, then 512."""
    centerpoint = centerpoint_pillar()
    assert centerpoint.pillars.columns == 512 and centerpoint.neck.channels == centerpoint.spec.bev_channels == 384
    assert [stage[0][0].out_channels for stage in centerpoint.backbone.stages] == [64, 128, 256]
    assert [len(stage) - 1 for stage in centerpoint.backbone.stages] == [3, 5, 5]
    fusion = TEACHERS["bevfusion_lc"]()
    assert fusion.camera.channels == 80 and fusion.fuser[0].in_channels == 336 and fusion.fuser[0].out_channels == 256
    assert fusion.neck.channels == 512 and fusion.spec.tasks.heads == ("map",)


@pytest.mark.parametrize("options", [{}, {"half_extent_m": 25.6, "cell_m": 0.8}])
def test_the_small_planner_shares_geometry_and_tasks_with_the_small_student(options: dict[str, float]) -> None:
    student, teacher = tinybev_r18_small(**options).spec, TEACHERS["planner_lc_small"](**options).spec
    assert teacher.geometry == student.geometry
    assert teacher.tasks == student.tasks
    segmenter, detector = (TEACHERS[f"{name}_small"](**options).spec for name in ("bevfusion_lc", "centerpoint_pillar"))
    assert segmenter.geometry == student.geometry and segmenter.tasks.map_classes == student.tasks.map_classes
    assert detector.geometry.grid == student.geometry.grid
    assert detector.tasks.detection_tasks == student.tasks.detection_tasks


def test_cameras_cannot_be_left_out(rng: np.random.Generator) -> None:
    with pytest.raises(ContractError, match="sees cameras too"):
        small("bevfusion_lc")(TeacherInputs(None, lidar_points(clouds(rng, 50))))
