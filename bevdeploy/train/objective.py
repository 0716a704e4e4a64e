"""Objective: what a training minimises. Task losses are one; each distiller is another, around the same student."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from bevdeploy.models import Student
from bevdeploy.train.batch import TrainBatch


class Objective(Protocol):
    """Loss terms of a batch. One that is an `nn.Module` has its own parameters trained beside the student's."""

    def terms(self, student: Student, batch: TrainBatch) -> dict[str, Tensor]:
        """Scalars by name, weighted: their sum is minimised. Runs the student, and whatever else it needs.

        The names may change with `batch.progress`, as stages come and go.
        """
        ...


class Handed:
    """A batch that wrappers of modules pass on as it is: Fabric would rebuild and cast whatever collection it sees."""

    def __init__(self, batch: TrainBatch) -> None:
        self.batch = batch


class Trained(nn.Module):
    """A student and its objective as one module, so that gradients of both are averaged over processes."""

    def __init__(self, student: Student, objective: Objective) -> None:
        super().__init__()
        self.student = student
        self.objective = objective

    def forward(self, handed: Handed) -> dict[str, Tensor]:
        """The objective's terms."""
        return self.objective.terms(self.student, handed.batch)
