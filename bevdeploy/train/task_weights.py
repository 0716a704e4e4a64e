"""Weights of the loss terms of the five tasks and of depth."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskWeights:
    """What each term is multiplied with; 0 leaves it out."""

    heatmap: float = 1.0
    boxes: float = 0.25
    """L1 of box codes, as CenterPoint weighs it."""
    map: float = 1.0
    occupancy: float = 1.0
    motion: float = 0.25
    """Smooth L1 of the best mode."""
    modes: float = 0.25
    """Cross-entropy of the best mode."""
    plan: float = 0.25
    collision: float = 0.0
    depth: float = 0.5
    """Only where lidar points come with the samples."""
