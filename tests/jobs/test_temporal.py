"""A temporal student in `eval`, `run` and `bench`: fed with the keyframe before, never with one of another scene."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("nuscenes") is None:
    pytest.skip("boxes are scored by nuscenes-devkit, which is not installed", allow_module_level=True)

from bevdeploy.data.augment import Augmentation
from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import SampleIndex, open_index
from bevdeploy.data.samples import Samples
from bevdeploy.data.world import WorldOptions, write_world
from bevdeploy.engines.bench import BenchSettings, bench
from bevdeploy.errors import TrainingError
from bevdeploy.export import TorchRunner, load_recipe
from bevdeploy.export.onnx_export import deploy_module, reference_contract
from bevdeploy.geometry import camera_parameters_of_rig
from bevdeploy.geometry.frames import invert
from bevdeploy.geometry.plane_motion import plane_motion
from bevdeploy.jobs.evaluate import evaluate_opened
from bevdeploy.jobs.evaluated_engine import EvaluatedEngine
from bevdeploy.jobs.evaluation import EvalOptions
from bevdeploy.jobs.frames import frame_source
from bevdeploy.jobs.keyframes import Keyframes, keyframes_of_split, rig_of_keyframe
from bevdeploy.jobs.plan_parity import plan_checks
from bevdeploy.jobs.run_frames import RunOptions, run_frames
from bevdeploy.models import Student
from bevdeploy.models.untrained import calibrate_norms, untrained_student
from bevdeploy.runtime import Pipeline
from bevdeploy.train import Progress, TaskObjective, TrainConfig, fabric_of, fit
from bevdeploy.train.previous_frames import motions, parameters_of_view

TINY = {"image_height_px": 64, "image_width_px": 192, "cell_m": 6.4, "depth_step_m": 4.0, "width": 8}
KEYFRAMES = 4
"""Of each of the two scenes."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> SampleIndex:
    root = tmp_path_factory.mktemp("temporal") / "world"
    write_world(root, WorldOptions(scenes=2, keyframes=KEYFRAMES, width_px=64, height_px=36, seed=3))
    return open_index(build_index(root), root=root)


@pytest.fixture(scope="module")
def every(index: SampleIndex) -> Keyframes:
    """Both scenes, one after the other."""
    rows = tuple(range(len(index.arrays.token)))
    return Keyframes(index, "all", rows, len(rows), 0)


@pytest.fixture(scope="module")
def student(every: Keyframes) -> Student:
    import torch

    made = untrained_student("bevdepth_r50", TINY, 0)
    images = torch.randn(6, 3, 64, 192, generator=torch.Generator().manual_seed(1))
    calibrate_norms(made, [images, images.flip(0)], rig_of_keyframe(every.index, 0))
    return made


class Watched:
    """A runner that keeps the state it was fed with."""

    def __init__(self, runner: TorchRunner) -> None:
        self.runner = runner
        self.fed: list[dict[str, Any]] = []

    def info(self) -> Any:
        return self.runner.info()

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        outputs = self.runner.run(feeds)
        names = ("previous_bev", "previous_from_current")
        self.fed.append({**{name: feeds[name].copy() for name in names}, "bev_state": outputs["bev_state"].copy()})
        return outputs

    def profile(self, feeds: Any, frames: int) -> list[Any]:
        return []


@pytest.fixture
def pipeline(student: Student, every: Keyframes) -> Pipeline:
    rig = rig_of_keyframe(every.index, 0)
    contract = reference_contract(student, load_recipe("bevdepth_r50"), rig, "frames")
    return Pipeline(Watched(TorchRunner(deploy_module(student, contract), contract)), contract, rig)


def check_fed(fed: list[dict[str, Any]], index: SampleIndex, rows: tuple[int, ...]) -> None:
    """Each row with the state and the motion of the row before, zeros at the start of a scene."""
    for k, row in enumerate(rows):
        before = int(index.arrays.previous[row])
        if before < 0:
            assert not fed[k]["previous_bev"].any()
            assert np.array_equal(fed[k]["previous_from_current"][0], np.eye(3)[:2])
            continue
        assert np.array_equal(fed[k]["previous_bev"], fed[rows.index(before)]["bev_state"])
        poses = index.arrays.global_from_ego
        want = plane_motion(invert(np.array(poses[before])) @ np.array(poses[row]))
        np.testing.assert_allclose(fed[k]["previous_from_current"][0], want, atol=1e-4)


def test_eval_feeds_the_keyframe_before_and_starts_each_scene_anew(pipeline: Pipeline, every: Keyframes) -> None:
    engine = EvaluatedEngine(Path("s.onnx"), pipeline, every.index)
    report = evaluate_opened([engine], every, EvalOptions(tasks=("detection",)))
    check_fed(pipeline.runner.fed, every.index, every.rows)  # type: ignore[attr-defined]
    assert engine.first_frames == 2
    assert any("2 of 8 keyframes were seen without an earlier one" in note for note in report.notes)


def test_a_keyframe_out_of_order_is_seen_as_it_was_in_order(pipeline: Pipeline, every: Keyframes) -> None:
    engine = EvaluatedEngine(Path("s.onnx"), pipeline, every.index)
    in_order = {row: engine.run(row, frame_set) for row, frame_set in every}
    for row in (2, every.rows[-1], 0):
        again = engine.run_again(row, every.frame_set(row), every)
        assert np.array_equal(again.scores, in_order[row].scores), row
        assert np.array_equal(again.boxes, in_order[row].boxes), row
    alone = engine.pipeline.infer(every.frame_set(2).frames)
    assert not np.array_equal(alone.scores, in_order[2].scores)


def test_run_remembers_along_a_nuscenes_root(pipeline: Pipeline, index: SampleIndex, tmp_path: Path) -> None:
    source = frame_source(index.root, None, ego_motion=True)
    report = run_frames(pipeline, Path("s.onnx"), source, tmp_path, RunOptions(pictures=False))
    rows = tuple(range(2 * KEYFRAMES))
    check_fed(pipeline.runner.fed, index, rows)  # type: ignore[attr-defined]
    lines = [json.loads(line) for line in report.results_file.read_text().splitlines()]
    ages_s = [line["previous_age_s"] for line in lines]
    assert ages_s[0] is None and ages_s[KEYFRAMES] is None
    assert all(age_s == pytest.approx(0.5, abs=0.05) for k, age_s in enumerate(ages_s) if k % KEYFRAMES)


def test_bench_is_of_frames_that_remember(pipeline: Pipeline, every: Keyframes) -> None:
    frames = every.frame_set(0).frames
    bench(pipeline, [frames], BenchSettings(frames=5, seconds=0.0, warmup_frames=2, warmup_seconds=0.0))
    fed = pipeline.runner.fed  # type: ignore[attr-defined]
    assert not fed[0]["previous_bev"].any() and len(fed) == 7
    for before, now in pairwise(fed):
        assert np.array_equal(now["previous_bev"], before["bev_state"])
        np.testing.assert_allclose(now["previous_from_current"], [[[1, 0, 4.0], [0, 1, 0]]], atol=1e-5)


def test_plans_are_compared_in_motion(pipeline: Pipeline, every: Keyframes) -> None:
    """`build` compares a plan with its ONNX file under an earlier BEV; a runner that loses it is found out."""
    from bevdeploy.jobs.plan_parity import gates_of_student

    runner, contract, rig = pipeline.runner, pipeline.contract, pipeline.rig
    gates = gates_of_student("bevdepth_r50", "fp32")

    class Forgetful(Watched):
        def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
            return super().run({**feeds, "previous_bev": np.zeros_like(feeds["previous_bev"])})

    same = plan_checks(runner, runner, contract, rig, gates)
    assert all(check.passed for check in same) and any(check.output == "bev_state" for check in same)
    forgetful = Forgetful(runner.runner)  # type: ignore[attr-defined]
    assert not all(check.passed for check in plan_checks(forgetful, runner, contract, rig, gates))


def test_limited_keyframes_of_one_scene(index: SampleIndex) -> None:
    """The default split's frame sets carry pose and scene."""
    keyframes = keyframes_of_split(index, None, 2)
    sets = [keyframes.frame_set(row) for row in keyframes.rows]
    assert len({each.scene for each in sets}) == 1 and sets[0].scene
    for row, each in zip(keyframes.rows, sets, strict=True):
        assert each.global_from_ego is not None
        assert np.array_equal(each.global_from_ego, index.arrays.global_from_ego[row])


def test_training_samples_bring_the_frame_before_under_one_augmentation(index: SampleIndex, student: Student) -> None:
    """A point that stands still on the ground is where the batch's motion says; cameras keep their numbers."""
    samples = Samples(
        index,
        student.spec.tasks,
        student.spec.geometry,
        previous=True,
        augmentation=Augmentation(bev_translation_m=0.5),
        seed=4,
    )
    chosen = [samples[k] for k in range(KEYFRAMES)]
    moves = motions(chosen).numpy()
    poses = index.arrays.global_from_ego
    assert chosen[0].previous is None and np.array_equal(moves[0], np.eye(3)[:2])
    for k, sample in enumerate(chosen):
        plain = camera_parameters_of_rig(rig_of_keyframe(index, k), student.spec.geometry.net_hw)
        got = parameters_of_view(sample.view, sample)
        np.testing.assert_allclose(got[:, :4], plain[:, :4], rtol=1e-4)
        np.testing.assert_allclose(got[:, 15:], plain[:, 15:], atol=1e-4)
        assert np.abs(got[:, 4:10] - plain[:, 4:10]).max() > 1  # the images are augmented
        if k == 0:
            continue
        on_ground = np.array([*(np.array(poses[k]) @ [12.0, -7.0, 0, 1])[:3], 1])  # [4], global
        now, then = (sample.bev_from_ego @ invert(np.array(poses[row])) @ on_ground for row in (k, k - 1))
        np.testing.assert_allclose(moves[k] @ [*now[:2], 1], then[:2], atol=0.1)


def test_a_few_steps_on_the_world(index: SampleIndex) -> None:
    student = untrained_student("bevdepth_r50", TINY, 1)
    config = TrainConfig(steps=4, batch=2, learning_rate=1e-3, warmup_steps=1, log_every=1, ema_decay=0.0)
    source = Samples(
        index, student.spec.tasks, student.spec.geometry, previous=True, lidar_sweeps=1, augmentation=Augmentation()
    )
    rows: list[Any] = []
    objective = TaskObjective(config.weights)
    fit(fabric_of(config, "cpu"), student, objective, source, config, progress=Progress(on_row=rows.append))
    assert len(rows) == 4 and set(rows[-1].terms) == {"heatmap", "boxes", "depth"}
    bare = Samples(index, student.spec.tasks, student.spec.geometry)
    with pytest.raises(TrainingError, match="previous=True"):
        fit(fabric_of(config, "cpu"), student, objective, bare, config)
