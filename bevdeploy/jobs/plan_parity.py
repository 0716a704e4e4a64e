"""Parity of a plan: does it compute what its ONNX file computes? On the device, without PyTorch.

The ONNX file was proven against PyTorch when it was exported; here ONNX Runtime on the CPU is the reference, on a
synthetic street and on noise, within the tolerances of the student's export recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data import synthetic_frame_sets
from bevdeploy.declaration import toml_document
from bevdeploy.errors import BevDeployError, GeometryError, RecipeError
from bevdeploy.geometry import CameraRig
from bevdeploy.jobs.open_pipeline import default_rig
from bevdeploy.paths import data_dir
from bevdeploy.runtime import Contract, OnnxRunner, Pipeline, Runner
from bevdeploy.runtime.parity import (
    PARITY_MOTION,
    Check,
    Gates,
    ParityReport,
    decoded_checks,
    decoded_from_dense,
    dense_checks,
    relative_l2,
)
from bevdeploy.runtime.pipeline import Frames
from bevdeploy.runtime.tensorrt_runner import TensorRTRunner

SEED = 7


def parity_of_plan(
    plan: Path,
    graph: Path,
    contract: Contract,
    precision: str,
    advance: Callable[[str], None] = lambda case: None,
) -> ParityReport | str:
    """Plan against ONNX Runtime, or the reason why the two cannot be compared on this machine."""
    try:
        gates = gates_of_student(contract.student, precision)
        rig = default_rig(contract)
        reference = OnnxRunner.open(graph, contract=contract)
        runner = TensorRTRunner.open(plan, contract)
    except BevDeployError as error:
        return f"parity not run: {error}"
    try:
        checks = plan_checks(runner, reference, contract, rig, gates, advance)
    except GeometryError as error:
        return f"parity not run: the made-up rig does not fit this graph ({error})"
    finally:
        runner.close()
    return ParityReport(plan.name, f"{graph.name} in ONNX Runtime", tuple(checks))


def plan_checks(
    runner: Runner,
    reference: Runner,
    contract: Contract,
    rig: CameraRig,
    gates: Gates,
    advance: Callable[[str], None] = lambda case: None,
) -> list[Check]:
    """Every output of two runners of one contract, on the street and on noise.

    Raises:
        ContractError: the rig does not fit the contract.
        EngineError: a runner fails.
    """
    pipeline = Pipeline(runner, contract, rig)
    rng = np.random.default_rng(SEED)
    street: Frames = next(iter(synthetic_frame_sets(rig, 1, SEED))).frames
    height_px, width_px = rig.image_hw
    noise: Frames = tuple(rng.integers(0, 256, (len(rig.cameras), height_px, width_px, 3), np.uint8))
    checks: list[Check] = []
    for case, frames in (("synthetic", street), ("noise", noise)):
        advance(f"parity: {case}")
        feeds = {**pipeline.feeds(frames), **_other_inputs(contract, rng)}
        got, want = runner.run(feeds), reference.run(feeds)
        if contract.io == "tensor":
            checks += dense_checks(case, got, want, gates)
            got, want = decoded_from_dense(got, contract), decoded_from_dense(want, contract)
        checks += decoded_checks(case, got, want, gates)
        checks += [
            Check(case, name, "relative L2", relative_l2(got[name], want[name]), gates.dense_relative_l2)
            for name in (state.output for state in contract.state if contract.io == "frames")
        ]
    return checks


def gates_of_student(student: str, precision: str) -> Gates:
    """Tolerances of the student's recipe; `export.recipe` reads the whole of it, but lives with PyTorch.

    Raises:
        RecipeError: the student has no recipe, or it has no such precision.
    """
    path = data_dir("export") / f"{student}.toml"
    if not path.is_file():
        raise RecipeError(f"student {student} has no export recipe with tolerances")
    table = toml_document(path).get("gates", {}).get(precision)
    if table is None:
        raise RecipeError(f"{path.name} has no tolerances for {precision}")
    return Gates(**{name: float(value) for name, value in table.items()})


def _other_inputs(contract: Contract, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Values for inputs that no camera and no rig gives: an ego state, an earlier BEV and the motion since."""
    given = {"images", "camera_parameters", *(state.motion for state in contract.state)}
    floats = [spec for spec in contract.inputs if spec.dtype == "float32" and spec.name not in given]
    motions = {state.motion: PARITY_MOTION for state in contract.state}
    return {**{spec.name: rng.normal(size=spec.shape).astype(np.float32) for spec in floats}, **motions}
