"""Metric: one measured number with its unit, its protocol and, where it cannot be measured, the reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bevdeploy.errors import DataSetError

Unit = Literal["share", "m", "m/s", "rad"]
Better = Literal["up", "down"]

TASKS = ("detection", "tracking", "map", "occupancy", "motion", "planning")
"""Order of the rows in every table."""


@dataclass(frozen=True)
class Metric:
    """One row of a score table. Either `value` or `reason` is given, never both."""

    task: str
    """One of `TASKS`."""
    name: str
    value: float | None
    unit: Unit
    """A share is 0..1; its points are hundredths."""
    better: Better
    protocol: str
    """What was compared with what; numbers of different protocols never stand in one column."""
    count: int
    """What it was measured over: boxes, agents, cells, frames; the protocol says which."""
    reason: str | None = None
    """Why there is no value."""
    headline: bool = False
    """It is the number by which the task is known; the others are parts of it."""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise DataSetError(f"metric {self.name!r}: unknown task {self.task!r}; there is {', '.join(TASKS)}")
        if self.unit not in ("share", "m", "m/s", "rad") or self.better not in ("up", "down"):
            raise DataSetError(f"metric {self.key}: unknown unit {self.unit!r} or direction {self.better!r}")
        if (self.value is None) == (self.reason is None):
            raise DataSetError(f"metric {self.key}: needs either a value or a reason, got {self.value}, {self.reason}")
        if self.value is not None and not math.isfinite(self.value):
            raise DataSetError(f"metric {self.key} is {self.value}; a metric is finite or has a reason")

    @property
    def key(self) -> str:
        """Task and name, unique within a table."""
        return f"{self.task}/{self.name}"

    def document(self) -> dict[str, Any]:
        """The JSON object."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Metric:
        """The metric of a JSON object.

        Raises:
            DataSetError: a key is missing or of another type.
        """
        try:
            value, reason = document["value"], document["reason"]
            return cls(
                str(document["task"]),
                str(document["name"]),
                None if value is None else float(value),
                document["unit"],
                document["better"],
                str(document["protocol"]),
                int(document["count"]),
                None if reason is None else str(reason),
                bool(document["headline"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataSetError(f"not a metric ({type(error).__name__}: {error}): {dict(document)!r}") from error


def ratio(part: float, whole: float) -> float | None:
    """`part / whole`; None where there is nothing to divide by."""
    return part / whole if whole else None


def mean_of(values: list[float]) -> float | None:
    """Mean; None of nothing."""
    return sum(values) / len(values) if values else None
