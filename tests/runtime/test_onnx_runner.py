"""The ONNX Runtime runner on small real graphs: good, corrupt, foreign, contradicting."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bevdeploy.errors import BevDeployError, ContractError, EngineError, MissingDependencyError
from bevdeploy.runtime import Contract, OnnxRunner, TensorSpec
from bevdeploy.runtime.contract import CONTRACT_DIGEST_KEY
from bevdeploy.runtime.onnx_runner import CUDA, PRECISION_KEY, available_cores, layers_from_events

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4) - 6


@pytest.fixture
def contract(make_contract) -> Contract:
    """[2, 3] float32 in, [2, 4] float32 out."""
    return make_contract(
        inputs=(TensorSpec("x", (2, 3), "float32", "1", "input"),),
        outputs=(TensorSpec("y", (2, 4), "float32", "1", "output"),),
    )


def model(digest: str | None, columns: int | str = 3, dtype: int = TensorProto.FLOAT, output: str = "y") -> bytes:
    """y = relu(x @ WEIGHT)"""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"], name="product"),
        helper.make_node("Relu", ["product"], [output], name="relu"),
    ]
    weight = numpy_helper.from_array(WEIGHT.astype(helper.tensor_dtype_to_np_dtype(dtype)), "w")
    inputs = [helper.make_tensor_value_info("x", dtype, [2, columns])]
    outputs = [helper.make_tensor_value_info(output, dtype, [2, 4])]
    graph = helper.make_graph(nodes, "small", inputs, outputs, [weight])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    if digest is not None:
        helper.set_model_props(made, {CONTRACT_DIGEST_KEY: digest})
    onnx.checker.check_model(made)
    return made.SerializeToString()


@pytest.fixture
def exported(tmp_path: Path, contract: Contract) -> Path:
    """A graph and its contract, side by side."""
    path = tmp_path / "s.fp32.onnx"
    path.write_bytes(model(contract.digest()))
    contract.save(tmp_path / "s.contract.json")
    return path


X = np.array([[1, 0, 0], [0, 1, 2]], np.float32)


def test_a_graph_runs(exported: Path, contract: Contract) -> None:
    runner = OnnxRunner.open(exported, threads=1)
    assert runner.contract == contract
    outputs = runner.run({"x": X})
    assert list(outputs) == ["y"]
    assert np.array_equal(outputs["y"], [[0, 0, 0, 0], [2, 5, 8, 11]])


def test_what_computes(exported: Path) -> None:
    info = OnnxRunner.open(exported).info()
    assert (info.backend, info.device, info.precision) == ("onnxruntime", "cpu", "fp32")
    assert info.threads == available_cores() >= 1
    assert set(info.versions) == {"onnxruntime", "numpy"}
    assert OnnxRunner.open(exported, threads=3).info().threads == 3


def test_the_precision_is_in_the_file(contract: Contract) -> None:
    made = onnx.load_from_string(model(contract.digest()))
    helper.set_model_props(made, {PRECISION_KEY: "fp16"})
    assert OnnxRunner.from_bytes(made.SerializeToString()).info().precision == "fp16"


def test_feeds_are_checked(exported: Path) -> None:
    runner = OnnxRunner.open(exported, threads=1)
    with pytest.raises(ContractError, match="takes the inputs"):
        runner.run({"z": X})
    with pytest.raises(ContractError, match="expected float32"):
        runner.run({"x": X.astype(np.float64)})
    with pytest.raises(ContractError, match="expected float32"):
        runner.profile({"x": X[:1]}, 1)


def test_layers_longest_first(contract: Contract) -> None:
    """A graph whose product takes far longer than its relu."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [256, 256])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [256, 256])
    nodes = [
        helper.make_node("Relu", ["x"], ["positive"], name="relu"),
        helper.make_node("MatMul", ["positive", "x"], ["y"], name="product"),
    ]
    graph = helper.make_graph(nodes, "small", [x], [y])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    runner = OnnxRunner.from_bytes(made.SerializeToString(), threads=1)
    before = set(Path.cwd().iterdir())
    layers = runner.profile({"x": np.ones((256, 256), np.float32)}, 5)
    assert [(layer.name, layer.kind) for layer in layers] == [("product", "MatMul"), ("relu", "Relu")]
    assert layers[0].mean_ms > layers[1].mean_ms > 0
    assert set(Path.cwd().iterdir()) == before
    with pytest.raises(EngineError, match="at least 1 frame"):
        runner.profile({"x": np.ones((256, 256), np.float32)}, 0)


def test_layer_times_by_hand() -> None:
    """The warm-up run (from 0) took a second; two frames of 1 and 3 ms follow. Session events are no layers."""

    def run(start: float) -> dict:
        return {"cat": "Session", "name": "model_run", "ts": start, "dur": 1}

    def node(name: str, start: float, us: float) -> dict:
        return {"cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": us, "args": {"op_name": "Conv"}}

    events = [
        {"cat": "Session", "name": "session_initialization", "ts": 0, "dur": 7},
        run(0),
        node("a", 10, 1_000_000),
        run(100),
        node("a", 101, 1000),
        node("b", 102, 500),
        run(200),
        node("a", 201, 3000),
        {"cat": "Node", "name": "a_fence_before", "ts": 201, "dur": 9, "args": {"op_name": "Conv"}},
    ]
    layers = layers_from_events(events, 2)
    assert [(layer.name, layer.kind, layer.mean_ms) for layer in layers] == [("a", "Conv", 2.0), ("b", "Conv", 0.25)]


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
def test_truncated_files(exported: Path, cut: int) -> None:
    exported.write_bytes(exported.read_bytes()[:cut])
    one_clear_line(exported, EngineError)


@pytest.mark.parametrize("content", [b"\x00" * 100, b"PK\x03\x04 not an onnx file", b"\xff" * 64])
def test_files_that_are_no_graph(exported: Path, content: bytes) -> None:
    exported.write_bytes(content)
    one_clear_line(exported, EngineError)


def test_a_graph_of_an_unknown_operator(exported: Path, contract: Contract) -> None:
    made = onnx.load_from_string(model(contract.digest()))
    made.graph.node[1].op_type = "Splat"
    exported.write_bytes(made.SerializeToString())
    assert "Splat" in one_clear_line(exported, EngineError)


def one_clear_line(path: Path, kind: type[BevDeployError]) -> str:
    with pytest.raises(BevDeployError) as caught:
        OnnxRunner.open(path, threads=1)
    message = str(caught.value)
    assert type(caught.value) is kind
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_a_missing_file(tmp_path: Path) -> None:
    assert "bevdeploy export" in one_clear_line(tmp_path / "absent.onnx", EngineError)
    assert "no such ONNX file" in one_clear_line(tmp_path, EngineError)


def test_a_foreign_graph(exported: Path) -> None:
    exported.write_bytes(model(None))
    assert "not exported by bevdeploy" in one_clear_line(exported, EngineError)


def test_a_missing_contract(exported: Path, contract: Contract) -> None:
    (exported.parent / "s.contract.json").unlink()
    with pytest.raises(ContractError, match=r"s\.contract\.json: missing"):
        OnnxRunner.open(exported)
    assert OnnxRunner.open(exported, contract=contract).contract == contract


def test_files_of_different_exports(exported: Path, contract: Contract) -> None:
    replace(contract, student="another").save(exported.parent / "s.contract.json")
    assert "different exports" in one_clear_line(exported, ContractError)
    exported.write_bytes(model("ab" * 32))
    assert "different exports" in one_clear_line(exported, ContractError)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": (TensorSpec("x", (2, 4), "float32", "1", ""),)}, r"input x is float32 \(2, 3\)"),
        ({"inputs": (TensorSpec("x", (2, 3), "uint8", "1", ""),)}, r"contract has uint8 \(2, 3\)"),
        ({"inputs": (TensorSpec("z", (2, 3), "float32", "1", ""),)}, r"input names are \['x'\]"),
        ({"outputs": (TensorSpec("y", (2, 5), "float32", "1", ""),)}, r"output y is float32 \(2, 4\)"),
        ({"outputs": ()}, r"output names are \['y'\]"),
    ],
)
def test_a_graph_that_contradicts_its_contract(exported: Path, contract: Contract, change: dict, message: str) -> None:
    wrong = replace(contract, **change)
    wrong.save(exported.parent / "s.contract.json")
    exported.write_bytes(model(wrong.digest()))
    with pytest.raises(ContractError, match=message):
        OnnxRunner.open(exported)


def test_a_graph_without_a_fixed_shape(exported: Path, contract: Contract) -> None:
    exported.write_bytes(model(contract.digest(), columns="width"))
    with pytest.raises(ContractError, match=r"input x is float32 \(2, 'width'\)"):
        OnnxRunner.open(exported)


def test_more_outputs_than_the_contract(contract: Contract) -> None:
    """Parity looks at tensors inside the graph; their model exists in memory only."""
    made = onnx.load_from_string(model(contract.digest()))
    made.graph.output.append(helper.make_tensor_value_info("product", TensorProto.FLOAT, [2, 4]))
    outputs = OnnxRunner.from_bytes(made.SerializeToString(), contract, threads=1).run({"x": X})
    assert np.array_equal(outputs["product"], X @ WEIGHT)
    assert np.array_equal(outputs["y"], np.maximum(X @ WEIGHT, 0))
    with pytest.raises(ContractError, match="output names"):
        OnnxRunner.from_bytes(model(None, output="other"), contract)
    with pytest.raises(EngineError, match="cannot be loaded"):
        OnnxRunner.from_bytes(b"nothing", contract)


def test_without_a_contract_errors_are_still_clear() -> None:
    runner = OnnxRunner.from_bytes(model(None), threads=1)
    with pytest.raises(EngineError, match="cannot be run"):
        runner.run({"x": X.astype(np.float64)})
    with pytest.raises(EngineError, match="cannot be run"):
        runner.run({})


def test_half_precision_graphs(contract: Contract) -> None:
    half = replace(
        contract,
        inputs=(TensorSpec("x", (2, 3), "float16", "1", ""),),
        outputs=(TensorSpec("y", (2, 4), "float16", "1", ""),),
    )
    runner = OnnxRunner.from_bytes(model(None, dtype=TensorProto.FLOAT16), half, threads=1)
    assert runner.run({"x": X.astype(np.float16)})["y"].dtype == np.float16


def test_cuda_that_is_not_there(exported: Path) -> None:
    import onnxruntime

    if CUDA[0] in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(MissingDependencyError, match=r"bevdeploy\[gpu\]"):
        OnnxRunner.open(exported, providers=CUDA)


def test_without_onnx_runtime(tmp_path: Path, exported: Path) -> None:
    """The import of the room needs neither onnxruntime nor torch; opening a graph names the extra."""
    program = """
import sys
sys.modules["onnxruntime"] = sys.modules["torch"] = None
from pathlib import Path
import bevdeploy.runtime
try:
    bevdeploy.runtime.OnnxRunner.open(Path(sys.argv[1]))
except bevdeploy.errors.MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(exported)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    assert "bevdeploy[cpu]" in done.stdout
