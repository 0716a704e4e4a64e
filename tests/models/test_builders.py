"""The named students: sizes, parameter names and output shapes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bevdeploy.batch import StudentInputs
from bevdeploy.errors import CheckpointError
from bevdeploy.geometry import DepthBins, indices_from_rig, surround_rig
from bevdeploy.models import STUDENTS, Student, build_student, tinybev_r18, tinybev_r18_small
from bevdeploy.models.resnet import ResNet18
from bevdeploy.ops import pool_ranks

MILLIONS = {
    "image_encoder.backbone": 11.18,
    "image_encoder.neck": 0.79,
    "view_transform": 0.62,
    "bev_encoder": 8.37 + 1.32,
    "detection": 1.52,
    "map": 0.44,
    "occupancy": 0.37,
    "motion": 1.76,
    "planning": 1.79,
}
"""Parameters of each block of the 28 M student, as it was sized on paper."""


def millions(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@pytest.fixture(scope="module")
def large() -> Student:
    return tinybev_r18().eval()


def test_the_large_student_has_28_million_parameters(large: Student) -> None:
    assert millions(large) == pytest.approx(28.1, abs=0.3)


@pytest.mark.parametrize("block", MILLIONS)
def test_each_block_has_its_share(large: Student, block: str) -> None:
    assert millions(large.get_submodule(block)) == pytest.approx(MILLIONS[block], rel=0.05)


def test_the_blocks_are_the_whole_student(large: Student) -> None:
    assert sum(millions(large.get_submodule(block)) for block in MILLIONS) == pytest.approx(millions(large))


def test_the_backbone_has_torchvisions_names() -> None:
    """resnet18 has 122 tensors; two of them are the classifier's, which a student has not."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    want = {"conv1.weight", *(f"bn1.{name}" for name in norm)}
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            for k in (1, 2):
                want |= {f"layer{layer}.{block}.conv{k}.weight", *(f"layer{layer}.{block}.bn{k}.{n}" for n in norm)}
        if layer > 1:
            want |= {f"layer{layer}.0.downsample.0.weight", *(f"layer{layer}.0.downsample.1.{n}" for n in norm)}
    assert len(want) + 2 == 122
    assert set(ResNet18().state_dict()) == want


@pytest.mark.parametrize(
    ("name", "net_hw", "side", "channels", "detections", "occupancy"),
    [("tinybev_r18", (256, 704), 200, 256, 100, 200), ("tinybev_r18_small", (128, 352), 64, 64, 50, 50)],
)
def test_output_shapes(
    large: Student, name: str, net_hw: tuple[int, int], side: int, channels: int, detections: int, occupancy: int
) -> None:
    student = large if name == "tinybev_r18" else tinybev_r18_small().eval()
    view = student.spec.geometry
    assert student.spec.name == name
    assert view.net_hw == net_hw and view.feature_hw == (net_hw[0] // 16, net_hw[1] // 16)
    ranks = pool_ranks([indices_from_rig(surround_rig(), view)], view, 6)
    with torch.inference_mode():
        outputs = student(StudentInputs(torch.zeros(1, 6, 3, *net_hw), ranks))
    shapes = {key: tuple(value.shape) for key, value in outputs.present().items()}
    assert shapes == {
        "bev": (1, channels, side, side),
        "heatmap": (1, 10, side, side),
        "box_codes": (1, 6, 10, side, side),
        "map_logits": (1, 4, side, side),
        "occupancy_logits": (1, 5, occupancy, occupancy),
        "agents": (1, detections),
        "trajectory_offsets": (1, detections, 6, 12, 2),
        "trajectory_logits": (1, detections, 6),
        "plans": (1, 3, 6, 2),
    }


def test_every_registered_student_carries_its_own_name() -> None:
    assert {name: build().spec.name for name, build in STUDENTS.items()} == {name: name for name in STUDENTS}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cell_m": 25.6}, "4 x 4 cells, at least 8 x 8"),
        ({"cell_m": 0.001}, "at most 16777215"),
        ({"cell_m": 0.0}, "BEV grid is empty"),
        ({"cell_m": -1}, "BEV grid is empty"),
        ({"cell_m": float("nan")}, "NaN"),
        ({"cell_m": float("inf")}, "must be finite"),
        ({"cell_m": 1e-320}, "infinity"),
        ({"image_height_px": 0}, "must be at least 1 x 1"),
        ({"image_width_px": 10**400}, "too large"),
        ({"image_width_px": 352.0}, "image_width_px must be int, got 352.0"),
        ({"image_width_px": True}, "image_width_px must be int, got True"),
        ({"cell_m": "1.6"}, "cell_m must be float, got '1.6'"),
        ({"half_extent_m": -1.0}, "reaches 1 to 200 m, got half_extent_m = -1.0"),
        ({"half_extent_m": float("nan")}, "reaches 1 to 200 m"),
        ({"ego_state": 1}, "ego_state must be bool, got 1"),
        ({"depth": 18}, "takes no option 'depth'; it takes image_height_px, image_width_px, cell_m, ego_state"),
    ],
)
def test_arguments_that_cannot_be_built_are_refused(arguments: dict[str, bool | float | str], words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        build_student("tinybev_r18_small", arguments)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_the_small_student_can_look_nearer() -> None:
    spec = build_student("tinybev_r18_small", {"cell_m": 0.8, "half_extent_m": 25.6}).spec
    assert spec.geometry.grid.count == (64, 64, 1) and spec.geometry.grid.upper_m[0] == pytest.approx(25.6)
    assert spec.geometry.depth_bins == DepthBins(1.0, 31.0, 1.0), "30 bins, as with the whole reach"
    assert spec.tasks.occupancy_half_extent_m == 25.0 and spec.tasks.occupancy_side == 50


def test_a_whole_number_of_metres_is_a_number_of_metres() -> None:
    assert build_student("tinybev_r18_small", {"cell_m": 2}).spec.geometry.grid.count == (51, 51, 1)


def test_an_unknown_student_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match="unknown student 'tinybev'; known are tinybev_r18, tinybev_r18_small"):
        build_student("tinybev", {})
