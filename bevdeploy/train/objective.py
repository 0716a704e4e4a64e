"""Objective: what a training minimises. Task losses are one; each distiller is another, around the same student."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

from bevdeploy.models import Student
from bevdeploy.models.teachers import Teacher
from bevdeploy.train.batch import TrainBatch
from bevdeploy.train.previous_bev import with_previous_bev

Network = TypeVar("Network", Student, Teacher)
Taken = TypeVar("Taken", contravariant=True)


class ObjectiveOf(Protocol[Taken]):
    """Loss terms of a batch. One that is an `nn.Module` has its own parameters trained beside the network's."""

    def terms(self, network: Taken, batch: TrainBatch, /) -> dict[str, Tensor]:
        """Scalars by name, weighted: their sum is minimised. Runs the network, and whatever else it needs.

        The names may change with `batch.progress`, as stages come and go.
        """
        ...


Objective = ObjectiveOf[Student]


class Handed:
    """A batch that wrappers of modules pass on as it is: Fabric would rebuild and cast whatever collection it sees."""

    def __init__(self, batch: TrainBatch) -> None:
        self.batch = batch


class Trained(nn.Module):
    """A student, or a teacher in its place, and its objective as one module: gradients of both are averaged."""

    def __init__(self, student: nn.Module, objective: ObjectiveOf[Any]) -> None:
        super().__init__()
        self.student = student
        self.objective = objective

    def forward(self, handed: Handed) -> dict[str, Tensor]:
        """The objective's terms; a temporal student first looks at the frames before."""
        batch = handed.batch
        if isinstance(self.student, Student):
            batch = with_previous_bev(self.student, batch)
        return self.objective.terms(self.student, batch)
