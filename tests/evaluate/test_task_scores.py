from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.data.sample import Truth
from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import Scores, TaskScores, TrueFrame, difference, scores_of_results, write_results
from bevdeploy.evaluate.result_file import Row
from bevdeploy.geometry.frames import compose
from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.runtime.result import BevResult
from bevdeploy.tasks import TaskSpec

GRID = BEVGrid((-2.0, -1.5, -5.0), (1.0, 1.0, 8.0), (4, 3, 1))


@dataclass
class Frame:
    """What is true and what a perfect student says of it."""

    truth: Truth
    result: BevResult


@pytest.fixture
def frame(tiny_tasks: TaskSpec, rng: np.random.Generator, car_result: Callable[..., BevResult]) -> Frame:
    boxes = np.array([[10, 0, 1, 1.9, 4.6, 1.7, 0, 2, 0], [-8, 4, 1, 0.6, 0.7, 1.8, 1, 0, 0]], np.float32)
    labels = np.array([tiny_tasks.classes.index("car"), tiny_tasks.classes.index("pedestrian")], np.int32)
    futures = boxes[:, None, :2] + np.arange(1, 7, dtype=np.float32)[None, :, None] * boxes[:, None, 7:9] * 0.5
    plan = np.array([[step + 1.0, 0.1 * step] for step in range(6)], np.float32)
    truth = Truth(
        boxes=boxes,
        labels=labels,
        instances=np.arange(2, dtype=np.int32),
        attributes=np.full(2, -1, np.int32),
        points=np.array([5, 5], np.int32),
        visibility=np.full(2, 4, np.int32),
        futures_m=futures,
        futures_valid=np.ones((2, 6), bool),
        map_masks=np.array(rng.random((4, 3, 4)) < 0.5),
        occupancy=np.array(rng.random((2, 40, 40)) < 0.3),
        occupancy_valid=np.ones(2, bool),
        plan_m=plan,
        plan_valid=np.ones(6, bool),
        command=1,
    )
    result = car_result(
        boxes,
        labels=labels,
        trajectories_m=np.stack([futures, futures], 1),
        map_probabilities=truth.map_masks.astype(np.float32),
        occupancy_probabilities=truth.occupancy.astype(np.float32),
        plans_m=np.stack([plan * 0 - 9, plan, plan * 0 + 9]),
    )
    return Frame(truth, result)


def values(scores: Scores) -> dict[str, float | None]:
    return {metric.key: metric.value for metric in scores.metrics}


def test_the_data_rooms_truth_fits(frame: Frame) -> None:
    fits: TrueFrame = frame.truth
    assert fits.command == 1


def test_a_perfect_student_scores_perfectly(tiny_tasks: TaskSpec, frame: Frame) -> None:
    board = TaskScores(tiny_tasks, GRID)
    for token in ("a", "b"):
        board.add(token, frame.result, frame.truth, np.eye(4))
    assert len(board) == 2
    scores = board.scores()
    found = values(scores)
    assert found["map/mean IoU"] == found["occupancy/IoU near"] == found["occupancy/IoU far"] == 1.0
    assert found["motion/minADE_2 vehicle"] == found["motion/minFDE_2 pedestrian"] == 0.0
    assert found["motion/MR_2 vehicle"] == 0.0 and found["motion/recall vehicle"] == 1.0
    assert found["planning/L2 at 3 s"] == found["planning/L2 avg mean of 1, 2, 3 s"] == 0.0
    assert found["planning/collision avg 3 s"] == 0.0
    assert found["detection/mAP"] is None and "nuScenes tables" in (scores["detection/mAP"].reason or "")
    assert "4 x 3 cells of 1 m" in scores["map/mean IoU"].protocol
    assert (scores.frames, scores.split, scores.complete) == (2, None, False)
    assert Scores.from_document(json.loads(json.dumps(scores.document(), allow_nan=False))) == scores


def test_the_plan_of_the_given_command_counts(tiny_tasks: TaskSpec, frame: Frame) -> None:
    board = TaskScores(tiny_tasks)
    board.add("a", frame.result, replace(frame.truth, command=0), np.eye(4))
    assert values(board.scores())["planning/L2 at 1 s"] == pytest.approx(np.hypot(11, 9.1), rel=1e-6)


def test_a_plan_into_a_moving_car_collides(tiny_tasks: TaskSpec, frame: Frame) -> None:
    """The car at 10 m drives 1 m a step: 12 m at 1 s. The other command goes there."""
    plans = frame.result.plans_m.copy()
    plans[1, 1] = (10.0, 0.0)
    board = TaskScores(tiny_tasks)
    board.add("a", replace(frame.result, plans_m=plans), frame.truth, np.eye(4))
    found = values(board.scores())
    assert found["planning/collision at 1 s"] == 1.0
    assert found["planning/collision avg 1 s"] == 0.5


def test_a_data_set_without_a_map_has_no_map_score(tiny_tasks: TaskSpec, frame: Frame) -> None:
    board = TaskScores(tiny_tasks)
    board.add("a", frame.result, replace(frame.truth, map_masks=np.zeros((0, 0, 0), bool)), np.eye(4))
    metric = board.scores()["map/mean IoU"]
    assert metric.value is None and metric.reason == "no class occurs in the true maps"


def test_a_worse_student_is_told_from_a_better_one(tiny_tasks: TaskSpec, frame: Frame) -> None:
    good, bad = TaskScores(tiny_tasks), TaskScores(tiny_tasks)
    good.add("a", frame.result, frame.truth, np.eye(4))
    turned = replace(frame.result, map_probabilities=frame.result.map_probabilities[:, ::-1])
    bad.add("a", turned, frame.truth, np.eye(4))
    found = difference(good.scores(), bad.scores(), 1.0)
    assert [change.key for change in found.failures] == ["map/mean IoU"]
    assert difference(bad.scores(), good.scores(), 1.0).passed


def test_rows_are_in_the_global_frame(tiny_tasks: TaskSpec, frame: Frame, tmp_path: Path) -> None:
    board = TaskScores(tiny_tasks)
    board.add("a", frame.result, frame.truth, compose(np.eye(3), [100.0, 200.0, 0.0]))
    (car, pedestrian) = board.results()["a"]
    assert car["translation"] == pytest.approx([110.0, 200.0, 1.0])
    assert (car["attribute_name"], pedestrian["attribute_name"]) == ("vehicle.moving", "pedestrian.standing")
    write_results(tmp_path / "r.json", board.results())


def test_bad_frames_are_refused_by_name(tiny_tasks: TaskSpec, frame: Frame) -> None:
    board = TaskScores(tiny_tasks)
    with pytest.raises(DataSetError, match="no frame was evaluated"):
        board.scores()
    board.add("a", frame.result, frame.truth, np.eye(4))
    with pytest.raises(DataSetError, match="sample a was evaluated twice"):
        board.add("a", frame.result, frame.truth, np.eye(4))
    with pytest.raises(DataSetError, match="sample b: no command 3"):
        board.add("b", frame.result, replace(frame.truth, command=3), np.eye(4))
    with pytest.raises(DataSetError, match="sample c: map"):
        board.add("c", frame.result, replace(frame.truth, map_masks=np.ones((4, 9, 9), bool)), np.eye(4))
    with pytest.raises(DataSetError, match="sample d: boxes or scores are not finite"):
        board.add("d", replace(frame.result, scores=frame.result.scores * np.nan), frame.truth, np.eye(4))
    with pytest.raises(DataSetError, match="other tasks"):
        board.add("e", replace(frame.result, tasks=TaskSpec()), frame.truth, np.eye(4))
    assert len(board) == 1


def test_boxes_go_to_the_devkit(database: Any, tiny_tasks: TaskSpec, frame: Frame) -> None:
    """Real tables and poses; the boxes are made up, so the score is near 0, yet it is a score."""
    token = database.sample[1]["token"]
    board = TaskScores(tiny_tasks)
    board.add(token, frame.result, frame.truth, np.eye(4))
    scores = board.scores(database, "mini_val", tracking=False)
    assert scores["detection/mAP"].value == 0.0
    assert "1 of 81 samples" in scores["detection/mAP"].protocol
    assert scores["tracking/AMOTA"].reason == "left out on request"
    assert not scores.complete
    tracked = board.scores(database, "mini_val")
    assert tracked["tracking/AMOTA"].reason == "none of 2 scenes has predictions for all its keyframes"


def test_a_result_file_has_scores_of_its_own(
    database: Any, annotations_as_results: dict[str, list[Row]], tmp_path: Path
) -> None:
    write_results(tmp_path / "r.json", annotations_as_results)
    scores = scores_of_results(database, tmp_path / "r.json", "mini_val", tracking=False)
    assert scores["detection/mAP"].value == pytest.approx(0.7)
    assert scores.complete and scores.frames == 81
    assert [metric.task for metric in scores.headlines] == ["detection", "detection", "tracking"]
    few = dict(list(annotations_as_results.items())[:2])
    assert not scores_of_results(database, few, "mini_val", tracking=False).complete
