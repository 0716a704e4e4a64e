"""StudentOutputs: dense, undecoded outputs of all five tasks. BEV tensors are [B, C, Y, X]."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class StudentOutputs(NamedTuple):
    """G class groups, K agents, M modes, T motion steps."""

    bev: Tensor
    """[B, C, Y, X] BEV features that all heads share."""
    heatmap: Tensor
    """[B, classes, Y, X] logits of class centres."""
    box_codes: Tensor
    """[B, G, 10, Y, X]: offset x, y in cells; z; log width, length, height; sin, cos of yaw; velocity x, y."""
    map_logits: Tensor
    """[B, map classes, Y, X]."""
    occupancy_logits: Tensor
    """[B, steps, side, side] over +-50 m."""
    agents: Tensor
    """[B, K] the highest peaks of the heat map, best first: flat index `class*Y*X + y*X + x`."""
    trajectory_offsets: Tensor
    """[B, K, M, T, 2] displacement of each step, metres."""
    trajectory_logits: Tensor
    """[B, K, M]."""
    plans: Tensor
    """[B, commands, steps, 2] ego positions, metres."""
