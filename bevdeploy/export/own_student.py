"""A user's own module is asked once for its outputs: a wrong one is named before PyTorch's exporter meets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bevdeploy.errors import BevDeployError, CheckpointError
from bevdeploy.export.graph_inputs import student_inputs
from bevdeploy.export.onnx_export import reference_contract
from bevdeploy.export.recipe import ExportRecipe
from bevdeploy.geometry import CameraRig
from bevdeploy.models import Student, StudentOutputs


def check_student(student: Student, recipe: ExportRecipe, rig: CameraRig) -> None:
    """Run the forward on zeros and compare the outputs with what the student's `spec` promises.

    Raises:
        CheckpointError: the forward fails, returns something else, or outputs of other shapes.
        GeometryError: the rig cannot be used.
    """
    contract = reference_contract(student, recipe, rig, "tensor")
    zeros = [torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in contract.inputs]
    name = student.spec.name
    try:
        with torch.inference_mode():
            outputs = student(student_inputs(student.spec, zeros[0], zeros[1:]))
    except Exception as error:  # the user's code may raise anything
        raise CheckpointError(f"{name}: its forward fails on StudentInputs ({_named(error)})") from error
    if not isinstance(outputs, StudentOutputs):
        raise CheckpointError(f"{name}: its forward must return StudentOutputs, got a {type(outputs).__name__}")
    problems = []
    for spec in contract.outputs:
        output = getattr(outputs, spec.name)
        got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        if got != spec.shape:
            problems.append(f"\n  {spec.name}: expected {spec.shape}, got {got}")
    for extra in sorted(set(outputs.present()) - {spec.name for spec in contract.outputs}):
        problems.append(f"\n  {extra}: its spec has no such task, leave it None")
    if problems:
        raise CheckpointError(f"{name}: outputs that are not what its spec says:{''.join(problems)}")


@contextmanager
def tracing_errors(builder: str | None) -> Iterator[None]:
    """Whatever PyTorch's exporter raises over a module that a builder of the user's made, as one CheckpointError.

    Raises:
        CheckpointError: the exporter cannot trace the module.
    """
    try:
        yield
    except BevDeployError:
        raise
    except Exception as error:  # the user's code, or the exporter over it, may raise anything
        if builder is None:
            raise
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise CheckpointError(
            f"--builder {builder}: PyTorch's ONNX exporter cannot trace the module ({_named(cause)})"
        ) from error


def _named(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
