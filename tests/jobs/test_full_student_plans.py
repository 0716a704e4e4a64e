"""The student of the car, at its real size, becomes plans on a machine without a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from bevdeploy.export import graph_of_student, load_recipe, write_export
from bevdeploy.geometry import surround_rig
from bevdeploy.jobs.build_engine import build_engine
from bevdeploy.models import build_student
from bevdeploy.runtime.manifest import load_manifest
from bevdeploy.runtime.parity import ParityReport

pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install 'bevdeploy[rtx]'")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_tinybev_r18_builds(tmp_path: Path, precision: str) -> None:
    student, recipe, rig = build_student("tinybev_r18", {}).eval(), load_recipe("tinybev_r18"), surround_rig()
    graph = graph_of_student(student, recipe, rig, "frames", "runtime", precision=precision)  # type: ignore[arg-type]
    path = tmp_path / f"s.{precision}.onnx"
    write_export(graph, ParityReport(path.name, "not compared", ()), path)
    report = build_engine(path, "rtx")
    manifest = load_manifest(report.manifest_file)
    assert report.plan.stat().st_size > (50e6 if precision == "fp16" else 100e6)  # 28.1 M parameters
    assert (manifest.precision, manifest.backend, manifest.pool) == (precision, "tensorrt_rtx", "native")
