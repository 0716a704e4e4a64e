"""`bevdeploy bench --engine x.plan`: on this machine as it is, on a real plan of TensorRT-RTX, and on the fake GPU."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bevdeploy.cli.bench import bench
from bevdeploy.errors import ContractError
from bevdeploy.geometry import surround_rig

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

ROOT = Path(__file__).resolve().parents[2]


def command_line(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bevdeploy", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.json"
    surround_rig(64, 36).save(path)
    return path


def can_run_plans() -> bool:
    try:
        from bevdeploy.runtime.cuda_memory import cuda_device

        cuda_device()
    except Exception:
        return False
    return True


@pytest.mark.skipif(can_run_plans(), reason="this machine has a GPU and PyCUDA")
def test_a_machine_that_runs_no_plans_says_why(plan_maker: Any, rig: Path) -> None:
    done = command_line("bench", "--engine", plan_maker.plan(), "--rig", rig)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(("MissingDependencyError: ", "EngineError: ")) and done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_foreign_plan_is_refused_with_the_command(plan_maker: Any, rig: Path) -> None:
    path = plan_maker.plan(contract_digest="ab" * 32)
    done = command_line("bench", "--engine", path, "--rig", rig)
    assert done.returncode == 1
    assert "contract: built with abababababab" in done.stderr
    command = shlex.split(done.stderr.strip().splitlines()[-1].partition("Build it here: ")[2])
    assert command == ["bevdeploy", "build", str(path.with_name("s.fp16.onnx")), "-t", "orin-agx-64gb"]


def test_a_real_plan(plan_maker: Any, rig: Path, tmp_path: Path) -> None:
    """Built by TensorRT-RTX, which needs no GPU for that; run as far as this machine goes."""
    pytest.importorskip("tensorrt_rtx")
    graph = tmp_path / "real.fp32.onnx"
    graph.write_bytes(plan_maker.graph)
    plan_maker.contract.save(tmp_path / "real.contract.json")
    built = command_line("build", graph, "-t", "rtx")
    assert built.returncode == 0, built.stderr
    (plan,) = tmp_path.glob("real.*.plan")
    done = command_line("bench", "--engine", plan, "--rig", rig, "--frames", 5)
    if can_run_plans():
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1 and "running a plan needs" in done.stderr

    manifest_file = plan.with_name(f"{plan.name}.manifest.json")
    manifest = json.loads(manifest_file.read_text())
    manifest_file.write_text(json.dumps({**manifest, "library_version": "1.6.0.1"}))
    done = command_line("bench", "--engine", plan, "--rig", rig)
    assert done.returncode == 1
    assert "TensorRT-RTX version: built with 1.6.0.1, here" in done.stderr and f"build {graph} -t rtx" in done.stderr

    manifest_file.write_text(json.dumps(manifest))
    plan.write_bytes(plan.read_bytes()[:-1])
    done = command_line("bench", "--engine", plan, "--rig", rig)
    assert done.returncode == 1 and "the manifest is of a plan" in done.stderr


def test_bench_tells_the_stages_of_the_gpu(plan_maker: Any, rig: Path, tmp_path: Path) -> None:
    plan_maker.machine()
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(bench)
    file = tmp_path / "bench.json"
    arguments = ["--engine", plan_maker.plan(), "--rig", rig, "--frames", 5, "-t", "orin-agx-64gb", "--layers"]
    result = CliRunner(env={"COLUMNS": "110"}).invoke(app, [*map(str, arguments), "--json", str(file)])
    assert result.exit_code == 3, result.output  # five frames decide no budget
    document = json.loads(file.read_text())
    assert document["runner"]["backend"] == "tensorrt" and document["runner"]["device"] == "Fake GPU"
    stages = {stage["name"]: stage for stage in document["stages"]}
    parts = {part["name"]: part for part in stages["network"]["parts"]}
    assert list(parts) == ["staging", "upload", "compute", "download"]
    assert parts["compute"]["mean_ms"] == pytest.approx(5.0)
    assert all(stage["parts"] == [] for name, stage in stages.items() if name != "network")
    lines = result.stdout.splitlines()
    network = next(n for n, line in enumerate(lines) if line.startswith("network") and "%" in line)
    assert [line.split()[0] for line in lines[network + 1 : network + 5]] == list(parts)
    assert f"{parts['upload']['mean_ms']:.2f}" in lines[network + 2]
    assert document["layers"]


def test_a_rig_that_does_not_fit_frees_the_gpu(plan_maker: Any) -> None:
    from bevdeploy.jobs.open_pipeline import open_pipeline

    gpu, library = plan_maker.machine()
    path = plan_maker.plan()
    with pytest.raises(ContractError, match="raw images of 64 x 36 px"):
        open_pipeline(path, surround_rig(128, 72))
    assert gpu.held() == {} and not library.alive
    pipeline = open_pipeline(path)
    assert pipeline.runner.info().backend == "tensorrt"
