"""`bevdeploy build` on a small real graph with a pool node: files, exit codes, refusals, killed builds."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import bevdeploy
from bevdeploy.cli.build import build
from bevdeploy.errors import BevDeployError, ContractError, EngineError, MissingDependencyError, RecipeError
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry, indices_from_rig, surround_rig
from bevdeploy.geometry.pool_tables import sizes_of_need
from bevdeploy.runtime import Contract, Preprocessing, TensorSpec, contract_path, load_contract
from bevdeploy.runtime.contract import CONTRACT_DIGEST_KEY
from bevdeploy.runtime.manifest import check_manifest, load_manifest, manifest_path
from bevdeploy.tasks import TaskSpec

onnx = pytest.importorskip("onnx")

ROOT = Path(bevdeploy.__file__).resolve().parents[1]
app = typer.Typer(pretty_exceptions_enable=False)
app.command()(build)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "110"}).invoke(app, [str(argument) for argument in arguments])


def small_contract() -> Contract:
    rig = surround_rig(64, 36)
    view = ViewGeometry(BEVGrid.centred(16.0, 2.0, (-5.0, 3.0)), DepthBins(1.0, 15.0, 2.0), (32, 64), (4, 8))
    return Contract(
        student="brightness",
        io="frames",
        geometry_mode="runtime",
        inputs=(TensorSpec("frames", (6, 36, 64, 3), "uint8", "1", "raw RGB"),),
        outputs=(TensorSpec("brightness", (6, 36, 64, 3), "float32", "1", "grey levels"),),
        cameras=rig.names,
        raw_hw=rig.image_hw,
        geometry=view,
        table_sizes=sizes_of_need(indices_from_rig(rig, view)),
        tasks=TaskSpec(detections=3),
        preprocessing=Preprocessing(),
    )


def graph_of(contract: Contract, layers: int = 1) -> Any:
    """Frames in float, through some layers of sines."""
    helper, proto = onnx.helper, onnx.TensorProto
    nodes = [helper.make_node("Cast", ["frames"], ["x0"], "to_float", to=proto.FLOAT)]
    for n in range(layers):
        nodes.append(helper.make_node("Sin", [f"x{n}"], [f"x{n + 1}"], f"sine_{n}"))
    nodes[-1].output[0] = "brightness"
    inputs = [helper.make_tensor_value_info("frames", proto.UINT8, contract.inputs[0].shape)]
    outputs = [helper.make_tensor_value_info("brightness", proto.FLOAT, contract.outputs[0].shape)]
    model = helper.make_model(
        helper.make_graph(nodes, "brightness", inputs, outputs),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    helper.set_model_props(model, {CONTRACT_DIGEST_KEY: contract.digest(), "bevdeploy.precision": "fp16"})
    return model


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "net.fp16.onnx"
    contract = small_contract()
    contract.save(contract_path(path))
    onnx.save(graph_of(contract), path)
    return path


@pytest.fixture
def rtx() -> str:
    pytest.importorskip("tensorrt_rtx")
    return "rtx"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_plan_manifest_and_report_agree(graph: Path, rtx: str, tmp_path: Path) -> None:
    result = invoke(graph, "-t", rtx, "--json", tmp_path / "report.json")
    assert result.exit_code == 0, result.output
    plan = tmp_path / "net.rtx.fp16.plan"
    manifest, content = load_manifest(manifest_path(plan)), plan.read_bytes()
    assert len(content) > 1000
    assert manifest.onnx_sha256 == hashlib.sha256(graph.read_bytes()).hexdigest()
    digest = small_contract().digest()
    assert (manifest.contract_digest, manifest.precision, manifest.pool) == (digest, "fp16", "native")
    check_manifest(
        manifest,
        plan,
        content,
        backend="tensorrt_rtx",
        library_version=manifest.library_version,
        sm=120,
        contract_digest=digest,
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["plan_bytes"], report["manifest"]["plan_sha256"]) == (len(content), manifest.plan_sha256)
    assert f"next: bevdeploy bench --engine {plan} -t rtx" in result.stdout
    assert "parity not run: this machine has no NVIDIA driver" in result.stdout or report["notes"] == []
    assert files(tmp_path) == [
        "net.contract.json",
        "net.fp16.onnx",
        "net.rtx.fp16.plan",
        "net.rtx.fp16.plan.manifest.json",
        "report.json",
    ]


def test_the_manifests_command_builds_the_same_again(graph: Path, rtx: str, tmp_path: Path) -> None:
    """With a profile of one's own, another name and a flag."""
    profile = tmp_path / "my card.toml"
    profile.write_text((ROOT / "engines" / "rtx.toml").read_text() + "\n")
    profile.write_text("sm = 89\n" + profile.read_text())
    plan = tmp_path / "car.plan"
    assert invoke(graph, "-t", profile, "-o", plan, "--tf32").exit_code == 0
    first = load_manifest(manifest_path(plan))
    assert (first.compute_capabilities, first.flags) == ((89,), ("strongly_typed", "tf32"))
    program, command, *arguments = shlex.split(first.rebuild_command(plan))
    assert (program, command) == ("bevdeploy", "build")
    plan.unlink()
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    again = load_manifest(manifest_path(plan))
    assert replace(again, plan_sha256=first.plan_sha256) == first
    assert plan.is_file()


def test_the_contract_goes_with_the_plan(graph: Path, rtx: str, tmp_path: Path) -> None:
    plan = tmp_path / "deep" / "er" / "x.plan"
    assert invoke(graph, "-t", rtx, "-o", plan).exit_code == 0
    assert load_contract(contract_path(plan)).digest() == small_contract().digest()
    other = replace(small_contract(), student="other")
    other.save(contract_path(plan))
    before = plan.read_bytes()
    result = invoke(graph, "-t", rtx, "-o", plan)
    assert isinstance(result.exception, ContractError)
    assert "is of another export" in str(result.exception)
    assert plan.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["-t", "cpu"], EngineError, "runs onnxruntime, which needs no plan: bevdeploy bench --engine"),
        (["-t", "rtxx"], RecipeError, "did you mean rtx?"),
        (["-t", "rtx", "--pool", "plugin"], EngineError, "no bevdeploy::BevPool node"),
        (["-t", "rtx", "-o", "net.fp16.onnx"], EngineError, "would replace the ONNX file"),
        (["-t", "rtx", "-o", "net.fp16.onnx/x.plan"], BevDeployError, "is not a folder"),
    ],
)
def test_what_cannot_be_built(
    arguments: list[str],
    error: type[BevDeployError],
    message: str,
    graph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = files(tmp_path)
    result = invoke("net.fp16.onnx", *arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert files(tmp_path) == before


def test_the_plugin_is_not_there_yet(graph: Path) -> None:
    model = onnx.load(graph)
    model.graph.node[-1].op_type, model.graph.node[-1].domain = "BevPool", "bevdeploy"
    onnx.save(model, graph)
    result = invoke(graph, "-t", "rtx", "--pool", "plugin")
    assert isinstance(result.exception, EngineError)
    assert "--pool native" in str(result.exception)


def test_an_orins_plan_is_built_on_an_orin(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    result = invoke(graph, "-t", "orin-agx-64gb")
    assert isinstance(result.exception, MissingDependencyError)
    assert "bevdeploy[tensorrt]" in str(result.exception)
    assert "compute capability 87 is built on the device" in str(result.exception)


def test_graphs_that_are_not_ours(graph: Path, tmp_path: Path) -> None:
    assert "no such ONNX file" in str(invoke(tmp_path / "none.onnx", "-t", "rtx").exception)
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(bytes(range(256)))
    assert "not an ONNX file" in str(invoke(junk, "-t", "rtx").exception)
    foreign = onnx.load(graph)
    del foreign.metadata_props[:]
    onnx.save(foreign, junk)
    assert "not exported by bevdeploy" in str(invoke(junk, "-t", "rtx").exception)
    replace(small_contract(), student="other").save(contract_path(graph))
    result = invoke(graph, "-t", "rtx")
    assert isinstance(result.exception, ContractError)
    assert "are of different exports" in str(result.exception)


def test_wrong_usage(graph: Path) -> None:
    assert invoke(graph).exit_code == 2
    assert invoke(graph, "-t", "rtx", "--pool", "cuda").exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_is_stopped_leaves_the_plan_of_before(how: signal.Signals, rtx: str, tmp_path: Path) -> None:
    """Stopped at random moments, the last of them after its end."""
    contract, graph = small_contract(), tmp_path / "net.fp16.onnx"
    contract.save(contract_path(graph))
    onnx.save(graph_of(contract, layers=300), graph)
    plan = tmp_path / "net.rtx.fp16.plan"
    command = [sys.executable, "-m", "bevdeploy", "build", str(graph), "-t", rtx]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    whole_s = time.monotonic() - started
    rng = random.Random(how)
    before = hashlib.sha256(plan.read_bytes()).hexdigest()
    for moment in (*(rng.uniform(0.2, 1.0) for _ in range(5)), 3.0):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            process.wait(whole_s * moment)
        except subprocess.TimeoutExpired:
            process.send_signal(how)
        _, shown = process.communicate(timeout=60)
        assert b"Traceback" not in shown or process.returncode == -how, shown.decode()
        manifest = load_manifest(manifest_path(plan))
        now = hashlib.sha256(plan.read_bytes()).hexdigest()
        assert now in (before, manifest.plan_sha256), "neither the old plan nor the new one"
        before = now
    if how == signal.SIGINT:
        assert not [name for name in files(tmp_path) if name.endswith(".part")]
