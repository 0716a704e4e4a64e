"""ImageNet weights for the backbone, from a local file of torchvision's or timm's resnet18."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from bevdeploy.errors import CheckpointError, MissingDependencyError
from bevdeploy.models.student import Student


def load_backbone_weights(student: Student, path: Path) -> int:
    """Load a ResNet-18 state dict into the student's backbone; returns the number of tensors taken.

    Takes torchvision's and timm's files (.pth, .pt, .bin, .safetensors), bare or under `state_dict` or `model`, with or
    without a `module.` or `backbone.` prefix. The classifier (`fc.*`) is left out; everything else must match.

    Raises:
        CheckpointError: the file cannot be read safely, or is no ResNet-18 of this width.
        MissingDependencyError: a .safetensors file, and safetensors is not installed.
    """
    weights = _state_dict(path)
    want = student.image_encoder.backbone.state_dict()
    taken = {key: value for key, value in weights.items() if not key.startswith("fc.")}
    missing, unknown = sorted(set(want) - set(taken)), sorted(set(taken) - set(want))
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]  # absent from older files
    if missing or unknown:
        raise CheckpointError(
            f"{path}: not a ResNet-18 state dict: {len(missing)} tensors missing (first {missing[:1]}), "
            f"{len(unknown)} unknown (first {unknown[:1]})"
        )
    for key, value in taken.items():
        if value.shape != want[key].shape:
            raise CheckpointError(f"{path}: {key}: expected {tuple(want[key].shape)}, got {tuple(value.shape)}")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"{path}: {key} holds NaN or infinity")
    student.image_encoder.backbone.load_state_dict(want | taken)
    return len(taken)


def _state_dict(path: Path) -> dict[str, torch.Tensor]:
    document: Any
    try:
        if path.suffix == ".safetensors":
            document = _safetensors(path)
        else:
            document = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file; save the state dict of torchvision's resnet18 there") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: refused: reading it would need more than weights") from error
    except MissingDependencyError:
        raise
    except Exception as error:  # readers raise many types on damaged files
        raise CheckpointError(f"{path}: cannot be read as weights ({type(error).__name__})") from error
    for key in ("state_dict", "model"):
        if isinstance(document, dict) and isinstance(document.get(key), dict):
            document = document[key]
    if not isinstance(document, dict) or not all(isinstance(value, torch.Tensor) for value in document.values()):
        raise CheckpointError(f"{path}: not a state dict of tensors")
    return {str(key).removeprefix("module.").removeprefix("backbone."): value for key, value in document.items()}


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: reading it needs safetensors: pip install 'bevdeploy[export]'"
        ) from error
    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors
