"""`bevdepth_r50`: sizes, ImageNet names, what camera parameters and the earlier BEV do to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bevdeploy.batch import StudentInputs
from bevdeploy.distill.taps import StudentTaps, student_form
from bevdeploy.errors import CheckpointError, ContractError
from bevdeploy.geometry import CameraRig, camera_parameters_of_rig, indices_from_rig, plane_motion
from bevdeploy.models import Student, build_student, load_backbone_weights
from bevdeploy.models.bev_warp import warped_bev
from bevdeploy.models.half import half_student
from bevdeploy.models.resnet50 import ResNet50
from bevdeploy.models.untrained import calibrate_norms, untrained_student
from bevdeploy.ops import pool_ranks

TINY = {"image_height_px": 64, "image_width_px": 192, "cell_m": 6.4, "depth_step_m": 4.0, "width": 8}
MILLIONS = {
    "image_encoder.backbone": 23.51,
    "image_encoder.neck": 1.97,
    "view_transform": 29.50,
    "bev_encoder": 21.57,
    "detection": 1.52,
}
"""The backbone is torchvision's resnet50 without its classifier, 25.56 - 2.05."""


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """[3, 6, 3, 64, 192]."""
    return torch.randn(3, 6, 3, 64, 192, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def tiny(rig: CameraRig, images: torch.Tensor) -> Student:
    student = untrained_student("bevdepth_r50", TINY, 0)
    calibrate_norms(student, list(images), rig)
    return student


@pytest.fixture(scope="module")
def inputs(tiny: Student, rig: CameraRig, images: torch.Tensor) -> StudentInputs:
    """Two samples, the second of the cameras in another order."""
    view = tiny.spec.geometry
    rigs = [rig, CameraRig(rig.cameras[2:] + rig.cameras[:2])]
    ranks = pool_ranks([indices_from_rig(each, view) for each in rigs], view, 6)
    parameters = np.stack([camera_parameters_of_rig(each, view.net_hw) for each in rigs])
    return StudentInputs(images[:2], ranks, None, torch.from_numpy(parameters))


def test_the_published_size() -> None:
    with torch.device("meta"):
        backbone = ResNet50()
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 25_557_032 - 2048 * 1000 - 1000
    student = build_student("bevdepth_r50", {})
    view = student.spec.geometry
    assert (view.grid.count, view.depth_bins.count, view.net_hw) == ((128, 128, 1), 112, (256, 704))
    assert view.feature_hw == (16, 44)
    assert student.spec.state_channels == 80 and student.spec.temporal and student.spec.camera_aware
    assert student.spec.tasks.heads == ("detection",)
    for block, millions in MILLIONS.items():
        count = sum(parameter.numel() for parameter in student.get_submodule(block).parameters())
        assert count / 1e6 == pytest.approx(millions, rel=0.01), block
    form = student_form(student).features
    assert form == {
        "lift": (160, 128, 128),
        "bev_s0": (160, 64, 64),
        "bev_s1": (320, 32, 32),
        "bev_s2": (640, 16, 16),
        "bev_neck": (256, 128, 128),
    }


def test_the_backbone_has_torchvisions_names() -> None:
    """resnet50 has 320 tensors; two of them are the classifier's, which a student has not."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    want = {"conv1.weight", *(f"bn1.{name}" for name in norm)}
    for layer, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            for k in (1, 2, 3):
                want |= {f"layer{layer}.{block}.conv{k}.weight", *(f"layer{layer}.{block}.bn{k}.{n}" for n in norm)}
        want |= {f"layer{layer}.0.downsample.0.weight", *(f"layer{layer}.0.downsample.1.{n}" for n in norm)}
    assert len(want) + 2 == 320
    assert set(ResNet50(8).state_dict()) == want


def test_imagenet_weights_go_into_the_backbone(tmp_path: Path) -> None:
    student, source = build_student("bevdepth_r50", TINY), ResNet50(8)
    for parameter in source.parameters():
        nn.init.constant_(parameter, 0.25)
    torch.save({**source.state_dict(), "fc.weight": torch.zeros(1000, 256)}, tmp_path / "resnet50.pth")
    load_backbone_weights(student, tmp_path / "resnet50.pth")
    assert all(bool((parameter == 0.25).all()) for parameter in student.image_encoder.backbone.parameters())
    torch.save({"conv1.weight": torch.zeros(8, 3, 7, 7)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="not a ResNet-50 state dict"):
        load_backbone_weights(student, tmp_path / "other.pth")


@torch.no_grad()
def test_output_shapes_and_taps(tiny: Student, inputs: StudentInputs) -> None:
    with StudentTaps(tiny) as tapping:
        outputs = tiny(inputs)
    taps = tapping.taps(outputs)
    shapes = {name: tuple(value.shape[1:]) for name, value in taps.features.items()}
    assert shapes == student_form(tiny).features
    assert {name: tuple(value.shape) for name, value in outputs.present().items()} == {
        "bev": (2, 32, 16, 16),
        "heatmap": (2, 10, 16, 16),
        "box_codes": (2, 6, 10, 16, 16),
        "agents": (2, 100),
        "bev_state": (2, 10, 16, 16),
    }
    assert outputs.bev_state is not None
    assert torch.equal(taps.feature("lift")[:, :10], outputs.bev_state)  # now first, earlier behind


@torch.no_grad()
def test_swapped_cameras_change_the_depth(tiny: Student, inputs: StudentInputs) -> None:
    """The same pixels, said to be another camera's, lie at another depth; the other cameras' stay to the bit."""
    features = tiny.image_encoder(inputs.images[:1].flatten(0, 1))
    parameters = inputs.camera_parameters[:1]
    swapped = parameters[:, [1, 0, 2, 3, 4, 5]]
    depth, feat = tiny.view_transform.lift(features, 6, parameters)
    other_depth, other_feat = tiny.view_transform.lift(features, 6, swapped)
    for ours, theirs in ((depth, other_depth), (feat, other_feat)):
        gap = (ours - theirs).abs().amax((0, 2, 3, 4))
        assert bool((gap[:2] > 1e-3 * ours.abs().max()).all()) and not gap[2:].any()
    torch.testing.assert_close(depth.sum(2), torch.ones_like(depth[:, :, 0]))


@torch.no_grad()
def test_no_earlier_frame_is_a_frame_of_zeros(tiny: Student, inputs: StudentInputs) -> None:
    still = torch.eye(3)[None, :2].repeat(2, 1, 1)
    zeros = inputs._replace(previous_bev=torch.zeros(2, 10, 16, 16), previous_from_current=still)
    without, with_zeros = tiny(inputs), tiny(zeros)
    for name, value in without.present().items():
        torch.testing.assert_close(getattr(with_zeros, name), value, atol=1e-5, rtol=1e-5, msg=name)


@torch.no_grad()
def test_the_earlier_frame_enters_where_it_is_seen_now(tiny: Student, inputs: StudentInputs) -> None:
    motion = np.eye(4)
    motion[:2, 3] = 6.4, -3.0
    earlier = torch.randn(2, 10, 16, 16, generator=torch.Generator().manual_seed(2))
    moved = torch.from_numpy(plane_motion(motion))[None].repeat(2, 1, 1)
    fed = inputs._replace(previous_bev=earlier, previous_from_current=moved)
    with StudentTaps(tiny) as tapping:
        outputs = tiny(fed)
    lift = tapping.taps(outputs).feature("lift")
    assert torch.equal(lift[:, 10:], warped_bev(earlier, moved, tiny.spec.geometry.grid))
    first = tiny(inputs)
    assert torch.equal(outputs.bev_state, first.bev_state)  # what is handed on is of this frame alone
    assert float((outputs.heatmap - first.heatmap).abs().max()) > 1e-2


def test_without_camera_parameters_it_says_what_it_needs(tiny: Student, inputs: StudentInputs) -> None:
    with pytest.raises(ContractError, match=r"needs StudentInputs\.camera_parameters \[B, N, 27\]"):
        tiny(inputs._replace(camera_parameters=None))


def test_half_keeps_the_camera_in_float32(tiny: Student) -> None:
    half = half_student(tiny)
    kinds = {name: parameter.dtype for name, parameter in half.named_parameters()}
    assert {kind for name, kind in kinds.items() if ".camera." in name} == {torch.float32}
    assert {kind for name, kind in kinds.items() if ".camera." not in name} == {torch.float16}


def test_every_weight_is_trained(tiny: Student, inputs: StudentInputs) -> None:
    student = build_student("bevdepth_r50", TINY).train()
    outputs = student(
        inputs._replace(
            previous_bev=torch.randn(2, 10, 16, 16), previous_from_current=torch.eye(3)[None, :2].repeat(2, 1, 1)
        )
    )
    (outputs.heatmap.square().sum() + outputs.box_codes.square().sum()).backward()
    assert [name for name, parameter in student.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 12}, "width must be a multiple of 8"),
        ({"image_height_px": 250}, "multiples of 32"),
        ({"cell_m": 0.5}, "205 x 205 cells: both must be multiples of 8"),
        ({"half_extent_m": 0.0}, "BEV grid is empty"),
        ({"depth_step_m": -1.0}, "depth bins are empty"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        build_student("bevdepth_r50", options)
