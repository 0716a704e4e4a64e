"""StudentSpec: what a student fixes, besides its weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from bevdeploy.geometry import ViewGeometry
from bevdeploy.tasks import TaskSpec


@dataclass(frozen=True)
class StudentSpec:
    """The part of a student that its export recipe, contract and data loader need to know."""

    name: str
    """The builder's name."""
    geometry: ViewGeometry
    bev_channels: int
    """C of the BEV features [B, C, Y, X] that all heads share."""
    tasks: TaskSpec = field(default_factory=TaskSpec)
    ego_state: bool = False
    """The plan also reads the ego vehicle's state."""
    camera_aware: bool = False
    """Depth also reads `StudentInputs.camera_parameters`."""
    state_channels: int = 0
    """C of the pooled BEV [B, C, Y, X] that is handed from frame to frame; 0 for a student of single frames."""

    @property
    def temporal(self) -> bool:
        """Whether the student reads the BEV of an earlier frame, and emits its own for a later one."""
        return self.state_channels > 0
