"""TensorRT-RTX takes the graph of a temporal, camera-aware student: its parser, and its builder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install 'bevdeploy[rtx]'")
pytest.importorskip("torch")

from bevdeploy.engines.target import load_target
from bevdeploy.engines.tensorrt_build import build_plan
from bevdeploy.runtime.tensorrt_library import tensorrt_library

TINY = {"image_height_px": 64, "image_width_px": 192, "cell_m": 6.4, "depth_step_m": 4.0, "width": 8}


@pytest.mark.parametrize(("io", "precision"), [("frames", "fp32"), ("tensor", "fp16")])
def test_the_two_frame_student_becomes_a_plan(io: Any, precision: Any, tmp_path: Path) -> None:
    from bevdeploy.export import graph_of_student, load_recipe
    from bevdeploy.geometry import surround_rig
    from bevdeploy.models.untrained import untrained_student

    student = untrained_student("bevdepth_r50", TINY, 0).eval()
    graph = graph_of_student(
        student, load_recipe("bevdepth_r50"), surround_rig(400, 225), io, "runtime", precision=precision
    )
    assert any(node.op_type == "GridSample" for node in graph.model.graph.node)
    built = build_plan(
        graph.model.SerializeToString(), graph.contract, load_target("rtx"), tensorrt_library("tensorrt_rtx")
    )
    assert len(built.content) > 1e6 and built.layers > 300
