"""The job on a made-up world: the truth scores perfectly through the pipeline, a fault shows, memory stays flat."""

from __future__ import annotations

import gc
import html
import importlib.util
import json
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("nuscenes") is None:
    pytest.skip("boxes are scored by nuscenes-devkit, which is not installed", allow_module_level=True)

from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import SampleIndex, open_index
from bevdeploy.data.truth_of import truth_of
from bevdeploy.data.world import WorldOptions, write_world
from bevdeploy.errors import ContractError, DataSetError, FrameSourceError, OutputError
from bevdeploy.evaluate import Scores, difference
from bevdeploy.geometry import BEVGrid, CameraRig, DepthBins, ViewGeometry, indices_from_rig
from bevdeploy.geometry.pool_tables import TABLE_NAMES, sizes_of_need
from bevdeploy.jobs.evaluate import evaluate_opened
from bevdeploy.jobs.evaluate_results import evaluate_results
from bevdeploy.jobs.evaluated_engine import EvaluatedEngine
from bevdeploy.jobs.evaluation import EvalOptions
from bevdeploy.jobs.keyframes import Keyframes, keyframes_of_split, rig_of_keyframe
from bevdeploy.jobs.truth_as_result import truth_as_result
from bevdeploy.report.eval_report import EvalReport
from bevdeploy.runtime import BevResult, Contract, FakeRunner, Pipeline, Preprocessing, TensorSpec
from bevdeploy.tasks import TaskSpec

VIEW = ViewGeometry(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)), DepthBins(1.0, 41.0, 4.0), (16, 32), (2, 4))
TASKS_OF_WORLD = TaskSpec()
HEIGHT_PX, WIDTH_PX = 36, 64
Fault = Callable[[BevResult], BevResult]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> SampleIndex:
    """Two scenes of 3.5 s, so that every plan step is known once; one of them is mini_val."""
    root = tmp_path_factory.mktemp("world") / "Füße und 車"
    write_world(root, WorldOptions(scenes=2, keyframes=8, width_px=WIDTH_PX, height_px=HEIGHT_PX, seed=1, workers=2))
    return open_index(build_index(root), root=root)


@pytest.fixture(scope="module")
def keyframes(index: SampleIndex) -> Keyframes:
    return keyframes_of_split(index, None)


def contract_for(rig: CameraRig, ego_state: bool = False) -> Contract:
    sizes = sizes_of_need(indices_from_rig(rig, VIEW)).grown(2.0)
    shapes = ((sizes.rows, 16), (sizes.rows, 16), (sizes.sums1, 8), (sizes.sums2, 8), VIEW.grid.shape_zyx[1:])
    tables = [TensorSpec(name, shape, "int32", "1", "") for name, shape in zip(TABLE_NAMES, shapes, strict=True)]
    frames = TensorSpec("frames", (6, HEIGHT_PX, WIDTH_PX, 3), "uint8", "grey level", "")
    state = [TensorSpec("ego_state", (1, 9), "float32", "", "")] if ego_state else []
    return Contract(
        student="oracle",
        io="frames",
        geometry_mode="runtime",
        inputs=(frames, *tables, *state),
        outputs=(),
        cameras=rig.names,
        raw_hw=(HEIGHT_PX, WIDTH_PX),
        geometry=VIEW,
        table_sizes=sizes,
        tasks=TASKS_OF_WORLD,
        preprocessing=Preprocessing(),
    )


class Oracle:
    """Knows each keyframe by its images, and gives the truth, spoilt by a fault, as the outputs of a graph."""

    def __init__(self, keyframes: Keyframes, fault: Fault = lambda result: result) -> None:
        self.index, self.fault = keyframes.index, fault
        self.rows = {np.stack(frame_set.frames).tobytes(): row for row, frame_set in keyframes}
        self.feeds: list[dict[str, Any]] = []

    def __call__(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        row = self.rows[feeds["frames"].tobytes()]
        self.feeds.append({"row": row, **{name: feeds[name] for name in feeds if name != "frames"}})
        result = self.fault(truth_as_result(truth_of(self.index, row, TASKS_OF_WORLD, VIEW.grid), TASKS_OF_WORLD))
        return {
            "boxes": result.boxes,
            "scores": result.scores,
            "labels": result.labels,
            "trajectories": result.trajectories_m,
            "trajectory_probabilities": result.trajectory_probabilities,
            "map_probabilities": result.map_probabilities,
            "occupancy_probabilities": result.occupancy_probabilities,
            "plans": result.plans_m,
        }


def engine(keyframes: Keyframes, oracle: Oracle, name: str = "oracle.onnx", ego_state: bool = False) -> EvaluatedEngine:
    rig = rig_of_keyframe(keyframes.index, keyframes.rows[0])
    return EvaluatedEngine(Path(name), Pipeline(FakeRunner(oracle), contract_for(rig, ego_state), rig), keyframes.index)


def evaluated(keyframes: Keyframes, *faults: Fault, options: EvalOptions | None = None) -> EvalReport:
    names = ("ours.onnx", "theirs.pth")
    engines = [engine(keyframes, Oracle(keyframes, fault), name) for fault, name in zip(faults, names, strict=False)]
    return evaluate_opened(engines, keyframes, options or EvalOptions())


def same(result: BevResult) -> BevResult:
    return result


def moved(metres: float) -> Fault:
    def fault(result: BevResult) -> BevResult:
        boxes = result.boxes.copy()
        boxes[:, 0] += metres
        return replace(result, boxes=boxes)

    return fault


def values(scores: Scores, *tasks: str) -> dict[str, float | None]:
    return {metric.key: metric.value for metric in scores.metrics if metric.task in tasks}


def test_the_truth_scores_perfectly_in_every_task(keyframes: Keyframes) -> None:
    """Classes that never occur count as the devkit counts them: AP 0, errors 1. Attributes are guessed from speeds."""
    scores = evaluated(keyframes, same).scored.scores
    present = {metric.name.split()[1] for metric in scores.metrics if metric.name.startswith("AP ") and metric.count}
    assert len(present) >= 5 and {"car", "pedestrian"} <= present
    kinds = {
        "mATE": set(TASKS_OF_WORLD.classes),
        "mASE": set(TASKS_OF_WORLD.classes),
        "mAOE": set(TASKS_OF_WORLD.classes) - {"traffic_cone"},
        "mAVE": set(TASKS_OF_WORLD.classes) - {"traffic_cone", "barrier"},
    }
    expected = {name: len(counted - present) / len(counted) for name, counted in kinds.items()}
    expected |= {"mAP": len(present) / 10, "mAP of classes present": 1.0, **{f"AP {name}": 1.0 for name in present}}
    for name, value in expected.items():
        assert scores[f"detection/{name}"].value == pytest.approx(value, abs=1e-5), name
    for metric in scores.metrics:
        if metric.task == "detection" or metric.value is None:
            continue
        perfect = 1.0 if metric.better == "up" else 0.0
        assert metric.value == pytest.approx(perfect, abs=1e-5), metric.key
    for task in ("tracking", "map", "occupancy", "motion", "planning"):
        headlines = [metric for metric in scores.headlines if metric.task == task]
        assert headlines and all(metric.value is not None for metric in headlines), task


def swapped_map(result: BevResult) -> BevResult:
    return replace(result, map_probabilities=result.map_probabilities[::-1].copy())


def transposed_occupancy(result: BevResult) -> BevResult:
    return replace(result, occupancy_probabilities=result.occupancy_probabilities.transpose(0, 2, 1).copy())


def shortened_plan(result: BevResult) -> BevResult:
    return replace(result, plans_m=result.plans_m * np.array([0.9, 1], np.float32))


def backward_paths(result: BevResult) -> BevResult:
    return replace(result, trajectories_m=2 * result.boxes[:, None, None, :2] - result.trajectories_m)


def turned_velocity(result: BevResult) -> BevResult:
    boxes = result.boxes.copy()
    boxes[:, 7:9] = boxes[:, [8, 7]]
    return replace(result, boxes=boxes)


@pytest.mark.parametrize(
    ("fault", "fallen", "task"),
    [
        (moved(1.2), {"detection/mAP", "detection/mATE", "motion/recall vehicle"}, None),
        (swapped_map, {"map/mean IoU", "map/IoU divider"}, "map"),
        (transposed_occupancy, {"occupancy/IoU near", "occupancy/IoU far at 2 s"}, "occupancy"),
        (shortened_plan, {"planning/L2 at 3 s", "planning/L2 avg mean of 1, 2, 3 s"}, "planning"),
        (backward_paths, {"motion/minADE_6 vehicle", "motion/minFDE_1 vehicle"}, "motion"),
        (turned_velocity, {"detection/mAVE"}, None),
    ],
)
def test_a_fault_shows_where_it_is(keyframes: Keyframes, fault: Fault, fallen: set[str], task: str | None) -> None:
    """Against the other engine on the same frames; the tasks that it does not touch keep their numbers."""
    report = evaluated(keyframes, fault, same)
    failed = {change.key for change in report.failures}
    assert not report.passed
    assert fallen <= failed
    assert report.verdict is not None and "worse than theirs.pth by more than 0.2 points" in report.verdict
    if task is not None:
        assert {key.split("/")[0] for key in failed} == {task}
    assert report.against is not None
    turned = replace(report, difference=difference(report.scored.scores, report.against.scores, 0.2))
    assert turned.difference is not None and turned.passed
    assert fallen <= {change.key for change in turned.difference.changes if change.verdict == "better"}


def test_the_floor_is_in_points_of_each_metric(keyframes: Keyframes) -> None:
    """Boxes 3 mm off: 0.3 points of the mean translation error, less where classes never occur."""
    report = evaluated(keyframes, moved(0.003), same, options=EvalOptions(("detection",), 0.1))
    assert [change.key for change in report.failures] == ["detection/mATE"]
    (change,) = report.failures
    assert change.points is not None and -0.3 < change.points < -0.1
    assert evaluated(keyframes, moved(0.003), same, options=EvalOptions(("detection",), 0.3)).passed


def test_the_pipeline_gets_the_rig_and_the_ego_state_of_every_keyframe(keyframes: Keyframes) -> None:
    oracle = Oracle(keyframes)
    evaluate_opened([engine(keyframes, oracle, ego_state=True)], keyframes, EvalOptions(("map",)))
    assert [feed["row"] for feed in oracle.feeds] == list(keyframes.rows)
    tables = []
    for feed in oracle.feeds:
        rig = rig_of_keyframe(keyframes.index, feed["row"])
        fresh = Pipeline(FakeRunner(oracle), contract_for(rig_of_keyframe(keyframes.index, keyframes.rows[0])), rig)
        want = fresh.feeds([np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)] * 6)
        for name in TABLE_NAMES:
            np.testing.assert_array_equal(feed[name], want[name])
        tables.append(feed[TABLE_NAMES[0]].tobytes())
        np.testing.assert_array_equal(feed["ego_state"][0], keyframes.index.arrays.ego_state[feed["row"]])
    assert len(set(tables)) > 1  # the vehicle moves between a camera's time and the key time
    assert np.abs(oracle.feeds[0]["ego_state"]).max() > 0.1


def test_dense_outputs_are_let_go_frame_by_frame(keyframes: Keyframes) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def watched(result: BevResult) -> BevResult:
        nonlocal most
        gc.collect()
        most = max(most, sum(ref() is not None for ref in alive))
        grown = replace(
            result,
            map_probabilities=result.map_probabilities.copy(),
            occupancy_probabilities=result.occupancy_probabilities.copy(),
        )
        alive.extend(weakref.ref(array) for array in (grown.map_probabilities, grown.occupancy_probabilities))
        return grown

    evaluated(keyframes, watched, options=EvalOptions(("map", "occupancy")))
    assert len(alive) == 2 * len(keyframes)
    assert most <= 2  # those of the frame before


def test_the_folder_holds_results_scores_and_pictures(
    keyframes: Keyframes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its result file scores the same as the engine, its scores serve as what a later eval is compared with."""
    pytest.importorskip("jinja2")
    pytest.importorskip("PIL.Image")
    monkeypatch.setattr("bevdeploy.jobs.shown_frames.SHOWN", 1)
    worst = keyframes.rows[3]
    oracle = Oracle(keyframes)
    oracle.fault = lambda result: moved(3.0)(result) if oracle.feeds[-1]["row"] == worst else moved(0.3)(result)
    report = evaluate_opened([engine(keyframes, oracle)], keyframes, EvalOptions(output=tmp_path / "out"))
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"results_nusc.json", "scores.json", "index.html"}
    assert [frame.rank for frame in report.shown] == ["best", "worst"]
    assert report.shown[1].token == keyframes.tokens[3]
    assert report.shown[1].score < report.shown[0].score <= 1
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 2
    assert (
        "8 of 8 keyframes of mini_val" in page
        and "Worst frame" in page
        and html.escape(report.score_meaning).replace("&#x27;", "&#39;") in page
    )
    document = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert document == json.loads(json.dumps(report.document()))
    again = evaluate_results(tmp_path / "out" / "results_nusc.json", keyframes, EvalOptions(("detection", "tracking")))
    assert values(again.scored.scores, "detection", "tracking") == values(report.scored.scores, "detection", "tracking")
    against = tmp_path / "out" / "scores.json"
    later = evaluate_results(
        tmp_path / "out" / "results_nusc.json", keyframes, EvalOptions(("detection",), 0.0), against
    )
    assert later.passed and later.verdict is not None and later.verdict.startswith("none of ")
    with pytest.raises(DataSetError, match="its 8 keyframes of mini_val are not the 2 of mini_val"):
        evaluate_results(
            tmp_path / "out" / "results_nusc.json",
            replace(keyframes, rows=keyframes.rows[:2]),
            EvalOptions(("detection",)),
            against,
        )


def test_a_part_of_the_split_is_said_to_be_one(keyframes: Keyframes) -> None:
    report = evaluated(replace(keyframes, rows=keyframes.rows[:3], skipped=5), same, options=EvalOptions(("map",)))
    assert report.coverage == (
        "scored on 3 of 8 keyframes of mini_val (5 lack an image): not to be compared with numbers of the whole split"
    )
    assert not report.scored.scores.complete
    assert evaluated(keyframes, same, options=EvalOptions(("map",))).scored.scores.complete


def test_only_the_tasks_that_were_asked_for(keyframes: Keyframes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without boxes to score the devkit's tables are not even opened."""
    monkeypatch.setattr("bevdeploy.jobs.evaluation.open_tables", lambda *_: pytest.fail("tables were opened"))
    report = evaluated(keyframes, same, same, options=EvalOptions(("planning", "map")))
    assert {metric.task for metric in report.scored.scores.metrics} == {"map", "planning"}
    assert report.difference is not None
    assert {change.key.split("/")[0] for change in report.difference.changes} == {"map", "planning"}


def test_without_a_map_expansion_there_is_no_map_score(keyframes: Keyframes) -> None:
    """What a student predicts there is neither right nor wrong."""
    bare = replace(keyframes, index=replace(keyframes.index, maps={}))
    report = evaluated(bare, same, options=EvalOptions(("map",)))
    assert report.notes == ("no map expansion for 8 of 8 keyframes: no true map there",)
    assert [metric.value for metric in report.scored.scores.metrics] == [None] * 5


def test_outputs_that_are_not_finite_name_engine_and_sample(keyframes: Keyframes) -> None:
    def overflowing(result: BevResult) -> BevResult:
        return replace(result, map_probabilities=np.full_like(result.map_probabilities, np.nan))

    with pytest.raises(DataSetError, match=rf"ours\.onnx: sample {keyframes.tokens[0]}: map: a probability is NaN"):
        evaluated(keyframes, overflowing)


def test_an_engine_for_other_cameras_is_refused(keyframes: Keyframes) -> None:
    oracle = Oracle(keyframes)
    good = engine(keyframes, oracle)
    rig = good.pipeline.rig
    five = CameraRig(tuple(replace(each, name=f"OTHER_{n}") for n, each in enumerate(rig.cameras)))
    other = EvaluatedEngine(
        Path("five.onnx"), Pipeline(FakeRunner(oracle), replace(good.pipeline.contract, cameras=five.names), five),
        keyframes.index,
    )  # fmt: skip
    with pytest.raises(ContractError, match=r"five\.onnx: keyframe .*: the graph expects the cameras OTHER_0"):
        evaluate_opened([other], keyframes, EvalOptions())


def test_a_place_that_cannot_be_written_is_refused_before_the_work(keyframes: Keyframes, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    oracle = Oracle(keyframes)
    with pytest.raises(OutputError, match="file is not a folder"):
        evaluate_opened([engine(keyframes, oracle)], keyframes, EvalOptions(output=tmp_path / "file" / "out"))
    assert oracle.feeds == []


def test_missing_tables_are_one_error(keyframes: Keyframes, tmp_path: Path) -> None:
    moved_away = replace(keyframes, index=replace(keyframes.index, root=tmp_path))
    oracle = Oracle(keyframes)
    with pytest.raises(FrameSourceError, match="not a nuScenes root"):
        evaluate_opened([engine(keyframes, oracle)], moved_away, EvalOptions())
    assert oracle.feeds == []
