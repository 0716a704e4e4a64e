"""The norm of camera parameters: before training it knows what cameras are like."""

from __future__ import annotations

import torch
from torch import nn

from bevdeploy.geometry.camera_parameters import CAMERA_PARAMETERS

TYPICAL = ((500, 500, 350, 130), (1, 0, 0, 0, 1, 0), (1, 0, 0, 1, 1), (*(0, 0, 0, 1), *(0, 0, 0, 0), *(0, 0, 0, 1.5)))
SPREAD = (
    (150, 150, 30, 30),
    (0.2, 0.1, 50, 0.1, 0.2, 20),
    (0.5, 0.3, 0.3, 0.5, 0.05),
    (*(0.6, 0.6, 0.6, 1),) * 3,
)
"""Means and standard deviations of the groups of `geometry.camera_parameters`, rounded: px, 1, 1, 1 and m."""


class CameraNorm(nn.BatchNorm2d):
    """A batch norm of [B*N, 27, 1, 1] whose statistics start at those of surround rigs, not at 0 and 1.

    The six cameras of one rig cannot tell how numbers vary that they share, such as a focal length; a fresh network
    that took their statistics alone would be thrown off by the next rig.
    """

    def __init__(self) -> None:
        super().__init__(CAMERA_PARAMETERS)
        assert self.running_mean is not None and self.running_var is not None
        self.running_mean.copy_(torch.tensor([value for group in TYPICAL for value in group]))
        self.running_var.copy_(torch.tensor([value for group in SPREAD for value in group]).square())
