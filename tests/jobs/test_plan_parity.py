"""Parity of two runners of one contract, with ONNX Runtime on both sides: what a plan meets on its device."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.errors import RecipeError
from bevdeploy.geometry import surround_rig
from bevdeploy.jobs.plan_parity import gates_of_student, parity_of_plan, plan_checks
from bevdeploy.runtime import Contract, OnnxRunner
from bevdeploy.runtime.contract import contract_path

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("torch")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["frames", "tensor"])
def export(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Contract]:
    """The small student's model and contract."""
    from bevdeploy.export import graph_of_student, load_recipe
    from bevdeploy.jobs.init_checkpoint import init_checkpoint
    from bevdeploy.models import load_checkpoint

    path = tmp_path_factory.mktemp("parity") / "small.pth"
    init_checkpoint("tinybev_r18_small", path, {})
    recipe = load_recipe("tinybev_r18_small")
    graph = graph_of_student(load_checkpoint(path), recipe, surround_rig(), request.param, "runtime")
    return graph.model, graph.contract


def test_a_faithful_runner_passes_and_a_changed_one_fails(export: tuple[Any, Contract]) -> None:
    model, contract = export
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    weights = max(changed.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    scaled = onnx.numpy_helper.to_array(weights) * np.float32(1.05)
    weights.CopyFrom(onnx.numpy_helper.from_array(scaled, weights.name))
    reference = OnnxRunner.from_bytes(model.SerializeToString(), contract)
    gates, rig, stages = gates_of_student(contract.student, "fp32"), surround_rig(), list[str]()
    same = plan_checks(reference, reference, contract, rig, gates, stages.append)
    assert same and all(check.passed for check in same)
    assert stages == ["parity: synthetic", "parity: noise"]
    wrong = plan_checks(OnnxRunner.from_bytes(changed.SerializeToString(), contract), reference, contract, rig, gates)
    assert not all(check.passed for check in wrong)


def test_tolerances_are_those_of_the_export() -> None:
    from bevdeploy.export import load_recipe

    for precision in ("fp32", "fp16"):
        assert gates_of_student("tinybev_r18", precision) == load_recipe("tinybev_r18").gates[precision]
    with pytest.raises(RecipeError, match="student mine has no export recipe"):
        gates_of_student("mine", "fp32")
    with pytest.raises(RecipeError, match="no tolerances for int4"):
        gates_of_student("tinybev_r18", "int4")


def test_where_parity_cannot_be_run_the_reason_is_given(export: tuple[Any, Contract], tmp_path: Path) -> None:
    model, contract = export
    graph = tmp_path / "s.fp32.onnx"
    onnx.save(model, graph)
    contract.save(contract_path(graph))
    reason = parity_of_plan(tmp_path / "s.rtx.fp32.plan", graph, contract, "fp32")
    assert isinstance(reason, str)
    assert reason.startswith("parity not run: ") and "s.rtx.fp32.plan" in reason
    own = replace(contract, cameras=("LEFT", *contract.cameras[1:]))
    reason = parity_of_plan(tmp_path / "s.rtx.fp32.plan", graph, own, "fp32")
    assert isinstance(reason, str) and "the cameras LEFT" in reason
