"""`bevdeploy compare` on exported files: exit codes, table, file; two ONNX files without PyTorch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.geometry import CameraRig, load_rig
from bevdeploy.jobs.compare import CompareOptions, compare
from bevdeploy.runtime import contract_path, load_contract
from bevdeploy.runtime.contract import CONTRACT_DIGEST_KEY

onnx = pytest.importorskip("onnx")
STUDENT = "tinybev_r18_small"
ONE = CompareOptions(frames=1, threads=1)
Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, exported: Path) -> tuple[Path, Path]:
    """The exported file, and one with the same graph and other weights: what training leaves of a seed."""
    folder = tmp_path_factory.mktemp("pair")
    ours, theirs = folder / "a.fp32.onnx", folder / "b.fp32.onnx"
    for path in (ours, theirs):
        shutil.copy(exported, path)
        shutil.copy(contract_path(exported), contract_path(path))
    model = onnx.load(theirs)
    rng = np.random.default_rng(5)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
            values = onnx.numpy_helper.to_array(tensor)
            noisy = values * rng.uniform(0.7, 1.3, values.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(noisy.astype(np.float32), tensor.name))
    onnx.save(model, theirs)
    return ours, theirs


def test_a_file_with_itself(bevdeploy_cli: Cli, pair: tuple[Path, Path], tmp_path: Path) -> None:
    file = tmp_path / "compare.json"
    done = bevdeploy_cli("compare", pair[0], pair[0], "--frames", 1, "--json", file)
    assert done.code == 0, done.err
    assert done.out.rstrip().splitlines()[-1] == "✓ same inference cost, identical outputs"
    document = json.loads(file.read_text())
    assert (document["format"], document["outputs"], document["passed"]) == ("bevdeploy.compare/1", "identical", True)
    assert f"{document['a']['cost']['macs']:,}" in done.out
    assert document["contract_differences"] == []
    assert document["bench"] is None


def test_other_weights_fail_unless_only_the_cost_counts(
    bevdeploy_cli: Cli, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    file = tmp_path / "compare.json"
    done = bevdeploy_cli("compare", *pair, "--frames", 1, "--json", file)
    assert done.code == 3
    assert done.out.rstrip().splitlines()[-1] == "✗ same inference cost, other outputs"
    document = json.loads(file.read_text())
    assert document["a"]["cost"] == document["b"]["cost"]
    assert document["same_cost"] and not document["passed"]
    cost = bevdeploy_cli("compare", *pair, "--cost-only")
    assert cost.code == 0, cost.err
    assert "outputs not compared (only the cost was asked for)" in cost.out


def test_another_graph_fails_even_where_only_the_cost_counts(
    bevdeploy_cli: Cli, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    """One operator more, which changes no output."""
    path = tmp_path / "c.fp32.onnx"
    shutil.copy(contract_path(pair[0]), contract_path(path))
    model = onnx.load(pair[0])
    last = next(node for node in model.graph.node if "plans" in node.output)
    last.output[list(last.output).index("plans")] = "plans_before"
    model.graph.node.append(onnx.helper.make_node("Identity", ["plans_before"], ["plans"], "idle"))
    onnx.save(model, path)
    done = bevdeploy_cli("compare", pair[0], path, "--frames", 1)
    assert done.code == 3
    assert "✗ another inference cost, identical outputs" in done.out
    (line,) = [line for line in done.out.splitlines() if line.split()[:1] == ["Identity"]]
    assert line.split()[1:4] == ["0", "1", "+1"]
    assert bevdeploy_cli("compare", pair[0], path, "--cost-only").code == 3


def test_latency_side_by_side(bevdeploy_cli: Cli, pair: tuple[Path, Path], tmp_path: Path) -> None:
    file = tmp_path / "compare.json"
    done = bevdeploy_cli("compare", *pair, "--cost-only", "--bench", 0.1, "--threads", 1, "--json", file)
    assert done.code == 0, done.err
    bench = json.loads(file.read_text())["bench"]
    assert bench["a"]["n"] == bench["b"]["n"] >= 5
    assert bench["ratio_of_medians"] == pytest.approx(bench["b"]["p50_ms"] / bench["a"]["p50_ms"])
    assert f"{bench['ratio_of_medians']:.3f}" in done.out


def test_a_checkpoint_equals_its_export_and_costs_the_same(checkpoint: Path, exported: Path) -> None:
    """The file's table sizes count: those of another rig would be another graph."""
    report = compare(checkpoint, exported, load_rig(exported.with_name("rig.json")), ONE)
    assert (report.same_cost, report.same_interface, report.outputs, report.passed) == (True, True, "equal", True)
    assert (report.a.backend, report.b.backend) == ("pytorch", "onnxruntime")
    assert report.contract == ()


@pytest.mark.slow
def test_another_seed_costs_the_same_and_computes_something_else(
    bevdeploy_cli: Cli, exported: Path, tmp_path: Path
) -> None:
    assert bevdeploy_cli("init", STUDENT, "-o", tmp_path / "b.pth", "--seed", 1).code == 0
    report = compare(exported, tmp_path / "b.pth", load_rig(exported.with_name("rig.json")), ONE)
    assert (report.same_cost, report.same_interface, report.outputs, report.passed) == (True, True, "different", False)
    assert report.parity is not None
    maps = [check.value for check in report.parity.checks if check.output == "map_probabilities"]
    assert min(maps) > 0.1


@pytest.mark.slow
def test_another_student_costs_something_else_and_says_what(bevdeploy_cli: Cli, exported: Path, tmp_path: Path) -> None:
    assert bevdeploy_cli("init", STUDENT, "-o", tmp_path / "c.pth", "--option", "ego_state=true").code == 0
    report = compare(exported, tmp_path / "c.pth", load_rig(exported.with_name("rig.json")), ONE)
    assert (report.same_cost, report.same_interface, report.outputs) == (False, False, "different")
    assert report.b.cost.parameters > report.a.cost.parameters
    assert report.b.cost.macs > report.a.cost.macs
    keys = {difference.key: (difference.a, difference.b) for difference in report.contract}
    assert keys["inputs.ego_state"] == ("absent", "float32 [1, 9], m/s, m/s2, rad/s")


def test_other_image_sizes_are_a_result_and_no_error(
    bevdeploy_cli: Cli, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    """The same graph under a contract, and a first input, of smaller raw images."""
    path = tmp_path / "d.fp32.onnx"
    ours = load_contract(contract_path(pair[0]))
    height, width = ours.raw_hw
    frames = replace(ours.inputs[0], shape=(6, height // 2, width, 3))
    theirs = replace(ours, raw_hw=(height // 2, width), inputs=(frames, *ours.inputs[1:]))
    model = onnx.load(pair[0])
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = height // 2
    onnx.helper.set_model_props(model, {CONTRACT_DIGEST_KEY: theirs.digest()})
    onnx.save(model, path)
    theirs.save(contract_path(path))
    done = bevdeploy_cli("compare", pair[0], path)
    assert done.code == 3, done.err
    words = " ".join(done.out.split())
    assert "another contract, outputs not compared (they take other cameras or other image sizes)" in words
    assert "inputs.frames" in done.out and "raw_hw" in done.out


def test_two_onnx_files_need_no_torch(pair: tuple[Path, Path], subprocess_environment: dict[str, str]) -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "sys.argv = ['bevdeploy', 'compare', sys.argv[1], sys.argv[2], '--cost-only']\n"
        "from bevdeploy.cli import main\n"
        "main()\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, *map(str, pair)], capture_output=True, text=True, env=subprocess_environment
    )
    assert shown.returncode == 0, shown.stderr


def test_errors_are_one_block(
    bevdeploy_cli: Cli,
    pair: tuple[Path, Path],
    tmp_path: Path,
    rig_320: CameraRig,
    turned_rig: Callable[..., CameraRig],
) -> None:
    bevdeploy_cli("compare", pair[0], tmp_path / "x.onnx").fails("EngineError", "x.onnx", "no such ONNX file")
    bevdeploy_cli("compare", pair[0], tmp_path / "x.plan").fails("EngineError", "neither an ONNX file")
    assert bevdeploy_cli("compare", pair[0]).code == 2
    assert bevdeploy_cli("compare", *pair, "--bench", "0").code == 2
    turned_rig(rig_320, 3.0).save(tmp_path / "rig.json")
    assert bevdeploy_cli("compare", *pair, "--cost-only", "--rig", tmp_path / "rig.json").code == 0


def test_the_help_says_what_the_exit_codes_mean(bevdeploy_cli: Cli) -> None:
    words = " ".join(bevdeploy_cli("compare", "--help").out.split())
    assert "Exit code 0 when" in words and "3 when" in words
