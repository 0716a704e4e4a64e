"""BEVFusion's camera students as graphs: shapes on two grids, parity, results on the map's own grid, a plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.errors import ContractError
from bevdeploy.export import ExportRecipe, ParityCase, StudentGraph, graph_of_student, load_recipe, parity_of_graph
from bevdeploy.export.onnx_export import reference_contract
from bevdeploy.geometry import CameraRig
from bevdeploy.jobs.init_checkpoint import init_checkpoint
from bevdeploy.models import Student, load_checkpoint
from bevdeploy.report.frame_picture import FrameTitle, frame_picture
from bevdeploy.runtime import Contract, OnnxRunner, Pipeline, load_contract
from bevdeploy.runtime.parity import decoded_from_dense
from bevdeploy.runtime.postprocess import result_from_dense

NAMES = ("bevfusion_camera", "bevfusion_camera_r50")
TINY = {
    "image_height_px": 64,
    "image_width_px": 176,
    "cell_m": 6.4,
    "depth_step_m": 4.0,
    "map_cell_m": 5.0,
    "width": 8,
}
Traced = Callable[..., StudentGraph]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, rig: CameraRig) -> Traced:
    """Graphs of an eighth of the width, each traced once."""
    folder, graphs = tmp_path_factory.mktemp("bevfusion"), dict[tuple[str, ...], StudentGraph]()

    def graph(name: str, io: str = "frames", precision: str = "fp32") -> StudentGraph:
        key = (name, io, precision)
        if key not in graphs:
            path = folder / f"{name}.pth"
            if not path.is_file():
                init_checkpoint(name, path, TINY)
            graphs[key] = graph_of_student(
                load_checkpoint(path),
                load_recipe(name),
                rig,
                io,
                "runtime",
                precision=precision,  # type: ignore[arg-type]
            )
        return graphs[key]

    return graph


def contract_of(graph: StudentGraph, rig: CameraRig) -> Contract:
    """That of the same student's graph with tensors for inputs."""
    return reference_contract(graph.student, load_recipe(graph.student.spec.name), rig, "tensor")


@pytest.mark.parametrize("io", ["frames", pytest.param("tensor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_every_gate_is_green(name: str, io: str, traced: Traced, cases: list[ParityCase]) -> None:
    report = parity_of_graph(traced(name, io), load_recipe(name), cases, "tiny.fp32.onnx")
    assert [check for check in report.checks if not check.passed] == []
    assert {check.output for check in report.checks} == {"bev", "map_logits", "map_probabilities"}


@pytest.mark.slow
def test_half_precision_is_near_and_really_half(traced: Traced, cases: list[ParityCase]) -> None:
    report = parity_of_graph(traced("bevfusion_camera", precision="fp16"), load_recipe(NAMES[0]), cases, "fp16")
    assert [check for check in report.checks if not check.passed] == []
    assert min(check.value for check in report.checks if check.measure == "relative L2") > 1e-4


def test_swapped_cameras_fail_the_gate(traced: Traced, cases: list[ParityCase]) -> None:
    """The gate sees the images through windows, pool and resampling."""
    graph, recipe = traced("bevfusion_camera"), load_recipe("bevfusion_camera")
    case = cases[0]
    pipelines = [
        Pipeline(OnnxRunner.from_bytes(graph.model.SerializeToString(), graph.contract), graph.contract, case.rig)
        for _ in range(2)
    ]
    swapped = case.frames.copy() if isinstance(case.frames, np.ndarray) else list(case.frames)
    swapped[0], swapped[1] = case.frames[1], case.frames[0]
    ours, theirs = (
        pipe.infer(frames).map_probabilities for pipe, frames in zip(pipelines, (case.frames, swapped), strict=True)
    )
    assert (
        np.linalg.norm(ours - theirs) / np.linalg.norm(theirs - theirs.mean())
        > 100 * recipe.gates["fp32"].dense_relative_l2
    )


def test_contract_pictures_and_results_are_on_the_maps_own_grid(
    traced: Traced, cases: list[ParityCase], tmp_path: Path
) -> None:
    graph = traced("bevfusion_camera")
    contract = graph.contract
    shapes = {spec.name: spec.shape for spec in (*contract.inputs, *contract.outputs)}
    assert shapes["cell_row"] == (32, 32) and shapes["map_probabilities"] == (6, 20, 20)
    dense = {spec.name: spec.shape for spec in contract_of(graph, cases[0].rig).outputs}
    assert dense == {"bev": (1, 32, 16, 16), "map_logits": (1, 6, 20, 20)}
    contract.save(tmp_path / "s.contract.json")
    again = load_contract(tmp_path / "s.contract.json")
    assert again == contract and again.digest() == contract.digest()
    pipeline = Pipeline(OnnxRunner.from_bytes(graph.model.SerializeToString(), contract), contract, cases[0].rig)
    result = pipeline.infer(cases[0].frames)
    assert result.map_probabilities.shape == (6, 20, 20)
    assert set(result.document()["map_share"]) == set(contract.tasks.map_classes)
    picture = frame_picture(
        cases[0].frames, cases[0].rig, result, contract.geometry.grid, FrameTitle("s", "ONNX", None)
    )
    assert np.asarray(picture).std() > 10


def test_a_student_without_a_map_has_an_empty_one_of_that_grid(traced: Traced, rig: CameraRig) -> None:
    contract = contract_of(traced("bevfusion_camera"), rig)
    bare = replace(contract, tasks=replace(contract.tasks, map_classes=()))
    assert result_from_dense({}, bare).map_probabilities.shape == (0, 20, 20)
    logits = np.random.default_rng(0).normal(size=(1, 6, 20, 20)).astype(np.float32)
    decoded = decoded_from_dense({"map_logits": logits}, contract)["map_probabilities"]
    np.testing.assert_allclose(decoded, 1 / (1 + np.exp(-logits[0])), rtol=1e-5)


def test_a_contract_with_half_a_map_grid_is_refused(traced: Traced, tmp_path: Path) -> None:
    document = traced("bevfusion_camera").contract.document()
    assert document["tasks"]["map_half_extent_m"] == 50.0 and document["geometry"]["pool_per_cell"] == 2
    del document["tasks"]["map_cell_m"]
    path = tmp_path / "s.contract.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ContractError, match="needs map_half_extent_m and map_cell_m, or neither"):
        load_contract(path)


def test_contracts_of_other_students_have_no_new_keys(student: Student, recipe: ExportRecipe, rig: CameraRig) -> None:
    document = reference_contract(student, recipe, rig, "frames").document()
    assert not {"map_half_extent_m", "map_cell_m"} & set(document["tasks"])
    assert set(document["geometry"]) == {"grid", "depth_bins", "net_hw", "feature_hw"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_becomes_a_plan(name: str, traced: Traced) -> None:
    pytest.importorskip("tensorrt_rtx")
    from bevdeploy.engines.target import load_target
    from bevdeploy.engines.tensorrt_build import build_plan
    from bevdeploy.runtime.tensorrt_library import tensorrt_library

    graph = traced(name)
    model = graph.model.SerializeToString()
    built = build_plan(model, graph.contract, load_target("rtx"), tensorrt_library("tensorrt_rtx"))
    assert len(built.content) > len(model) / 4
