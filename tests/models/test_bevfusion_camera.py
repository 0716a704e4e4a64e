"""The camera-only BEVFusion students: published sizes, the map's own grid, gradients, taps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bevdeploy.batch import StudentInputs
from bevdeploy.distill import StudentTaps, student_form
from bevdeploy.distill.taps import FEATURES
from bevdeploy.errors import CheckpointError
from bevdeploy.geometry import BEVGrid, CameraRig, map_grid
from bevdeploy.models import Student, build_student, load_checkpoint, save_checkpoint
from bevdeploy.models.heads import MapHead
from bevdeploy.models.lss_fpn import GeneralizedLSSFPN
from bevdeploy.models.untrained import calibrate_norms, untrained_student
from bevdeploy.ops import PoolRanks
from bevdeploy.tasks import BEVFUSION_MAP_CLASSES, TaskSpec

NAMES = ("bevfusion_camera", "bevfusion_camera_r50")
TINY = {
    "image_height_px": 64,
    "image_width_px": 176,
    "cell_m": 6.4,
    "depth_step_m": 4.0,
    "map_cell_m": 5.0,
    "width": 8,
}
MILLIONS = {
    "bevfusion_camera": {"image_encoder.backbone": 27.52, "image_encoder.neck": 1.59},
    "bevfusion_camera_r50": {"image_encoder.backbone": 23.51, "image_encoder.neck": 2.16},
}
SHARED = {"view_transform": 0.22, "bev_encoder.neck": 1.39 - 0.59, "bev_encoder.out": 0.59, "map": 1.18}
DECODER = 17.2
"""Millions of parameters; published configuration, counted on paper."""

Made = Callable[[str], Student]


def millions(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@pytest.fixture(scope="module")
def images() -> Tensor:
    """[2, 6, 3, 64, 176] normalised noise."""
    return torch.randn(2, 6, 3, 64, 176, generator=torch.Generator().manual_seed(11))


@pytest.fixture(scope="module")
def tiny(rig: CameraRig, images: Tensor) -> Made:
    """Students of an eighth of the width, whose outputs depend on their inputs."""

    def student(name: str) -> Student:
        made = untrained_student(name, TINY, seed=3)
        calibrate_norms(made, list(images), rig)
        return made.eval()

    return student


@pytest.mark.parametrize("name", NAMES)
def test_published_sizes(name: str) -> None:
    student = build_student(name, {})
    parts = MILLIONS[name] | SHARED
    for part, expected in parts.items():
        assert millions(student.get_submodule(part)) == pytest.approx(expected, abs=0.006), part
    stages = [getattr(student.bev_encoder, f"stage{n}") for n in (1, 2, 3)]
    assert sum(map(millions, stages)) == pytest.approx(DECODER, abs=0.02)
    assert millions(student) == pytest.approx(sum(parts.values()) + DECODER, abs=0.03)
    view, tasks = student.spec.geometry, student.spec.tasks
    assert student.spec.name == name and view.feature_hw == (32, 88) and view.depth_bins.count == 118
    assert view.grid.count[:2] == (128, 128) and view.pool_grid.count[:2] == (256, 256)
    assert tasks.heads == ("map",) and tasks.map_classes == BEVFUSION_MAP_CLASSES
    assert map_grid(view.grid, tasks) == BEVGrid.centred(50.0, 0.5, (-10.0, 10.0))


def test_published_shapes_behind_the_pool() -> None:
    """Without its numbers: the pool's 256 x 256 cells become 80 x 128 x 128, 256 x 128 x 128, 6 x 200 x 200."""
    student = build_student("bevfusion_camera", {}).to("meta")
    lifted = student.view_transform.lift(torch.zeros(6, 256, 32, 88, device="meta"), 6)
    assert [tuple(each.shape) for each in lifted] == [(1, 6, 118, 32, 88), (1, 6, 32, 88, 80)]
    lift = student.view_transform.down(torch.zeros(1, 80, 256, 256, device="meta"))
    half = student.bev_encoder.stage1(lift)
    quarter = student.bev_encoder.stage2(half)
    bev = student.bev_encoder(lift)
    shapes = [tuple(each.shape[1:]) for each in (lift, half, quarter, student.bev_encoder.stage3(quarter), bev)]
    assert shapes == [(80, 128, 128), (160, 64, 64), (320, 32, 32), (640, 32, 32), (256, 128, 128)]
    assert student.map(bev).shape == (1, 6, 200, 200)


@torch.no_grad()
def test_the_neck_written_out() -> None:
    neck = GeneralizedLSSFPN((4, 6, 10), 8).eval()
    maps = [
        torch.randn(1, c, *hw, generator=torch.Generator().manual_seed(c))
        for c, hw in zip((4, 6, 10), ((7, 12), (4, 6), (2, 3)), strict=True)
    ]

    def upsampled(x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)

    middle = neck.middle(torch.cat([maps[1], upsampled(maps[2], maps[1])], 1))
    want = neck.fine(torch.cat([maps[0], upsampled(middle, maps[0])], 1))
    assert want.shape == (1, 8, 7, 12)
    assert torch.equal(neck(*maps), want)


@torch.no_grad()
def test_the_maps_resampling_is_bevfusions_grid_sample() -> None:
    """Its code samples the features at the map's centres, normalised to the grid's extent, without aligned corners."""
    grid, onto = BEVGrid.centred(51.2, 0.8, (-10, 10)), BEVGrid.centred(50.0, 0.5, (-10, 10))
    head = MapHead(3, 4, 2, grid, onto).eval()
    bev = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(5))
    centres = (torch.arange(200, dtype=torch.float64) * 0.5 - 49.75) / 51.2
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    sampled = F.grid_sample(bev, torch.stack([x, y], -1)[None].float(), "bilinear", align_corners=False)
    torch.testing.assert_close(head(bev), head.layers(sampled), rtol=1e-4, atol=1e-4)
    assert [name for name in head.state_dict() if "along" in name] == [], "no weights"
    assert torch.equal(head.along_x.half().float(), head.along_x), "exact in float16"


@torch.no_grad()
def test_a_map_on_the_grid_of_its_features_is_left_alone() -> None:
    grid = BEVGrid.centred(8, 1, (-5, 3))
    with_grids, without = MapHead(3, 4, 2, grid, map_grid(grid, TaskSpec())).eval(), MapHead(3, 4, 2).eval()
    without.load_state_dict(with_grids.state_dict())
    bev = torch.randn(1, 3, 16, 16)
    assert torch.equal(with_grids(bev), without(bev)) and not list(with_grids.buffers(recurse=False))


@torch.no_grad()
def test_rows_run_along_y_and_columns_along_x() -> None:
    """A ridge in one cell of the features appears at its place in metres."""
    grid, onto = BEVGrid.centred(25.6, 1.6, (-5, 3)), BEVGrid.centred(24.0, 0.5, (-5, 3))
    head = MapHead(1, 1, 1, grid, onto)
    bev = torch.zeros(1, 1, 32, 32)
    bev[0, 0, 4, 20] = 1  # y = -18.4 m, x = 7.2 m
    resampled = (head.along_y @ (bev @ head.along_x.T))[0, 0]
    row, column = divmod(int(resampled.argmax()), 96)
    assert onto.centres_m(1)[row] == pytest.approx(-18.4, abs=0.25)
    assert onto.centres_m(0)[column] == pytest.approx(7.2, abs=0.25)


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_outputs_depend_on_images_and_on_geometry(
    name: str, tiny: Made, images: Tensor, ranks_of: Callable[[Student, int], PoolRanks]
) -> None:
    student = tiny(name)
    ranks = ranks_of(student, 1)
    want = student(StudentInputs(images[:1], ranks))
    assert want.bev.shape == (1, 32, 16, 16) and want.map_logits.shape == (1, 6, 20, 20)
    assert set(want.present()) == {"bev", "map_logits"}
    for other in (images[1:], images[:1].roll(1, 1)):
        got = student(StudentInputs(other, ranks)).map_logits
        assert (got - want.map_logits).norm() / (want.map_logits - want.map_logits.mean()).norm() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(
    name: str, tiny: Made, images: Tensor, ranks_of: Callable[[Student, int], PoolRanks]
) -> None:
    student = tiny(name)
    for module in student.modules():
        module.training = isinstance(module, nn.BatchNorm2d)  # no dropped paths
    logits = student(StudentInputs(images, ranks_of(student, 2))).map_logits
    (logits * torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))).mean().backward()
    assert [key for key, p in student.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_taps_have_the_form_that_is_told_before(
    name: str, tiny: Made, images: Tensor, ranks_of: Callable[[Student, int], PoolRanks]
) -> None:
    student = tiny(name)
    form = student_form(student)
    with StudentTaps(student) as tapping:
        taps = tapping.taps(student(StudentInputs(images, ranks_of(student, 2))))
    assert {key: tuple(value.shape[1:]) for key, value in taps.features.items()} == form.features
    assert tuple(form.features) == FEATURES and form.features["lift"] == (10, 16, 16)
    assert taps.outputs.keys() == form.outputs


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"width": 12}, "width must be a multiple of 8 from 8 to 256, got 12"),
        ({"cell_m": 25.6}, "4 x 4 cells, at least 8 x 8"),
        ({"half_extent_m": 0.5}, "reaches 1 to 200 m"),
        ({"map_cell_m": 0.7}, "no whole number"),
        ({"map_cell_m": float("nan")}, "map's grid is empty"),
        ({"drop_path": 1.0}, "drop_path is a share"),
        ({"depth_step_m": 0.0}, "depth bins are empty"),
        ({"image_height_px": 0}, "must be at least 1 x 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments: dict[str, float], words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        build_student("bevfusion_camera", {**TINY, **arguments})
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_depths_and_map_shrink_with_the_reach() -> None:
    spec = build_student("bevfusion_camera_r50", {**TINY, "half_extent_m": 25.6, "cell_m": 1.6, "map_cell_m": 1.0}).spec
    assert spec.geometry.depth_bins.stop_m == pytest.approx(30.5) and spec.tasks.map_half_extent_m == 25.0
    assert map_grid(spec.geometry.grid, spec.tasks).count == (50, 50, 1)


@torch.no_grad()
def test_a_checkpoint_brings_it_back(tiny: Made, images: Tensor, tmp_path, ranks_of) -> None:  # type: ignore[no-untyped-def]
    student = tiny("bevfusion_camera")
    save_checkpoint(tmp_path / "s.pth", student, TINY)
    again = load_checkpoint(tmp_path / "s.pth")
    assert again.spec == student.spec
    inputs = StudentInputs(images[:1], ranks_of(student, 1))
    np.testing.assert_array_equal(again(inputs).map_logits.numpy(), student(inputs).map_logits.numpy())
