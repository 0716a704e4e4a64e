"""Untrained teachers: seeded first weights, as those of untrained students."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from bevdeploy.models.checkpoint_file import Argument
from bevdeploy.models.teachers.checkpoint import build_teacher
from bevdeploy.models.teachers.teacher import Teacher
from bevdeploy.models.untrained import initialise


def untrained_teacher(name: str, arguments: Mapping[str, Argument], seed: int) -> Teacher:
    """A teacher with seeded weights.

    Raises:
        CheckpointError: the name or an argument is unknown, or a value does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        teacher = build_teacher(name, arguments)
        initialise(teacher)
    return teacher
