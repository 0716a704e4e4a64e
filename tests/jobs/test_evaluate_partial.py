"""The job with students of some of the tasks: the truth scores perfectly in those, pictures and notes follow."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("nuscenes") is None:
    pytest.skip("a world's index is built by nuscenes-devkit, which is not installed", allow_module_level=True)

from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import open_index
from bevdeploy.data.truth_of import truth_of
from bevdeploy.data.world import WorldOptions, write_world
from bevdeploy.evaluate import future_footprints
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry, indices_from_rig
from bevdeploy.geometry.pool_tables import TABLE_NAMES, sizes_of_need
from bevdeploy.jobs.evaluate import evaluate_opened
from bevdeploy.jobs.evaluated_engine import EvaluatedEngine
from bevdeploy.jobs.evaluation import EvalOptions
from bevdeploy.jobs.frame_score import MEANING_WITHOUT_BOXES
from bevdeploy.jobs.keyframes import Keyframes, keyframes_of_split, rig_of_keyframe
from bevdeploy.jobs.truth_as_result import truth_as_result
from bevdeploy.runtime import Contract, FakeRunner, Pipeline, Preprocessing, TensorSpec
from bevdeploy.tasks import TaskSpec

VIEW = ViewGeometry(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)), DepthBins(1.0, 41.0, 4.0), (16, 32), (2, 4))
FULL = TaskSpec()
HEIGHT_PX, WIDTH_PX = 36, 64


@pytest.fixture(scope="module")
def keyframes(tmp_path_factory: pytest.TempPathFactory) -> Keyframes:
    """Four keyframes, 1.5 s, of one scene."""
    root = tmp_path_factory.mktemp("world")
    write_world(root, WorldOptions(scenes=2, keyframes=4, width_px=WIDTH_PX, height_px=HEIGHT_PX, seed=1, workers=1))
    return keyframes_of_split(open_index(build_index(root), root=root), None)


def engine(keyframes: Keyframes, tasks: TaskSpec) -> EvaluatedEngine:
    """Gives the truth of the tasks as a graph would; outputs of the others it does not have."""
    index, rig = keyframes.index, rig_of_keyframe(keyframes.index, keyframes.rows[0])
    sizes = sizes_of_need(indices_from_rig(rig, VIEW)).grown(2.0)
    shapes = ((sizes.rows, 16), (sizes.rows, 16), (sizes.sums1, 8), (sizes.sums2, 8), VIEW.grid.shape_zyx[1:])
    tables = [TensorSpec(name, shape, "int32", "1", "") for name, shape in zip(TABLE_NAMES, shapes, strict=True)]
    frames = TensorSpec("frames", (6, HEIGHT_PX, WIDTH_PX, 3), "uint8", "grey level", "")
    rows = {np.stack(frame_set.frames).tobytes(): row for row, frame_set in keyframes}

    def outputs(feeds: Mapping[str, Any]) -> dict[str, Any]:
        result = truth_as_result(truth_of(index, rows[feeds["frames"].tobytes()], FULL, VIEW.grid), FULL)
        spare = np.array([[900, 0, 0, 1, 1, 1, 0, 0, 0]], np.float32)  # a graph always gives K boxes
        missing = FULL.detections - len(result.boxes)
        of_head = {
            "detection": {
                "boxes": np.concatenate([result.boxes, spare.repeat(missing, 0)]),
                "scores": np.pad(result.scores, (0, missing)),
                "labels": np.pad(result.labels, (0, missing)),
            },
            "motion": {
                "trajectories": np.pad(result.trajectories_m, ((0, missing), (0, 0), (0, 0), (0, 0))),
                "trajectory_probabilities": np.pad(
                    result.trajectory_probabilities, ((0, missing), (0, 0)), constant_values=1 / FULL.motion_modes
                ),
            },
            "map": {"map_probabilities": result.map_probabilities},
            "occupancy": {"occupancy_probabilities": result.occupancy_probabilities},
            "planning": {"plans": result.plans_m},
        }
        return {name: array for head in tasks.heads for name, array in of_head[head].items()}

    contract = Contract(
        student="oracle",
        io="frames",
        geometry_mode="runtime",
        inputs=(frames, *tables),
        outputs=(),
        cameras=rig.names,
        raw_hw=(HEIGHT_PX, WIDTH_PX),
        geometry=VIEW,
        table_sizes=sizes,
        tasks=tasks,
        preprocessing=Preprocessing(),
    )
    return EvaluatedEngine(Path("oracle.onnx"), Pipeline(FakeRunner(outputs), contract, rig), index)


@pytest.mark.parametrize(
    "heads", [("map",), ("occupancy",), ("planning",), ("detection",), ("detection", "motion"), ("map", "planning")]
)
def test_a_part_of_the_tasks_scores_as_in_a_full_student(keyframes: Keyframes, heads: tuple[str, ...]) -> None:
    options = EvalOptions(("map", "occupancy", "motion", "planning"))
    full = evaluate_opened([engine(keyframes, FULL)], keyframes, options).scored.scores
    report = evaluate_opened([engine(keyframes, FULL.only(*heads))], keyframes, options)
    for metric in report.scored.scores.metrics:
        if metric.task in heads:
            assert metric == full[metric.key]
        else:
            assert metric.value is None and metric.reason == f"the student has no {metric.task}"


def test_without_detection_no_tables_are_opened(keyframes: Keyframes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bevdeploy.jobs.evaluation.open_tables", lambda *_: pytest.fail("tables were opened"))
    report = evaluate_opened([engine(keyframes, FULL.only("map"))], keyframes, EvalOptions())
    reasons = {metric.key: metric.reason for metric in report.scored.scores.metrics if metric.value is None}
    assert reasons["detection/mAP"] == reasons["tracking/AMOTA"] == "the student has no detection"
    assert report.scored.scores["map/mean IoU"].value == 1.0


def test_a_planner_is_checked_with_obstacles_of_all_classes(keyframes: Keyframes) -> None:
    planner, full = engine(keyframes, FULL.only("planning")), engine(keyframes, FULL)
    some = 0
    for row in keyframes.rows:
        truth, made = full.truth(row), planner.footprints(row)
        assert made is not None
        steps = FULL.plan_steps
        twin = future_footprints(truth.boxes, truth.labels, truth.futures_m, truth.futures_valid, steps)
        np.testing.assert_array_equal(made.rectangles, twin.rectangles)
        np.testing.assert_array_equal(made.valid, twin.valid)
        some += int(made.valid.sum())
    assert some > 0
    assert engine(keyframes, FULL.only("map")).footprints(keyframes.rows[0]) is None


def test_pictures_and_notes_follow_the_tasks(keyframes: Keyframes, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("PIL.Image")
    bare = replace(keyframes, index=replace(keyframes.index, maps={}))
    report = evaluate_opened([engine(bare, FULL.only("planning"))], bare, EvalOptions(output=tmp_path / "planner"))
    assert report.notes == () and report.shown == ()
    few = replace(keyframes, rows=keyframes.rows[:2])
    mapper = evaluate_opened([engine(few, FULL.only("map"))], few, EvalOptions(output=tmp_path / "mapper"))
    assert [frame.score for frame in mapper.shown] == [1.0, 1.0]
    assert mapper.score_meaning == MEANING_WITHOUT_BOXES
