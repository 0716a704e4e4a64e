"""A user's own module is asked once for its outputs: a wrong one is named before PyTorch's exporter meets it."""

from __future__ import annotations

import torch

from bevdeploy.batch import StudentInputs
from bevdeploy.errors import CheckpointError
from bevdeploy.export.onnx_export import reference_contract
from bevdeploy.export.recipe import ExportRecipe
from bevdeploy.geometry import CameraRig
from bevdeploy.models import Student, StudentOutputs
from bevdeploy.ops import PoolTableTensors


def check_student(student: Student, recipe: ExportRecipe, rig: CameraRig) -> None:
    """Run the forward on zeros and compare the outputs with what the student's `spec` promises.

    Raises:
        CheckpointError: the forward fails, returns something else, or outputs of other shapes.
        GeometryError: the rig cannot be used.
    """
    contract = reference_contract(student, recipe, rig, "tensor")
    zeros = [torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in contract.inputs]
    ego_state = zeros[6] if len(zeros) > 6 else None
    name = student.spec.name
    try:
        with torch.inference_mode():
            outputs = student(StudentInputs(zeros[0], PoolTableTensors(*zeros[1:6]), ego_state))
    except Exception as error:  # the user's code may raise anything
        first_line = (str(error).strip().splitlines() or [""])[0]
        raise CheckpointError(
            f"{name}: its forward fails on StudentInputs ({type(error).__name__}: {first_line})"
        ) from error
    if not isinstance(outputs, StudentOutputs):
        raise CheckpointError(f"{name}: its forward must return StudentOutputs, got a {type(outputs).__name__}")
    problems = []
    for spec in contract.outputs:
        output = getattr(outputs, spec.name)
        got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        if got != spec.shape:
            problems.append(f"\n  {spec.name}: expected {spec.shape}, got {got}")
    if problems:
        raise CheckpointError(f"{name}: outputs that are not what its spec says:{''.join(problems)}")
