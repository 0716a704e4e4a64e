"""`bevdeploy bench` on a small real graph: files, exit codes, and numbers that agree."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from bevdeploy.cli.bench import bench
from bevdeploy.errors import BevDeployError, ContractError, EngineError, RecipeError
from bevdeploy.geometry import BEVGrid, CameraRig, DepthBins, ViewGeometry, indices_from_rig, surround_rig
from bevdeploy.geometry.pool_tables import sizes_of_need, tables_from_rig
from bevdeploy.runtime import Contract, Preprocessing, TensorSpec, contract_path
from bevdeploy.runtime.contract import CONTRACT_DIGEST_KEY
from bevdeploy.tasks import TaskSpec

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

OUTPUTS = {
    "boxes": (3, 9),
    "scores": (3,),
    "labels": (3,),
    "trajectories": (3, 6, 12, 2),
    "trajectory_probabilities": (3, 6),
    "map_probabilities": (4, 16, 16),
    "occupancy_probabilities": (5, 200, 200),
    "plans": (3, 6, 2),
}

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(bench)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "110"}).invoke(app, [str(argument) for argument in arguments])


def contract_of(rig: CameraRig) -> Contract:
    view = ViewGeometry(BEVGrid.centred(16.0, 2.0, (-5.0, 3.0)), DepthBins(1.0, 15.0, 2.0), (32, 64), (4, 8))
    sizes = sizes_of_need(indices_from_rig(rig, view)).grown(1.25)
    tables = tables_from_rig(rig, view, sizes).arrays()
    height, width = rig.image_hw
    return Contract(
        student="brightness",
        io="frames",
        geometry_mode="runtime",
        inputs=(
            TensorSpec("frames", (len(rig.cameras), height, width, 3), "uint8", "1", "raw RGB"),
            *(TensorSpec(name, table.shape, "int32", "1", "pool table") for name, table in tables.items()),
        ),
        outputs=tuple(TensorSpec(name, shape, "float32", "1", "") for name, shape in OUTPUTS.items()),
        cameras=rig.names,
        raw_hw=rig.image_hw,
        geometry=view,
        table_sizes=sizes,
        tasks=TaskSpec(detections=3),
        preprocessing=Preprocessing(),
    )


def graph_of(contract: Contract) -> Any:
    """Every output is the mean of the frames."""
    helper, proto = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], "to_float", to=proto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["brightness"], "mean", keepdims=0),
        *(helper.make_node("Expand", ["brightness", f"{name}_shape"], [name], name) for name in OUTPUTS),
    ]
    kinds = {"uint8": proto.UINT8, "int32": proto.INT32, "float32": proto.FLOAT}
    inputs, outputs = (
        [helper.make_tensor_value_info(spec.name, kinds[spec.dtype], spec.shape) for spec in specs]
        for specs in (contract.inputs, contract.outputs)
    )
    shapes = [onnx.numpy_helper.from_array(np.array(shape), f"{name}_shape") for name, shape in OUTPUTS.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "brightness", inputs, outputs, shapes),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    helper.set_model_props(model, {CONTRACT_DIGEST_KEY: contract.digest()})
    return model


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "brightness.fp32.onnx"
    contract = contract_of(surround_rig(64, 36))
    contract.save(contract_path(path))
    onnx.save(graph_of(contract), path)
    return path


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.json"
    surround_rig(64, 36).save(path)
    return path


def target_file(folder: Path, limit_ms: float) -> Path:
    path = folder / f"limit-{limit_ms:g}.toml"
    path.write_text(
        'title = "This machine"\nbackend = "onnxruntime"\nprecision = "fp32"\n'
        f"[budget]\nmean_ms = {limit_ms!r}\np99_ms = {limit_ms!r}\nmiss_percent = 0.1\n"
    )
    return path


def test_the_card_and_the_file_agree(engine: Path, rig: Path, tmp_path: Path) -> None:
    file, page = tmp_path / "bench.json", tmp_path / "bench.html"
    result = invoke(
        "--engine", engine, "--rig", rig, "--frames", 12, "--threads", 1, "--layers", "--json", file, "--html", page
    )
    assert result.exit_code == 0, result.output
    document = json.loads(file.read_text())
    assert document["engine"]["file"] == "brightness.fp32.onnx"
    assert document["application"]["n"] == len(document["latencies_ms"]["network"]) == 12
    assert (document["runner"]["backend"], document["runner"]["threads"]) == ("onnxruntime", 1)
    assert document["frame_sets"] > 1
    for name in ("network", "application"):
        row = re.search(rf"(?m)^{name} +(\S+) +(\S+) +(\S+) +n/a \(n=12\)", result.stdout)
        assert row and [f"{document[name][key]:.2f}" for key in ("mean_ms", "p50_ms", "p90_ms")] == list(row.groups())
    assert document["network"]["mean_ms"] < document["application"]["mean_ms"]
    assert {"ReduceMean", "Expand"} <= {kind["kind"] for kind in document["layer_kinds"]}
    assert "ReduceMean" in result.stdout and "ReduceMean" in page.read_text()


def test_an_informative_target_never_fails(engine: Path, rig: Path) -> None:
    result = invoke("--engine", engine, "--rig", rig, "--frames", 5, "-t", "cpu")
    assert result.exit_code == 0
    assert result.stdout.rstrip().splitlines()[-1].startswith("○ informative, never failed")


@pytest.mark.parametrize(
    ("limit_ms", "frames", "code", "message"),
    [(1e9, 1000, 0, "✓ passed"), (1e-9, 1000, 3, "✗ failed: mean"), (1e9, 999, 3, "○ not decided")],
)
def test_a_target_that_binds_sets_the_exit_code(
    engine: Path, rig: Path, tmp_path: Path, limit_ms: float, frames: int, code: int, message: str
) -> None:
    file = tmp_path / "bench.json"
    target = target_file(tmp_path, limit_ms)
    result = invoke(
        "--engine", engine, "--rig", rig, "-t", target, "--frames", frames, "--seconds", 300, "--json", file
    )
    assert result.exit_code == code
    assert message in result.stdout
    assert json.loads(file.read_text())["verdict"]["gate_failed"] is (code == 3)


def test_a_cpu_decides_nothing_about_an_orin(engine: Path, rig: Path) -> None:
    result = invoke("--engine", engine, "--rig", rig, "-t", "orin-agx-64gb", "--frames", 5)
    assert result.exit_code == 3
    assert "backend onnxruntime, the target's is tensorrt" in result.stdout


def test_wrong_usage() -> None:
    assert invoke("--engine", "s.onnx", "--frames", 4).exit_code == 2
    assert invoke("--frames", 10).exit_code == 2


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["-t", "orin"], RecipeError),
        (["--engine", "missing.onnx"], EngineError),
        (["--rig", "missing.json"], BevDeployError),
    ],
)
def test_what_cannot_be_read_is_one_of_our_errors(
    engine: Path, tmp_path: Path, options: list[str], error: type[BevDeployError]
) -> None:
    file = tmp_path / "bench.json"
    result = invoke("--engine", engine, "--json", file, *options)
    assert isinstance(result.exception, error)
    assert not file.exists()


def test_frames_of_a_folder_bring_their_rig(engine: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    rig = surround_rig(64, 36)
    turned = replace(rig.cameras[0], ego_from_cam=rig.cameras[1].ego_from_cam)
    own = CameraRig((turned, *rig.cameras[1:]))
    own.save(tmp_path / "rig.json")
    for camera in own.cameras:
        (tmp_path / camera.name).mkdir()
        for n in range(2):
            image.fromarray(np.full((36, 64, 3), n, np.uint8)).save(tmp_path / camera.name / f"{n}.png")
    file = tmp_path / "bench.json"
    result = invoke("--engine", engine, "--data", tmp_path, "--frames", 5, "--json", file)
    assert result.exit_code == 0, result.output
    document = json.loads(file.read_text())
    assert (document["frame_sets"], document["rig_digest"]) == (2, own.digest())


def test_a_rig_of_another_size(engine: Path, tmp_path: Path) -> None:
    path = tmp_path / "rig.json"
    surround_rig(128, 72).save(path)
    result = invoke("--engine", engine, "--rig", path)
    assert isinstance(result.exception, ContractError)
    assert "raw images of 64 x 36 px" in str(result.exception)
