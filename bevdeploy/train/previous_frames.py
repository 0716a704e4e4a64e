"""The frames before those of a batch, as tensors: what a temporal student sees a second time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bevdeploy.data.sample import Float32, Sample, View
from bevdeploy.geometry import camera_parameters, plane_motion
from bevdeploy.geometry.plane_motion import STANDING_STILL
from bevdeploy.models import StudentSpec
from bevdeploy.ops import PoolRanks, pool_ranks


class PreviousFrames(NamedTuple):
    """Of the P samples of B that have a keyframe before them; the others are first frames of their scenes."""

    rows: Tensor
    """[P] which samples of the batch."""
    images: Tensor
    """[P, N, H, W, 3] uint8 RGB, augmented as the sample's own."""
    pool: PoolRanks
    """Into the BEV grid of the earlier moment, under the sample's BEV augmentation."""
    camera_parameters: Tensor | None
    """[P, N, 27], for camera-aware students."""

    def to(self, device: torch.device) -> PreviousFrames:
        """The same on another device."""
        parameters = None if self.camera_parameters is None else self.camera_parameters.to(device)
        return PreviousFrames(self.rows.to(device), self.images.to(device), self.pool.to(device), parameters)


def previous_frames(samples: Sequence[Sample], spec: StudentSpec) -> PreviousFrames | None:
    """The frames before; None for a student of single frames, and where no sample has one.

    Raises:
        GeometryError: the batch is too large for 32-bit indices.
    """
    pairs = [(row, sample, sample.previous) for row, sample in enumerate(samples) if sample.previous is not None]
    if not spec.temporal or not pairs:
        return None
    views = [view for _, _, view in pairs]
    parameters = None
    if spec.camera_aware:
        parameters = torch.from_numpy(np.stack([parameters_of_view(view, sample) for _, sample, view in pairs]))
    return PreviousFrames(
        rows=torch.tensor([row for row, _, _ in pairs]),
        images=torch.from_numpy(np.stack([view.images for view in views])),
        pool=pool_ranks([view.indices for view in views], spec.geometry, len(views[0].images)),
        camera_parameters=parameters,
    )


def parameters_of_view(view: View, sample: Sample) -> Float32:
    """Camera parameters [N, 27] of one view of a sample."""
    return camera_parameters(view.K, view.bev_from_cam, view.augmented_from_net, sample.bev_from_ego)


def motions(samples: Sequence[Sample]) -> Tensor:
    """Present BEV plane to that of the keyframe before, [B, 2, 3]; the identity for first frames."""
    return torch.from_numpy(np.stack([_motion(sample) for sample in samples]))


def _motion(sample: Sample) -> Float32:
    if sample.bev_from_previous_bev is None:
        return STANDING_STILL
    return plane_motion(np.linalg.inv(sample.bev_from_previous_bev))
