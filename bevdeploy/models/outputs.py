"""StudentOutputs: dense, undecoded outputs of up to five tasks. BEV tensors are [B, C, Y, X]."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from bevdeploy.tasks import TaskSpec

DENSE_BY_HEAD = {
    "detection": ("heatmap", "box_codes", "agents"),
    "map": ("map_logits",),
    "occupancy": ("occupancy_logits",),
    "motion": ("trajectory_offsets", "trajectory_logits"),
    "planning": ("plans",),
}
"""Fields of `StudentOutputs` that each task fills."""


class StudentOutputs(NamedTuple):
    """G class groups, K agents, M modes, T motion steps; None where the student does not have the task."""

    bev: Tensor
    """[B, C, Y, X] BEV features that all heads share."""
    heatmap: Tensor | None = None
    """[B, classes, Y, X] logits of class centres."""
    box_codes: Tensor | None = None
    """[B, G, 10, Y, X]: offset x, y in cells; z; log width, length, height; sin, cos of yaw; velocity x, y."""
    map_logits: Tensor | None = None
    """[B, map classes, Y, X] on the map's grid (`geometry.map_grid`)."""
    occupancy_logits: Tensor | None = None
    """[B, steps, side, side] over +-50 m."""
    agents: Tensor | None = None
    """[B, K] the highest peaks of the heat map, best first: flat index `class*Y*X + y*X + x`."""
    trajectory_offsets: Tensor | None = None
    """[B, K, M, T, 2] displacement of each step, metres."""
    trajectory_logits: Tensor | None = None
    """[B, K, M]."""
    plans: Tensor | None = None
    """[B, commands, steps, 2] ego positions, metres."""
    bev_state: Tensor | None = None
    """[B, C, Y, X] float32, of temporal students: this frame's pooled BEV, the `previous_bev` of a later frame."""

    def present(self) -> dict[str, Tensor]:
        """What the student has, by name, in this order."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def dense_outputs(tasks: TaskSpec, temporal: bool = False) -> tuple[str, ...]:
    """Names of the outputs of a student with these tasks, in the order of `StudentOutputs`."""
    present = {"bev", *(name for head in tasks.heads for name in DENSE_BY_HEAD[head])}
    present |= {"bev_state"} if temporal else set()
    return tuple(name for name in StudentOutputs._fields if name in present)
