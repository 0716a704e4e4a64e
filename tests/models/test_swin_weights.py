"""ImageNet weights of Swin-T and ResNet-50 from the forms in which people have them on disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bevdeploy.errors import CheckpointError
from bevdeploy.models import Student, load_backbone_weights
from bevdeploy.models.bevfusion_camera import bevfusion_camera, bevfusion_camera_r50
from bevdeploy.models.swin import DEPTHS, SwinT

SIZES = {"image_height_px": 64, "image_width_px": 96, "cell_m": 6.4, "map_cell_m": 5.0, "width": 8}
Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def source() -> Weights:
    """A backbone of width 8 without the norms of its outputs, every number unlike a fresh one's."""
    generator = torch.Generator().manual_seed(8)
    state = SwinT((64, 96), 12).state_dict()
    return {k: torch.rand(v.shape, generator=generator) for k, v in state.items() if not k.startswith("norms.")}


@pytest.fixture
def student() -> Student:
    return bevfusion_camera(**SIZES)  # type: ignore[arg-type]


def classified(weights: Weights) -> Weights:
    """With what timm, torchvision and the authors keep behind the last stage."""
    return {**weights, "norm.weight": torch.ones(96), "norm.bias": torch.zeros(96), "head.weight": torch.zeros(9, 96)}


def as_authors(weights: Weights) -> Weights:
    """They merge at the end of a stage, and keep what follows from sizes."""
    moved = {}
    for key, value in weights.items():
        found = re.fullmatch(r"layers\.(\d)\.downsample\.(.*)", key)
        moved[f"layers.{int(found[1]) - 1}.downsample.{found[2]}" if found else key] = value
    made = {
        "layers.0.blocks.1.attn_mask": torch.zeros(4),
        "layers.0.blocks.0.attn.relative_position_index": torch.zeros(4),
    }
    return classified({**moved, **made})


def as_torchvision(weights: Weights) -> Weights:
    """Stages at odd places of `features`, merging at even ones."""
    renamed = {
        "patch_embed.proj.": "features.0.0.",
        "patch_embed.norm.": "features.0.2.",
        **{f"layers.{n}.downsample.": f"features.{2 * n}." for n in (1, 2, 3)},
        **{
            f"layers.{n}.blocks.{block}.": f"features.{2 * n + 1}.{block}."
            for n, depth in enumerate(DEPTHS)
            for block in range(depth)
        },
    }
    theirs = {}
    for key, value in weights.items():
        start = next(start for start in renamed if key.startswith(start))
        name = renamed[start] + key.removeprefix(start).replace("fc1", "0").replace("fc2", "3")
        theirs[name] = value
    return classified({**theirs, "features.1.0.attn.relative_position_index": torch.zeros(4)})


@pytest.mark.parametrize(
    "form",
    [classified, lambda w: w, lambda w: {"model": as_authors(w)}, as_torchvision],
    ids=["timm", "bare", "authors", "torchvision"],
)
def test_every_usual_form_of_swin_is_taken(
    source: Weights, student: Student, tmp_path: Path, form: Callable[[Weights], Weights]
) -> None:
    path = tmp_path / "swin.pth"
    torch.save(form(dict(source)), path)
    before = {key: value.clone() for key, value in student.state_dict().items()}
    assert load_backbone_weights(student, path) == len(source)
    got = student.image_encoder.backbone.state_dict()
    assert all(torch.equal(got[key], value) for key, value in source.items())
    others = {key for key in before if key.removeprefix("image_encoder.backbone.") not in source}
    assert all(torch.equal(student.state_dict()[key], before[key]) for key in others)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: {k: v for k, v in w.items() if "layers.2.blocks.5" not in k}, "not a Swin-T state dict: 13 tensors"),
        (lambda w: {**w, "layers.2.blocks.6.norm1.weight": torch.zeros(48)}, "1 unknown"),
        (lambda w: {**w, "patch_embed.proj.weight": torch.zeros(96, 3, 4, 4)}, "expected (12, 3, 4, 4)"),
        (lambda w: {"conv1.weight": torch.zeros(3)}, "not a Swin-T state dict"),
    ],
)
def test_another_network_is_refused(
    source: Weights, student: Student, tmp_path: Path, change: Callable[[Weights], Weights], words: str
) -> None:
    path = tmp_path / "swin.pth"
    torch.save(change(dict(source)), path)
    with pytest.raises(CheckpointError) as caught:
        load_backbone_weights(student, path)
    assert words in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_resnet_50_goes_into_a_resnet_50(student: Student, tmp_path: Path) -> None:
    student_r50, path = bevfusion_camera_r50(**SIZES), tmp_path / "resnet50.pth"  # type: ignore[arg-type]
    weights = {k: torch.full_like(v, 2) for k, v in student_r50.image_encoder.backbone.state_dict().items()}
    torch.save({**weights, "fc.weight": torch.zeros(1000, 256), "fc.bias": torch.zeros(1000)}, path)
    assert load_backbone_weights(student_r50, path) == 318
    assert all(bool((v == 2).all()) for v in student_r50.image_encoder.backbone.state_dict().values())
    with pytest.raises(CheckpointError, match="not a Swin-T state dict"):
        load_backbone_weights(student, path)
