"""The exported graph: equal to PyTorch, made of what engines take, the same twice, silent about its maker's disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from bevdeploy.errors import ContractError, GeometryError, TableOverflowError
from bevdeploy.export import (
    ExportRecipe,
    ParityCase,
    StudentGraph,
    TorchRunner,
    graph_of_student,
    parity_of_graph,
)
from bevdeploy.export.onnx_export import deploy_module
from bevdeploy.geometry import (
    BEVGrid,
    CameraRig,
    DepthBins,
    ViewGeometry,
    bev_pool_tables_numpy,
    indices_from_rig,
    surround_rig,
    tables_from_rig,
)
from bevdeploy.geometry.pool_tables import TABLE_NAMES, sizes_of_need
from bevdeploy.jobs.export_checkpoint import ExportOptions, moved_rig, parity_cases
from bevdeploy.models import Student
from bevdeploy.models.untrained import untrained_student
from bevdeploy.ops.bev_pool_node import DOMAIN, NODE, NODE_INPUTS
from bevdeploy.ops.bev_pool_onnx import attach_body, register_schema
from bevdeploy.runtime import OnnxRunner, Pipeline, load_contract
from bevdeploy.runtime.contract import CONTRACT_DIGEST_KEY

GraphOf = Callable[[str, str], StudentGraph]

MODES = [("frames", "runtime"), ("tensor", "runtime"), ("frames", "baked"), ("tensor", "baked")]

TAKEN_BY_PARSERS = set(
    "Add And Atan AveragePool Cast CastLike Clip Concat Constant Conv Cos Div Equal Exp Expand Gather GatherElements "
    "GatherND Gemm Greater GreaterOrEqual GridSample IsNaN LayerNormalization Less MatMul MaxPool Mod Mul ReduceMean "
    "ReduceSum Relu Reshape Resize Shape Sigmoid Sin Slice Softmax Split Squeeze Sub TopK Transpose Unsqueeze "
    "Where".split()
)
"""Operators that ONNX Runtime and NVIDIA's parser take. Not among them: a reducing scatter, CumSum, loops, branches and
everything whose output size depends on data."""


@pytest.fixture(params=MODES, ids="-".join)
def graph(request: pytest.FixtureRequest, graph_of: GraphOf) -> StudentGraph:
    return graph_of(*request.param)


def test_every_gate_is_green(graph: StudentGraph, recipe: ExportRecipe, cases: list[ParityCase]) -> None:
    baked = graph.contract.geometry_mode == "baked"
    seen: list[str] = []
    chosen = [case for case in cases if not baked or case.name != "moved rig"]
    report = parity_of_graph(graph, recipe, chosen, "small.fp32.onnx", seen.append)
    assert [check for check in report.checks if not check.passed] == [] and report.passed
    assert seen == [case.name for case in chosen] and {check.case for check in report.checks} == set(seen)
    assert len(seen) == (2 if baked else 3)


def test_the_pool_is_one_node_with_a_body(graph: StudentGraph) -> None:
    (node,) = (node for node in graph.model.graph.node if node.domain == DOMAIN)
    assert node.op_type == NODE and len(node.input) == 7 and not node.attribute
    assert tuple(node.input[2:]) == NODE_INPUTS[2:] == TABLE_NAMES
    (body,) = graph.model.functions
    assert (body.domain, body.name, tuple(body.input), len(body.output)) == (DOMAIN, NODE, NODE_INPUTS, 1)


def test_the_checker_accepts_it(graph: StudentGraph) -> None:
    for model in (graph.model, graph.opened):
        onnx.checker.check_model(model, full_check=True)
        assert {entry.domain: entry.version for entry in model.opset_import} == {"": 20, DOMAIN: 1}


def test_only_operators_that_parsers_take(graph: StudentGraph) -> None:
    nodes = [*graph.model.graph.node, *(node for body in graph.model.functions for node in body.node)]
    assert {node.op_type for node in nodes if node.domain != DOMAIN} - TAKEN_BY_PARSERS == set()
    assert not any(attribute.type == onnx.AttributeProto.GRAPH for node in nodes for attribute in node.attribute)


def test_every_tensor_has_a_static_shape(graph: StudentGraph) -> None:
    for value in (*graph.model.graph.input, *graph.model.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        assert dimensions and all(dimension.dim_value > 0 for dimension in dimensions), value.name


def test_nodes_are_named_by_their_modules(graph: StudentGraph, student: Student) -> None:
    """A convolution that took over its norm may carry the norm's name; both are in the module tree."""
    names = [node.name for node in graph.model.graph.node]
    assert len(set(names)) == len(names)
    convolutions = [node for node in graph.model.graph.node if node.op_type == "Conv"]
    modules = dict(student.named_modules())
    for node in convolutions:
        path, _, kind = node.name.rpartition("/")
        assert path.replace("/", ".") in modules and kind == "Conv", node.name
    in_modules = {name.split("/")[0] for name in names} & {name for name, _ in student.named_children()}
    # view_transform is called by its methods, which the exporter's scopes do not show; its convolutions carry its name
    assert in_modules == {name for name, _ in student.named_children()}


def test_nothing_of_the_exporting_machine_is_inside(graph: StudentGraph) -> None:
    content = graph.model.SerializeToString()
    repository = str(Path(__file__).resolve().parents[2])
    home, library = str(Path.home()), str(Path(torch.__file__).parent)
    for trace in (repository, "/site-packages/", library, home + "/", ".py", "pkg.torch"):
        assert trace.encode() not in content, trace
    assert graph.model.producer_name == "bevdeploy"
    keys = {entry.key for entry in graph.model.metadata_props}
    assert keys == {CONTRACT_DIGEST_KEY, "bevdeploy.precision"}


def test_exporting_twice_gives_the_same_bytes(
    graph_of: GraphOf, student: Student, recipe: ExportRecipe, rig: CameraRig
) -> None:
    first = graph_of("tensor", "runtime")
    again = graph_of_student(student, recipe, rig, "tensor", "runtime")
    assert again.contract == first.contract
    assert again.model.SerializeToString(deterministic=True) == first.model.SerializeToString(deterministic=True)


def test_exporting_leaves_the_student_as_it_was(graph_of: GraphOf, student: Student) -> None:
    weights = {key: value.clone() for key, value in student.state_dict().items()}
    graph_of("frames", "runtime")
    assert not student.training
    assert all(torch.equal(value, weights[key]) for key, value in student.state_dict().items())


def test_the_contract_is_the_files(graph: StudentGraph, tmp_path: Path) -> None:
    path = tmp_path / "small.contract.json"
    graph.contract.save(path)
    contract = load_contract(path)
    assert contract.digest() == graph.contract.digest()
    metadata = {entry.key: entry.value for entry in graph.model.metadata_props}
    assert metadata[CONTRACT_DIGEST_KEY] == contract.digest()
    for specs, values in ((contract.inputs, graph.model.graph.input), (contract.outputs, graph.model.graph.output)):
        declared = [
            (
                value.name,
                tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim),
                helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
            )
            for value in values
        ]
        assert declared == [(spec.name, spec.shape, spec.dtype) for spec in specs]
        assert all(spec.unit and spec.meaning for spec in specs)


@pytest.mark.parametrize("io", ["frames", "tensor"])
def test_baked_equals_runtime_bit_for_bit(graph_of: GraphOf, io: str, cases: list[ParityCase], rig: CameraRig) -> None:
    outputs = []
    for mode in ("runtime", "baked"):
        graph = graph_of(io, mode)
        runner = OnnxRunner.from_bytes(graph.model.SerializeToString(), graph.contract, threads=1)
        outputs.append(runner.run(Pipeline(runner, graph.contract, rig).feeds(cases[0].frames)))
    runtime, baked = outputs
    assert runtime.keys() == baked.keys()
    for name, value in runtime.items():
        assert value.tobytes() == baked[name].tobytes(), name


def test_a_baked_graph_takes_its_rig_only(graph_of: GraphOf, rig: CameraRig) -> None:
    graph = graph_of("tensor", "baked")
    assert graph.contract.rig_digest == rig.digest()
    assert [spec.name for spec in graph.contract.inputs] == ["images"]
    runner = OnnxRunner.from_bytes(graph.model.SerializeToString(), graph.contract)
    with pytest.raises(ContractError, match="another rig is baked into this graph"):
        Pipeline(runner, graph.contract, moved_rig(rig))


def test_one_file_serves_two_real_rigs(graph_of: GraphOf, recipe: ExportRecipe, nuscenes_root: Path) -> None:
    """Real frames of every rig of the data set, through the graph that was exported for the made-up rig."""
    pytest.importorskip("nuscenes", reason="needs nuscenes-devkit")
    from bevdeploy.data import frame_sets_from_nuscenes

    cases: dict[str, ParityCase] = {}
    for each in frame_sets_from_nuscenes(nuscenes_root):
        cases.setdefault(each.rig.digest(), ParityCase(each.token, each.frames, each.rig))
    assert len(cases) == 2
    report = parity_of_graph(graph_of("frames", "runtime"), recipe, list(cases.values()), "small.fp32.onnx")
    assert [check for check in report.checks if not check.passed] == [] and report.passed
    assert {check.case for check in report.checks} == {case.name for case in cases.values()}


def test_the_rig_matters_to_the_graph(graph_of: GraphOf, cases: list[ParityCase], rig: CameraRig) -> None:
    """Same frames, a rig knocked by half a degree: another BEV map, so that equality above means something."""
    graph = graph_of("tensor", "runtime")
    runner = OnnxRunner.from_bytes(graph.model.SerializeToString(), graph.contract)
    want = runner.run(Pipeline(runner, graph.contract, rig).feeds(cases[0].frames))["bev"]
    got = runner.run(Pipeline(runner, graph.contract, moved_rig(rig)).feeds(cases[0].frames))["bev"]
    assert np.linalg.norm(got - want) / np.linalg.norm(want - want.mean()) > 1e-2


def test_a_rig_that_needs_larger_tables_is_refused(graph_of: GraphOf, rig: CameraRig) -> None:
    graph = graph_of("tensor", "runtime")
    cameras = [replace(camera, ego_from_cam=rig.cameras[0].ego_from_cam) for camera in rig.cameras]
    runner = OnnxRunner.from_bytes(graph.model.SerializeToString(), graph.contract)
    with pytest.raises(TableOverflowError, match="--table-headroom"):
        Pipeline(runner, graph.contract, CameraRig(tuple(cameras)))


def test_headroom_is_the_recipes(graph_of: GraphOf, student: Student, rig: CameraRig) -> None:
    need = sizes_of_need(indices_from_rig(rig, student.spec.geometry))
    assert graph_of("tensor", "runtime").contract.table_sizes == need.grown(1.25)
    assert graph_of("tensor", "baked").contract.table_sizes == need.grown(1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("z_count", [1, 2])
def test_the_nodes_body_equals_the_numpy_tables(dtype: type, z_count: int, rng: np.random.Generator) -> None:
    """The node alone, run by its body; a tall grid has Z*Y rows."""
    onnxruntime = pytest.importorskip("onnxruntime")
    view = ViewGeometry(
        BEVGrid((-24.0, -16.0, -5.0), (1.6, 1.6, 8.0 / z_count), (30, 20, z_count)),
        DepthBins(1.0, 25.0, 2.0),
        (128, 352),
        (8, 22),
    )
    tables = tables_from_rig(surround_rig(), view)
    depth = rng.random((1, 6, view.depth_bins.count, 8, 22)).astype(dtype)
    feat = rng.normal(size=(1, 6, 8, 22, 5)).astype(dtype)
    feeds = {"depth": depth, "feat": feat, **tables.arrays()}
    kinds = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in feeds.items()}
    inputs = [helper.make_tensor_value_info(name, kinds[name], value.shape) for name, value in feeds.items()]
    outputs = [helper.make_tensor_value_info("bev", kinds["depth"], (1, 5, z_count * 20, 30))]
    node = helper.make_node(NODE, list(NODE_INPUTS), ["bev"], domain=DOMAIN)
    model = helper.make_model(
        helper.make_graph([node], "pool", inputs, outputs), opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    )
    register_schema()
    attach_body(model)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, feeds)
    want = bev_pool_tables_numpy(depth, feat, tables, (z_count, 20, 30))  # [1, Z*5, 20, 30]
    want = want.reshape(1, z_count, 5, 20, 30).swapaxes(1, 2).reshape(1, 5, z_count * 20, 30)
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    assert error < (1e-6 if dtype is np.float32 else 1e-3)  # float16: one rounding of the result, 2**-11
    assert got.dtype == dtype and np.abs(want).max() > 1


def test_a_student_with_ego_state_exports(recipe: ExportRecipe, cases: list[ParityCase], rig: CameraRig) -> None:
    student = untrained_student("tinybev_r18_small", {"ego_state": True}, 0).eval()
    graph = graph_of_student(student, recipe, rig, "tensor", "runtime")
    assert [spec.name for spec in graph.contract.inputs][-1] == "ego_state"
    report = parity_of_graph(graph, recipe, cases[:1], "ego.fp32.onnx")
    assert "plans" in {check.output for check in report.checks}
    assert [check for check in report.checks if not check.passed] == []
    runner = TorchRunner(deploy_module(student, graph.reference), graph.reference)
    feeds = Pipeline(runner, graph.reference, rig).feeds(cases[0].frames)
    with pytest.raises(ContractError, match="ego_state"):
        runner.run({name: value for name, value in feeds.items() if name != "ego_state"})


def test_parity_cases(rig: CameraRig, cases: list[ParityCase]) -> None:
    assert [case.name for case in cases] == ["synthetic-0-0000", "noise", "moved rig"]
    assert cases[2].rig.digest() != rig.digest() == cases[0].rig.digest()
    turns = [
        old.ego_from_cam[:3, :3].T @ new.ego_from_cam[:3, :3]
        for old, new in zip(rig.cameras, cases[2].rig.cameras, strict=True)
    ]
    angles_deg = [np.rad2deg(np.arccos((np.trace(turn) - 1) / 2)) for turn in turns]
    np.testing.assert_allclose(angles_deg, 0.5, atol=1e-6)
    assert [case.name for case in parity_cases(rig, ExportOptions(geometry_mode="baked"))] == [
        "synthetic-0-0000",
        "noise",
    ]


def test_baking_a_rig_that_took_none_of_the_frames_is_refused(nuscenes_root: Path, rig: CameraRig) -> None:
    pytest.importorskip("nuscenes", reason="needs nuscenes-devkit")
    with pytest.raises(GeometryError, match="has taken none of the frames"):
        parity_cases(rig, ExportOptions(geometry_mode="baked", data=nuscenes_root, data_frames=1))
