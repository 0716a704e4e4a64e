"""ImageNet weights for the backbone, from a local file of torchvision's or timm's resnet18, resnet50 or swin_t."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bevdeploy.errors import CheckpointError, MissingDependencyError
from bevdeploy.models.student import Student
from bevdeploy.models.swin import SwinT
from bevdeploy.models.swin_weights import swin_weights

if TYPE_CHECKING:
    from bevdeploy.models.teachers.teacher import CameraBranch


def load_backbone_weights(student: Student | CameraBranch, path: Path) -> int:
    """Load a state dict of the student's backbone, ResNet or Swin-T, into it; returns the number of tensors taken.

    Takes torchvision's and timm's files (.pth, .pt, .bin, .safetensors), and those of Swin's authors, bare or under
    `state_dict` or `model`, with or without a `module.` or `backbone.` prefix. The classifier is left out, and the
    norms of Swin's outputs stay as they are, since no ImageNet file has them; everything else must match.

    Raises:
        CheckpointError: the file cannot be read safely, or is of another backbone or width.
        MissingDependencyError: a .safetensors file, and safetensors is not installed.
    """
    weights = _state_dict(path)
    backbone = student.image_encoder.backbone
    want = backbone.state_dict()
    if isinstance(backbone, SwinT):
        taken, name = swin_weights(weights), "Swin-T"
    else:
        taken = {key: value for key, value in weights.items() if not key.startswith("fc.")}
        name = f"ResNet-{backbone.depth}"
    missing, unknown = sorted(set(want) - set(taken)), sorted(set(taken) - set(want))
    missing = [key for key in missing if not _may_lack(key)]
    if missing or unknown:
        raise CheckpointError(
            f"{path}: not a {name} state dict: {len(missing)} tensors missing (first {missing[:1]}), "
            f"{len(unknown)} unknown (first {unknown[:1]})"
        )
    for key, value in taken.items():
        if value.shape != want[key].shape:
            raise CheckpointError(f"{path}: {key}: expected {tuple(want[key].shape)}, got {tuple(value.shape)}")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"{path}: {key} holds NaN or infinity")
    backbone.load_state_dict(want | taken)
    return len(taken)


def _may_lack(key: str) -> bool:
    """Counters are absent from older files, norms of outputs from all of ImageNet's."""
    return key.endswith("num_batches_tracked") or key.startswith("norms.")


def _state_dict(path: Path) -> dict[str, torch.Tensor]:
    document: Any
    try:
        if path.suffix == ".safetensors":
            document = _safetensors(path)
        else:
            document = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: no such file; save the state dict of torchvision's resnet18, resnet50 or swin_t there"
        ) from error
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
