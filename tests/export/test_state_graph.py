"""The graph of a temporal student: parity in motion, its state handed on, faults of the state that parity finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from bevdeploy.data import synthetic_frame_sets
from bevdeploy.export import (
    ExportRecipe,
    ParityCase,
    StudentGraph,
    TorchRunner,
    graph_of_student,
    load_recipe,
    parity_of_graph,
    write_export,
)
from bevdeploy.export.onnx_export import deploy_module, reference_contract
from bevdeploy.geometry import CameraRig, surround_rig
from bevdeploy.geometry.frames import compose
from bevdeploy.jobs.export_checkpoint import ExportOptions, parity_cases
from bevdeploy.jobs.init_checkpoint import init_checkpoint
from bevdeploy.models import Student, load_checkpoint
from bevdeploy.runtime import Moment, OnnxRunner, Pipeline, StateSpec, load_contract
from bevdeploy.runtime.parity import ParityReport, relative_l2

TINY = {"image_height_px": 64, "image_width_px": 192, "cell_m": 6.4, "depth_step_m": 4.0, "width": 8}
GraphOf = Callable[..., StudentGraph]
MODES = [
    ("frames", "runtime", "fp32"),
    ("tensor", "baked", "fp32"),
    ("frames", "runtime", "fp16"),
    pytest.param(("tensor", "runtime", "fp32"), marks=pytest.mark.slow),
    pytest.param(("frames", "baked", "fp32"), marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    return surround_rig(400, 225)


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Student:
    """The two-frame student at an eighth of its width, as `bevdeploy init` writes it."""
    path = tmp_path_factory.mktemp("state") / "s.pth"
    init_checkpoint("bevdepth_r50", path, TINY)
    return load_checkpoint(path)


@pytest.fixture(scope="module")
def recipe() -> ExportRecipe:
    return load_recipe("bevdepth_r50")


@pytest.fixture(scope="module")
def traced(temporal: Student, recipe: ExportRecipe, rig: CameraRig) -> GraphOf:
    graphs: dict[Any, StudentGraph] = {}

    def graph(*mode: Any) -> StudentGraph:
        if mode not in graphs:
            io, geometry, precision = mode
            graphs[mode] = graph_of_student(temporal, recipe, rig, io, geometry, precision=precision)
        return graphs[mode]

    return graph


@pytest.fixture(scope="module")
def cases(rig: CameraRig) -> list[ParityCase]:
    return parity_cases(rig, ExportOptions())[:2]


@pytest.mark.parametrize("mode", MODES, ids="-".join)
def test_every_gate_is_green_at_rest_and_in_motion(
    mode: tuple[str, str, str], traced: GraphOf, recipe: ExportRecipe, cases: list[ParityCase]
) -> None:
    told: list[str] = []
    report = parity_of_graph(traced(*mode), recipe, cases, "s.onnx", told.append)
    assert [check for check in report.checks if not check.passed] == [] and report.passed
    assert report.graph == "s.onnx"
    assert told == [name for case in cases for name in (case.name, f"{case.name}, moving")]
    states = [check.case for check in report.checks if check.output == "bev_state"]
    assert states == told


def test_inputs_outputs_and_state_of_the_contract(
    temporal: Student, recipe: ExportRecipe, rig: CameraRig, traced: GraphOf
) -> None:
    extra = ["camera_parameters", "previous_bev", "previous_from_current"]
    tables = ["row_depth", "row_feat", "sum1", "sum2", "cell_row"]
    for io, first, outputs in (
        ("frames", "frames", ["boxes", "scores", "labels", "cells", "bev_state"]),
        ("tensor", "images", ["bev", "heatmap", "box_codes", "agents", "bev_state"]),
    ):
        contract = reference_contract(temporal, recipe, rig, io)  # type: ignore[arg-type]
        assert [spec.name for spec in contract.inputs] == [first, *tables, *extra]
        assert [spec.name for spec in contract.outputs] == outputs
        assert contract.state == (StateSpec("bev_state", "previous_bev", "previous_from_current", 0.5, 1.0),)
        shapes = {spec.name: spec.shape for spec in (*contract.inputs, *contract.outputs)}
        assert shapes["previous_bev"] == shapes["bev_state"] == (1, 10, 16, 16)
        assert shapes["camera_parameters"] == (1, 6, 27) and shapes["previous_from_current"] == (1, 2, 3)
    baked = traced("tensor", "baked", "fp32").contract
    assert [spec.name for spec in baked.inputs] == ["images", *extra]
    assert traced("frames", "runtime", "fp16").contract == traced("frames", "runtime", "fp32").contract


def drive(frames: int) -> list[Moment]:
    """Half a second apart, into a bend."""
    yaws = 0.1 * np.arange(frames)
    turns = [[[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]] for a in yaws]
    return [Moment(0.5 * n, compose(turns[n], [4.0 * n, 0.2 * n * n, 0])) for n in range(frames)]


def test_three_frames_in_a_row_equal_pytorch(
    traced: GraphOf, rig: CameraRig, tmp_path: Path, temporal: Student
) -> None:
    """Each side feeds back its own state; the file is the one that a car gets, opened beside its contract."""
    graph = traced("frames", "runtime", "fp32")
    path, _, _ = write_export(graph, ParityReport("s", "not compared", ()), tmp_path / "s.fp32.onnx")
    runner = OnnxRunner.open(path)
    assert runner.contract == load_contract(tmp_path / "s.contract.json") == graph.contract
    ours = Pipeline(runner, runner.contract, rig)
    theirs = Pipeline(TorchRunner(deploy_module(temporal, graph.reference), graph.reference), graph.reference, rig)
    moments, boxes = drive(3), []
    for frame_set, moment in zip(synthetic_frame_sets(rig, 3), moments, strict=True):
        got, want = (pipeline.infer(frame_set.frames, moment=moment) for pipeline in (ours, theirs))
        np.testing.assert_allclose(got.scores, want.scores, atol=1e-5)
        np.testing.assert_allclose(got.boxes[:20], want.boxes[:20], atol=1e-3)
        boxes.append(got)
    assert ours.memory is not None and ours.memory.age_s == pytest.approx(0.5)
    alone = ours.infer(frame_set.frames)
    assert np.abs(np.sort(alone.scores) - np.sort(boxes[-1].scores)).max() > 1e-3  # it does remember


def test_the_state_is_of_the_frame_alone(traced: GraphOf, rig: CameraRig) -> None:
    graph = traced("frames", "runtime", "fp32")
    runner = OnnxRunner.from_bytes(graph.model.SerializeToString(), graph.contract)
    feeds = Pipeline(runner, graph.contract, rig).feeds(next(iter(synthetic_frame_sets(rig, 1))).frames)
    first = runner.run(feeds)
    later = runner.run({**feeds, "previous_bev": first["bev_state"]})
    assert np.array_equal(first["bev_state"], later["bev_state"])
    assert not np.array_equal(first["scores"], later["scores"])


def changed(model: onnx.ModelProto, change: Callable[[onnx.ModelProto], None]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    change(copy)
    return copy


def fed_instead(name: str, shape: tuple[int, ...], values: Callable[[str], list[onnx.NodeProto]]) -> Any:
    """A fault: nodes that take the input `name` take what `values` makes of it."""

    def change(model: onnx.ModelProto) -> None:
        nodes = values(name)
        for node in model.graph.node:
            node.input[:] = ["fault" if each == name else each for each in node.input]
        for node in reversed(nodes):
            model.graph.node.insert(0, node)
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), "zeros"))
        model.graph.initializer.append(numpy_helper.from_array(-np.ones(shape, np.float32), "minus"))
        still = np.broadcast_to(np.eye(3, dtype=np.float32)[:2], (1, 2, 3)).copy()
        model.graph.initializer.append(numpy_helper.from_array(still, "still"))
        order = np.array([1, 0, 2, 3, 4, 5], np.int64)
        model.graph.initializer.append(numpy_helper.from_array(order, "order"))

    return change


STATE, MOTION, CAMERAS = (1, 10, 16, 16), (1, 2, 3), (1, 6, 27)
FAULTS = {
    "the earlier BEV is lost": fed_instead(
        "previous_bev", STATE, lambda name: [helper.make_node("Mul", [name, "zeros"], ["fault"])]
    ),
    "the earlier BEV is transposed": fed_instead(
        "previous_bev", STATE, lambda name: [helper.make_node("Transpose", [name], ["fault"], perm=[0, 1, 3, 2])]
    ),
    "the motion is taken for none": fed_instead(
        "previous_from_current", MOTION, lambda name: [helper.make_node("Max", ["still", "still"], ["fault"])]
    ),
    "the motion is turned round": fed_instead(
        "previous_from_current",
        MOTION,
        lambda name: [
            helper.make_node("Mul", [name, "minus"], ["backwards"]),
            helper.make_node("Add", ["still", "still"], ["twice"]),
            helper.make_node("Add", ["twice", "backwards"], ["fault"]),
        ],
    ),
    "two cameras' parameters are swapped": fed_instead(
        "camera_parameters", CAMERAS, lambda name: [helper.make_node("Gather", [name, "order"], ["fault"], axis=1)]
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_parity_finds_a_fault_of_state_motion_or_cameras(
    fault: str, traced: GraphOf, recipe: ExportRecipe, cases: list[ParityCase]
) -> None:
    graph = traced("frames", "runtime", "fp32")
    model, opened = (changed(each, FAULTS[fault]) for each in (graph.model, graph.opened))
    report = parity_of_graph(replace(graph, model=model, opened=opened), recipe, cases[:1], "s.onnx")
    assert not report.passed
    failed = {check.case for check in report.checks if not check.passed}
    if "camera" not in fault:  # a first frame has no state to be wrong about
        assert failed == {f"{cases[0].name}, moving"}


def test_a_half_state_is_near_the_full_one(traced: GraphOf, rig: CameraRig) -> None:
    """Handed on in float32 in every precision, so that a car may change files under way."""
    frames = next(iter(synthetic_frame_sets(rig, 1))).frames
    states = []
    for precision in ("fp32", "fp16"):
        graph = traced("frames", "runtime", precision)
        runner = OnnxRunner.from_bytes(graph.model.SerializeToString(), graph.contract)
        states.append(runner.run(Pipeline(runner, graph.contract, rig).feeds(frames))["bev_state"])
    assert states[1].dtype == np.float32
    assert 0 < relative_l2(states[1], states[0]) < 1e-2
