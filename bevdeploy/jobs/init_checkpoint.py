"""`bevdeploy init`: an untrained checkpoint whose batch norms have seen street-like images and noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from bevdeploy.data import synthetic_frame_sets
from bevdeploy.errors import CheckpointError
from bevdeploy.geometry import surround_rig
from bevdeploy.models import load_backbone_weights, save_checkpoint
from bevdeploy.models.checkpoint import Argument
from bevdeploy.models.untrained import calibrate_norms, untrained_student
from bevdeploy.paths import check_writable
from bevdeploy.runtime.contract import Preprocessing
from bevdeploy.runtime.preprocess import images_from_frames

CALIBRATION_SETS = 2
RAW_PX = (800, 450)
"""Width and height of the made-up frames; they are resized to the network image anyway."""
MAX_IMAGE_PX = 2**23
"""Pixels of a network image: 3840 x 2160. Beyond, a slip of the keyboard asks for all the memory there is."""


@dataclass(frozen=True)
class InitReport:
    """What was written."""

    checkpoint: Path
    student: str
    parameters: int
    image_hw: tuple[int, int]
    backbone: str
    """Where the backbone's weights come from."""


def init_checkpoint(
    name: str, path: Path, arguments: Mapping[str, Argument], seed: int = 0, backbone: Path | None = None
) -> InitReport:
    """Write an untrained checkpoint of a named student, with ImageNet weights in its backbone if a file is given.

    Raises:
        CheckpointError: the student, an option or the backbone file cannot be used.
        OutputError: the file cannot be written.
    """
    check_writable(path)
    student = untrained_student(name, arguments, seed)
    height_px, width_px = student.spec.geometry.net_hw
    if height_px * width_px > MAX_IMAGE_PX:
        raise CheckpointError(
            f"{name}: network images of {width_px} x {height_px} px, at most {MAX_IMAGE_PX} pixels are supported; "
            "lower --option image_width_px=PIXELS or image_height_px=PIXELS"
        )
    if backbone is not None:
        load_backbone_weights(student, backbone)
    rig = surround_rig(*RAW_PX)
    net_hw = student.spec.geometry.net_hw
    images = [
        torch.from_numpy(images_from_frames(each.frames, net_hw, Preprocessing())[0])  # [N, 3, H, W]
        for each in synthetic_frame_sets(rig, CALIBRATION_SETS, seed)
    ]
    noise = torch.randn(images[0].shape, generator=torch.Generator().manual_seed(seed))
    calibrate_norms(student, [*images, noise], rig)
    source = f"seed {seed}" if backbone is None else backbone.name
    save_checkpoint(path, student, arguments, f"untrained, seed {seed}; backbone from {source}")
    parameters = sum(parameter.numel() for parameter in student.parameters())
    return InitReport(path, name, parameters, net_hw, source)
