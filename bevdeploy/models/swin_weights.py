"""ImageNet weights of Swin-T under the names of `models.swin`: the authors' files, torchvision's and timm's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_MADE = ("relative_position_index", "attn_mask")
"""Ends of names of tensors that follow from sizes."""
_CLASSIFIER = ("head.", "norm.")
_TORCHVISION_LINEAR = {"mlp.0.": "mlp.fc1.", "mlp.3.": "mlp.fc2."}


def swin_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors by our names, without the classifier; names that are in none of the three stay as they are."""
    taken = {
        key: value for key, value in weights.items() if not key.endswith(_MADE) and not key.startswith(_CLASSIFIER)
    }
    merged_after = any(key.startswith("layers.0.downsample.") for key in taken)  # the authors merge at a stage's end
    return {_renamed(key, merged_after): value for key, value in taken.items()}


def _renamed(key: str, merged_after: bool) -> str:
    if merged_after:
        return re.sub(r"^layers\.(\d+)\.downsample\.", lambda found: f"layers.{int(found[1]) + 1}.downsample.", key)
    torchvision = re.match(r"features\.(\d+)\.(.*)", key)
    if torchvision is None:
        return key
    place, rest = int(torchvision[1]), torchvision[2]
    if place == 0:  # a convolution, a permutation, a norm
        return (
            "patch_embed." + rest.replace("0.", "proj.", 1) if rest.startswith("0.") else f"patch_embed.norm.{rest[2:]}"
        )
    if place % 2 == 0:
        return f"layers.{place // 2}.downsample.{rest}"
    for theirs, ours in _TORCHVISION_LINEAR.items():
        rest = rest.replace(theirs, ours)
    return f"layers.{place // 2}.blocks.{rest}"
