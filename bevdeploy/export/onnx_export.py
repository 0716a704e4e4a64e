"""A student as a verified ONNX file: trace, contract, parity; files appear only when they are complete."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from numpy.typing import NDArray

from bevdeploy.errors import OutputError
from bevdeploy.export.contract_of_student import baked_contract, contract_of_student
from bevdeploy.export.deploy_graph import FramesGraph, TensorGraph, opened_outputs
from bevdeploy.export.onnx_graph import bake_tables, finish, onnx_from_module, without_outputs
from bevdeploy.export.recipe import ExportRecipe, Precision
from bevdeploy.export.torch_runner import TorchRunner
from bevdeploy.geometry import CameraRig, ImageTransform, TableSizes
from bevdeploy.geometry.pool_tables import sizes_of_need, tables_from_rig
from bevdeploy.geometry.ranks import seen_indices
from bevdeploy.models import Student
from bevdeploy.models.half import half_student
from bevdeploy.models.outputs import dense_outputs
from bevdeploy.paths import flush, replacing
from bevdeploy.runtime.contract import (
    CONTRACT_DIGEST_KEY,
    Contract,
    GeometryMode,
    IoMode,
    Preprocessing,
    contract_path,
)
from bevdeploy.runtime.onnx_runner import PRECISION_KEY, OnnxRunner
from bevdeploy.runtime.parity import (
    PARITY_EGO_STATE,
    PARITY_MOTION,
    Check,
    ParityReport,
    decoded_checks,
    decoded_from_dense,
    decoder_checks,
    dense_checks,
)
from bevdeploy.runtime.pipeline import Frames, Pipeline
from bevdeploy.runtime.runner import Runner

MAX_ONNX_BYTES = 2**31 - 1
"""A protobuf message cannot be larger."""


@dataclass(frozen=True)
class ParityCase:
    """Frames and a rig on which the graph must equal PyTorch."""

    name: str
    frames: Frames
    rig: CameraRig


@dataclass(frozen=True)
class StudentGraph:
    """A traced student that is not written yet."""

    student: Student
    """In fp32: what every file is compared with."""
    precision: Precision
    contract: Contract
    reference: Contract
    """The same export with its tables as inputs: what the PyTorch runner takes. The contract itself, unless baked."""
    model: onnx.ModelProto
    """What ships."""
    opened: onnx.ModelProto
    """The same graph that also declares its dense outputs."""


def graph_of_student(
    student: Student,
    recipe: ExportRecipe,
    rig: CameraRig,
    io: IoMode,
    geometry_mode: GeometryMode,
    sizes: TableSizes | None = None,
    precision: Precision = "fp32",
) -> StudentGraph:
    """Trace a student for a rig's cameras and raw image size; `sizes` replace those of the rig and the recipe.

    Inputs and outputs are the same in every precision, so all files of a student share one contract.

    Raises:
        GeometryError: the rig cannot be used.
        CheckpointError: a weight does not fit float16.
    """
    traced = half_student(student) if precision == "fp16" else student
    reference = reference_contract(student, recipe, rig, io, geometry_mode, sizes)
    contract = reference if geometry_mode == "runtime" else baked_contract(reference, rig)
    opened = onnx_from_module(
        deploy_module(traced, reference),
        [torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in reference.inputs],
        [spec.name for spec in reference.inputs],
        (dense_outputs if io == "tensor" else opened_outputs)(student.spec.tasks, student.spec.temporal),
        recipe.opset,
    )
    if geometry_mode == "baked":
        bake_tables(opened, tables_from_rig(rig, student.spec.geometry, contract.table_sizes).arrays())
    model = without_outputs(opened, [spec.name for spec in contract.outputs])
    for either in (model, opened):
        finish(either, {CONTRACT_DIGEST_KEY: contract.digest(), PRECISION_KEY: precision})
    return StudentGraph(student, precision, contract, reference, model, opened)


def reference_contract(
    student: Student,
    recipe: ExportRecipe,
    rig: CameraRig,
    io: IoMode,
    geometry_mode: GeometryMode = "runtime",
    sizes: TableSizes | None = None,
) -> Contract:
    """The contract with tables as inputs; tables that will be baked need no head room.

    Raises:
        GeometryError: the rig cannot be used.
    """
    if sizes is None:
        need = sizes_of_need(seen_indices(rig, student.spec.geometry))
        sizes = need.grown(recipe.table_headroom if geometry_mode == "runtime" else 1.0)
    return contract_of_student(student.spec, rig, sizes, io, Preprocessing(resize=recipe.resize))


def deploy_module(student: Student, contract: Contract) -> FramesGraph | TensorGraph:
    """The module whose forward is the deployed graph."""
    if contract.io == "tensor":
        return TensorGraph(student)
    transform = ImageTransform.fit(contract.raw_hw, student.spec.geometry.net_hw)
    return FramesGraph(student, transform, contract.preprocessing)


def parity_of_graph(
    graph: StudentGraph,
    recipe: ExportRecipe,
    cases: Sequence[ParityCase],
    name: str,
    advance: Callable[[str], None] = lambda case: None,
) -> ParityReport:
    """The graph in ONNX Runtime against the student in PyTorch; `advance` is told each case before it runs.

    A temporal student runs each case twice: as a first frame, and fed with what it said then, from a moving vehicle.

    Raises:
        EngineError: ONNX Runtime refuses the graph.
    """
    contract, reference, gates = graph.contract, graph.reference, recipe.gates_of(graph.precision)
    torch_runner = TorchRunner(deploy_module(graph.student, reference), reference)
    shipped = OnnxRunner.from_bytes(graph.model.SerializeToString(), contract)
    opened = OnnxRunner.from_bytes(graph.opened.SerializeToString(), contract) if contract.io == "frames" else shipped
    checks: list[Check] = []
    for case in cases:
        ours, theirs = _feeds(shipped, contract, case), _feeds(torch_runner, reference, case)
        for title in (case.name, f"{case.name}, moving") if contract.state else (case.name,):
            advance(title)
            want = torch_runner.run(theirs)
            dense = opened.run(ours)
            checks += dense_checks(title, dense, want, gates)
            if contract.io == "frames":
                checks += decoded_checks(title, {**dense, **shipped.run(ours)}, want, gates)
            else:
                decoded = {**dense, **decoded_from_dense(dense, contract)}
                expected = {**want, **decoded_from_dense(want, reference)}
                checks += decoded_checks(title, decoded, expected, gates)
            checks += decoder_checks(title, dense, contract, gates)
            ours, theirs = {**ours, **_fed_back(contract, dense)}, {**theirs, **_fed_back(contract, want)}
    return ParityReport(name, f"PyTorch {torch.__version__} fp32", tuple(checks))


def _feeds(runner: Runner, contract: Contract, case: ParityCase) -> dict[str, NDArray[Any]]:
    return Pipeline(runner, contract, case.rig).feeds(case.frames, PARITY_EGO_STATE)


def _fed_back(contract: Contract, outputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Each side's own state for its next frame, half a second on."""
    states = {state.input: outputs[state.output] for state in contract.state}
    return {**states, **{state.motion: PARITY_MOTION for state in contract.state}}


def parity_path(onnx_path: Path, precision: Precision) -> Path:
    """`s.parity.json` of the fp32 file, `s.fp16.parity.json` of the fp16 file."""
    suffix = ".parity.json" if precision == "fp32" else f".{precision}.parity.json"
    return onnx_path.with_name(onnx_path.name.split(".")[0] + suffix)


def write_export(graph: StudentGraph, report: ParityReport, onnx_path: Path) -> tuple[Path, Path, Path]:
    """Write graph, contract and parity report, complete on the disk before the first takes its name.

    Killed in between, a graph stands without its report, or is refused beside another contract; returns their paths.

    Raises:
        OutputError: a file cannot be written, or the model is larger than an ONNX file may be.
    """
    content = graph.model.SerializeToString()
    if len(content) > MAX_ONNX_BYTES:
        raise OutputError(f"{onnx_path}: {len(content)} bytes, an ONNX file holds at most {MAX_ONNX_BYTES}")
    contract_file = contract_path(onnx_path)
    parity_file = parity_path(onnx_path, graph.precision)
    contents = {  # named in reverse: a graph without its contract is refused, one without its report is whole
        parity_file: json.dumps(report.document(), indent=1).encode() + b"\n",
        onnx_path: content,
        contract_file: json.dumps(graph.contract.document(), indent=1).encode() + b"\n",
    }
    with ExitStack() as renamed_last:  # all are on disk before the first takes its name
        for path, written in contents.items():
            part = renamed_last.enter_context(replacing(path))
            part.write_bytes(written)
            flush(part)
        parity_file.unlink(missing_ok=True)  # so that no report ever lies beside the graph of other weights
    return onnx_path, contract_file, parity_file
