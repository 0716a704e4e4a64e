"""Students of some of the five tasks: the same graph, contract, parity, result and pictures, without the others."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from bevdeploy.errors import CheckpointError
from bevdeploy.export import ExportRecipe, ParityCase, graph_of_student, load_recipe, parity_of_graph
from bevdeploy.export.deploy_graph import DECODED_BY_HEAD
from bevdeploy.export.own_student import check_student
from bevdeploy.geometry import surround_rig
from bevdeploy.models import Student
from bevdeploy.models.half import half_student
from bevdeploy.models.outputs import DENSE_BY_HEAD
from bevdeploy.report.frame_picture import FrameTitle, frame_picture
from bevdeploy.runtime import OnnxRunner, Pipeline
from bevdeploy.tasks import HEADS, TaskSpec

SUBSETS = [("map",), ("detection",), ("detection", "motion"), ("occupancy", "planning")]


def partial(student: Student, heads: tuple[str, ...]) -> Student:
    """The student's own modules, without the heads of the other tasks."""
    spec = replace(student.spec, tasks=student.spec.tasks.only(*heads))
    names = {"detection": "detection", "map": "map_head", "occupancy": "occupancy", "motion": "motion"}
    kept = {argument: getattr(student, head) for head, argument in names.items() if head in heads}
    if "planning" in heads:
        kept["planning"] = student.planning
    return Student(spec, student.image_encoder, student.view_transform, student.bev_encoder, **kept).eval()


def test_heads_of_a_task_spec() -> None:
    assert TaskSpec().heads == HEADS
    for heads in SUBSETS:
        assert TaskSpec().only(*heads).heads == heads
    assert TaskSpec().only("motion").heads == (), "no agents, no motion"


@pytest.mark.parametrize("io", ["frames", "tensor"])
@pytest.mark.parametrize("heads", SUBSETS, ids="-".join)
def test_a_partial_student_equals_the_whole_one(
    student: Student, recipe: ExportRecipe, cases: list[ParityCase], heads: tuple[str, ...], io: str
) -> None:
    part = partial(student, heads)
    graph = graph_of_student(part, recipe, cases[0].rig, io, "runtime")
    names = {spec.name for spec in graph.contract.outputs}
    table = DECODED_BY_HEAD if io == "frames" else DENSE_BY_HEAD
    assert names - {"bev"} == {name for head in heads for name in table[head]}
    report = parity_of_graph(graph, recipe, cases[:1], "part.fp32.onnx")
    assert report.passed and {check.output for check in report.checks} > {"bev"}

    pipeline = Pipeline(
        OnnxRunner.from_bytes(graph.model.SerializeToString(), graph.contract), graph.contract, cases[0].rig
    )
    result = pipeline.infer(cases[0].frames)
    assert len(result.map_probabilities) == (len(student.spec.tasks.map_classes) if "map" in heads else 0)
    assert len(result.boxes) == (student.spec.tasks.detections if "detection" in heads else 0)
    assert result.trajectories_m.shape[:2] == (len(result.boxes), 6 if "motion" in heads else 0)
    assert len(result.plans_m) == (3 if "planning" in heads else 0)
    document = result.above(0.2).document()
    assert set(document["map_share"]) == set(student.spec.tasks.map_classes if "map" in heads else ())
    picture = frame_picture(
        cases[0].frames, cases[0].rig, result, graph.contract.geometry.grid, FrameTitle("part", "ONNX", None)
    )
    assert np.asarray(picture).std() > 10


def test_a_partial_student_halves(student: Student) -> None:
    part = partial(student, ("map",))
    half = half_student(part)
    assert half.map is not None and next(half.map.parameters()).dtype == torch.float16 and half.detection is None


def test_own_outputs_beyond_the_spec_are_named(student: Student) -> None:
    liar = copy.copy(student)
    liar.spec = replace(student.spec, tasks=student.spec.tasks.only("map"))
    with pytest.raises(CheckpointError, match="heatmap: its spec has no such task"):
        check_student(liar, load_recipe(student.spec.name), surround_rig(640, 360))
