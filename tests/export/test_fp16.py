"""fp16: convolutions in half, everything that names a place in fp32, one contract for both files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from bevdeploy.errors import CheckpointError
from bevdeploy.export import ExportRecipe, ParityCase, StudentGraph, graph_of_student, parity_of_graph
from bevdeploy.export.onnx_export import parity_path
from bevdeploy.geometry import CameraRig
from bevdeploy.models import Student
from bevdeploy.models.half import half_student
from bevdeploy.runtime.onnx_runner import PRECISION_KEY, OnnxRunner
from bevdeploy.runtime.pipeline import Pipeline

FLOAT, FLOAT16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


@pytest.fixture(scope="module")
def half_graph(student: Student, recipe: ExportRecipe, rig: CameraRig) -> StudentGraph:
    return graph_of_student(student, recipe, rig, "frames", "runtime", precision="fp16")


def weights_of(model: onnx.ModelProto, operator: str) -> Counter[int]:
    """Types of the initialisers that nodes of a kind read."""
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return Counter(
        types[name] for node in model.graph.node if node.op_type == operator for name in node.input[1:] if name in types
    )


def test_every_gate_is_green(half_graph: StudentGraph, recipe: ExportRecipe, cases: list[ParityCase]) -> None:
    report = parity_of_graph(half_graph, recipe, cases, "small.fp16.onnx")
    assert [check for check in report.checks if not check.passed] == []
    bev = [check.value for check in report.checks if check.output == "bev" and check.measure == "relative L2"]
    assert len(bev) == len(cases) and min(bev) > 1e-4  # it really computes in half


def test_the_fp32_gates_refuse_it(half_graph: StudentGraph, recipe: ExportRecipe, cases: list[ParityCase]) -> None:
    strict = ExportRecipe(**{**vars(recipe), "gates": {**recipe.gates, "fp16": recipe.gates["fp32"]}})
    report = parity_of_graph(half_graph, strict, cases[:1], "small.fp16.onnx")
    assert {"bev", "heatmap", "map_logits"} <= {check.output for check in report.checks if not check.passed}


def test_convolutions_are_half_and_islands_are_not(half_graph: StudentGraph) -> None:
    assert set(weights_of(half_graph.model, "Conv")) == {FLOAT16}
    decoders = [
        tensor
        for tensor in half_graph.model.graph.initializer
        if tensor.name.startswith(("student.motion", "student.planning"))
    ]
    assert decoders and {tensor.data_type for tensor in decoders} == {FLOAT}


def test_inputs_outputs_and_contract_are_those_of_fp32(half_graph: StudentGraph, graph_of) -> None:  # type: ignore[no-untyped-def]
    full = graph_of("frames", "runtime")
    assert half_graph.contract.digest() == full.contract.digest()
    assert list(half_graph.model.graph.input) == list(full.model.graph.input)
    assert list(half_graph.model.graph.output) == list(full.model.graph.output)
    assert {prop.key: prop.value for prop in half_graph.model.metadata_props}[PRECISION_KEY] == "fp16"


def test_the_runner_says_fp16(half_graph: StudentGraph, cases: list[ParityCase]) -> None:
    runner = OnnxRunner.from_bytes(half_graph.model.SerializeToString(), half_graph.contract)
    assert runner.info().precision == "fp16"
    outputs = runner.run(Pipeline(runner, half_graph.contract, cases[0].rig).feeds(cases[0].frames))
    assert all(output.dtype in (np.float32, np.int32) for output in outputs.values())


def test_half_student_leaves_the_original_alone(student: Student) -> None:
    half = half_student(student)
    assert half.dtype == torch.float16 and student.dtype == torch.float32
    assert (
        {p.dtype for p in half.motion.parameters()} == {p.dtype for p in half.planning.parameters()} == {torch.float32}
    )


def test_weights_beyond_half_are_refused(student: Student) -> None:
    broken = half_student(student).float()
    with torch.no_grad():
        next(broken.bev_encoder.parameters()).fill_(1e6)
    with pytest.raises(CheckpointError, match=r"bev_encoder\..*beyond float16's range"):
        half_student(broken)


def test_parity_files_of_both_precisions_stand_side_by_side() -> None:
    assert parity_path(Path("out/s.fp32.onnx"), "fp32") == Path("out/s.parity.json")
    assert parity_path(Path("out/s.fp16.onnx"), "fp16") == Path("out/s.fp16.parity.json")
