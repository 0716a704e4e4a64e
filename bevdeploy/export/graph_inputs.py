"""Inputs of a deployed graph, in their order, as `StudentInputs`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from bevdeploy.batch import StudentInputs
from bevdeploy.models import StudentSpec
from bevdeploy.ops import PoolTableTensors

TABLES = len(PoolTableTensors._fields)


def extra_inputs(spec: StudentSpec) -> tuple[str, ...]:
    """Fields of `StudentInputs` that a student takes besides images and pool tables, in the order of the graph."""
    takes = {
        "ego_state": spec.ego_state,
        "camera_parameters": spec.camera_aware,
        "previous_bev": spec.temporal,
        "previous_from_current": spec.temporal,
    }
    return tuple(name for name, taken in takes.items() if taken)


def student_inputs(spec: StudentSpec, images: Tensor, others: Sequence[Tensor]) -> StudentInputs:
    """Images [1, N, 3, H, W], then the graph's other inputs: five tables and what `extra_inputs` names."""
    tables, extra = others[:TABLES], dict(zip(extra_inputs(spec), others[TABLES:], strict=True))
    return StudentInputs(images, PoolTableTensors(*tables), **extra)
