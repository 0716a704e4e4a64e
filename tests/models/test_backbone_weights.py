"""ImageNet weights for the backbone, in the forms in which people have them on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bevdeploy.errors import CheckpointError
from bevdeploy.models import Student, load_backbone_weights, tinybev_r18_small
from bevdeploy.models.resnet import ResNet18

WIDTH = 16
CLASSIFIER = {"fc.weight": torch.zeros(1000, 8 * WIDTH), "fc.bias": torch.zeros(1000)}


@pytest.fixture(scope="module")
def source() -> ResNet18:
    """A backbone of the small student's width whose weights and statistics are all unlike a fresh one's."""
    backbone = ResNet18(WIDTH).eval()
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for value in backbone.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) * 0.1 + 0.05)
            else:
                value.fill_(7)
    return backbone


@pytest.fixture
def student() -> Student:
    return tinybev_r18_small().eval()


def prefixed(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in weights.items()}


@pytest.mark.parametrize(
    "form",
    [
        lambda w: {**w, **CLASSIFIER},  # torchvision, timm
        lambda w: w,  # timm's features_only
        lambda w: prefixed({**w, **CLASSIFIER}, "module."),
        lambda w: prefixed(w, "backbone."),
        lambda w: prefixed(w, "module.backbone."),
        lambda w: {"state_dict": prefixed(w, "module."), "epoch": 90, "arch": "resnet18"},
        lambda w: {"model": {**w, **CLASSIFIER}},
        lambda w: {key: value for key, value in w.items() if not key.endswith("num_batches_tracked")},
    ],
    ids=["with fc", "without fc", "module.", "backbone.", "module.backbone.", "state_dict", "model", "old"],
)
def test_every_usual_form_is_taken(
    source: ResNet18, student: Student, tmp_path: Path, form: Callable[[dict[str, Tensor]], dict[str, Any]]
) -> None:
    path = tmp_path / "resnet18.pth"
    torch.save(form(source.state_dict()), path)
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    others = {
        name: p.clone() for name, p in student.named_parameters() if not name.startswith("image_encoder.backbone")
    }
    with torch.no_grad():
        before = student.image_encoder.backbone(images)
        taken = load_backbone_weights(student, path)
        after, want = student.image_encoder.backbone(images), source(images)
    assert taken in (120, 100)  # the 20 norms of an old file lack their counter
    for got, old, expected in zip(after, before, want, strict=True):
        assert torch.equal(got, expected) and not torch.allclose(got, old)
    assert all(torch.equal(p, others[name]) for name, p in student.named_parameters() if name in others)


def test_safetensors_are_taken(source: ResNet18, student: Student, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "model.safetensors"
    safetensors.save_file({**source.state_dict(), **CLASSIFIER}, path)
    assert load_backbone_weights(student, path) == 120
    got = student.image_encoder.backbone.state_dict()
    assert all(torch.equal(got[key], value) for key, value in source.state_dict().items())


class Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch marker",)


def resnet34_like(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**weights, "layer1.2.conv1.weight": torch.zeros(WIDTH, WIDTH, 3, 3)}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (lambda w: ResNet18(64).state_dict(), "conv1.weight: expected (16, 3, 7, 7), got (64, 3, 7, 7)"),
        (resnet34_like, "0 tensors missing (first []), 1 unknown (first ['layer1.2.conv1.weight'])"),
        (lambda w: {"features.0.weight": torch.zeros(3)}, "not a ResNet-18 state dict"),
        (lambda w: {}, "not a ResNet-18 state dict"),
        (lambda w: {"epoch": 3}, "not a state dict of tensors"),
        (lambda w: [1], "not a state dict of tensors"),
        (lambda w: {**w, "conv1.weight": Code()}, "refused: reading it would need more than weights"),
        (lambda w: {**w, "bn1.bias": torch.full((WIDTH,), float("nan"))}, "bn1.bias holds NaN or infinity"),
    ],
)
def test_what_is_not_this_backbone_is_refused(
    source: ResNet18,
    student: Student,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    document: Callable[[dict[str, Tensor]], Any],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {key: value.clone() for key, value in student.state_dict().items()}
    path = tmp_path / "weights.pth"
    torch.save(document(dict(source.state_dict())), path)
    with pytest.raises(CheckpointError) as caught:
        load_backbone_weights(student, path)
    text = str(caught.value)
    assert words in text and text.startswith(f"{path}: ") and len(text.splitlines()) == 1
    assert all(torch.equal(value, before[key]) for key, value in student.state_dict().items())
    assert [each.name for each in tmp_path.iterdir()] == ["weights.pth"]


@pytest.mark.parametrize("name", ["noise.pth", "noise.safetensors"])
def test_damaged_and_missing_files(student: Student, tmp_path: Path, name: str) -> None:
    if name.endswith("safetensors"):
        pytest.importorskip("safetensors")
    path = tmp_path / name
    with pytest.raises(CheckpointError, match="no such file"):
        load_backbone_weights(student, path)
    path.write_bytes(b"\xff" * 300)
    with pytest.raises(CheckpointError, match=f"{name}: "):
        load_backbone_weights(student, path)
