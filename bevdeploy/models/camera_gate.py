"""Squeeze-and-excitation by the camera: channels are weighed by what is known of the camera that took the image."""

from __future__ import annotations

from torch import Tensor, nn

from bevdeploy.geometry.camera_parameters import CAMERA_PARAMETERS


class CameraGate(nn.Module):
    """Camera parameters through two perceptrons to one factor per channel, 0 to 1 (BEVDepth's camera-aware gate).

    1x1 convolutions on one pixel rather than linear layers: engines fuse them like any other.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(
            nn.Conv2d(CAMERA_PARAMETERS, channels, 1), nn.ReLU(inplace=True), nn.Conv2d(channels, channels, 1)
        )
        self.excite = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.ReLU(inplace=True), nn.Conv2d(channels, channels, 1), nn.Sigmoid()
        )

    def forward(self, parameters: Tensor) -> Tensor:
        """Normalised parameters [B*N, 27, 1, 1] to factors [B*N, channels, 1, 1]."""
        factors: Tensor = self.excite(self.embed(parameters))
        return factors
