"""Weights that change over a training, as functions of its progress from 0 to 1; ours throughout."""

from __future__ import annotations

from typing import NamedTuple

WARM_UP = 0.01
"""Share of the training over which weights rise from 0: 1,000 steps of 100,000."""


class Stage(NamedTuple):
    """What the loss consists of during a part of the training."""

    share: float
    """Of the training."""
    task: float
    feature: float
    output: float
    adaptive: bool
    """Whether regions weigh outputs too, and disagreement weighs regions."""


def ramped(progress: float, share: float) -> float:
    """0 at the beginning of the training, 1 after a share of it."""
    return min(1.0, progress / share) if share > 0 else 1.0


def stage_at(stages: tuple[Stage, ...], progress: float) -> Stage:
    """The stage that a moment of the training falls into; shares need not add up to 1."""
    whole = sum(stage.share for stage in stages)
    end = 0.0
    for stage in stages:
        end += stage.share / whole
        if progress < end - 1e-9:
            return stage
    return stages[-1]
