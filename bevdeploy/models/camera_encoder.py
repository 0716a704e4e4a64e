"""What the depth net learns of a camera: a gate for depth, and one for context."""

from __future__ import annotations

from torch import Tensor, nn

from bevdeploy.models.camera_gate import CameraGate
from bevdeploy.models.camera_norm import CameraNorm


class CameraEncoder(nn.Module):
    """Norm of the parameters and two gates. Float32 in every precision: a focal length in half is half a pixel off."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = CameraNorm()
        self.depth = CameraGate(channels)
        self.context = CameraGate(channels)

    def forward(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """[B, N, 27] to factors for depth and for context, each [B*N, channels, 1, 1]."""
        columns = parameters.flatten(0, 1)[..., None, None]  # [B*N, 27, 1, 1]
        normalised = self.norm(columns)
        return self.depth(normalised), self.context(normalised)
