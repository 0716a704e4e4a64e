"""Targets of a whole keyframe, and the objective: every head hears from its term, and the student stays what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bevdeploy.models import Student
from bevdeploy.runtime.postprocess import result_from_dense
from bevdeploy.train import TaskObjective, TaskWeights, TrainBatch
from bevdeploy.train.batch import train_batch
from bevdeploy.train.depth_loss import tapped_depth
from bevdeploy.train.detection_targets import CentreRule
from bevdeploy.train.targets import targets_of
from bevdeploy.train.task_objective import agent_positions_m

StreetOf = Callable[[Student, int], Any]
NOTHING = dict.fromkeys(vars(TaskWeights()), 0.0)
HEADS = {
    "heatmap": "detection",
    "boxes": "detection",
    "map": "map",
    "occupancy": "occupancy",
    "motion": "motion",
    "modes": "motion",
    "plan": "planning",
    "collision": "planning",
    "depth": "view_transform",
}


def batch_of(student: Student, source: Any, count: int = 2) -> TrainBatch:
    samples = [source.sample(k) for k in range(count)]
    return train_batch(samples, [targets_of(each, student.spec, CentreRule()) for each in samples], student.spec)


def test_futures_are_relative_and_only_of_boxes_that_count(tiny: Student, street_of: StreetOf) -> None:
    sample = street_of(tiny, 1).sample(0)
    points = sample.truth.points.copy()
    points[::2] = 0
    valid = sample.truth.futures_valid.copy()
    valid[1, 3] = False
    truth = replace(sample.truth, points=points, futures_valid=valid)
    targets = targets_of(replace(sample, truth=truth), tiny.spec, CentreRule())
    assert 4 < len(targets.boxes) < len(points) / 2 + 1
    inside = np.abs(truth.boxes[:, :2]).max(1) < 51.2
    counted = truth.boxes[(points > 0) & inside]
    np.testing.assert_array_equal(targets.boxes, counted)
    step_s = tiny.spec.tasks.step_s
    np.testing.assert_allclose(targets.futures_m[2, 5], 6 * step_s * np.nan_to_num(counted[2, 7:9]), atol=1e-4)
    assert not targets.futures_m[0, 3].any() and not targets.futures_valid[0, 3] and targets.futures_valid[0, 4]


def test_padding_adds_no_box(tiny: Student, street_of: StreetOf) -> None:
    batch = batch_of(tiny, street_of(tiny, 3), 3)
    counts = (batch.targets.labels >= 0).sum(1)
    assert len(set(counts.tolist())) > 1
    for k, count in enumerate(counts.tolist()):
        assert not batch.targets.futures_valid[k, count:].any()
    grid, groups = tiny.spec.geometry.grid.shape_zyx, len(tiny.spec.tasks.detection_tasks)
    samples = batch.targets.cells // (groups * grid[1] * grid[2])
    assert samples.unique().tolist() == [0, 1, 2] and samples.diff().min() >= 0


@pytest.mark.parametrize("term", HEADS)
def test_each_term_reaches_its_head_and_the_backbone(tiny: Student, street_of: StreetOf, term: str) -> None:
    batch = batch_of(tiny, street_of(tiny, 2))
    if term in ("motion", "modes"):  # no agent of an untrained student lies near a box; these do by chance of many
        boxes = batch.targets.boxes.clone()
        outputs = tiny(batch.inputs())
        boxes[:, :10, :2] = agent_positions_m(tiny, outputs)[:, :10]
        batch = batch._replace(targets=batch.targets._replace(boxes=boxes))
    if term == "collision":
        boxes = torch.zeros_like(batch.targets.boxes) + torch.tensor([2.0, 0, 0, 2, 4, 1, 0, 0, 0])
        batch = batch._replace(targets=batch.targets._replace(boxes=boxes))
    terms = TaskObjective(TaskWeights(**{**NOTHING, term: 1.0})).terms(tiny, batch)
    assert terms[term].ndim == 0 and float(terms[term].detach()) > 0
    terms[term].backward()
    reached = {name.split(".")[0] for name, p in tiny.named_parameters() if p.grad is not None and p.grad.any()}
    assert {HEADS[term], "image_encoder"} <= reached
    if term in ("heatmap", "boxes", "map", "occupancy", "plan", "depth"):
        others = set(HEADS.values()) - {HEADS[term], "view_transform"}
        assert not others & reached


def test_weights_scale_their_terms(tiny: Student, street_of: StreetOf) -> None:
    batch = batch_of(tiny, street_of(tiny, 1), 1)
    tiny.eval()
    with torch.no_grad():
        once = TaskObjective(TaskWeights(**dict.fromkeys(NOTHING, 1.0))).terms(tiny, batch)
        thrice = TaskObjective(TaskWeights(**dict.fromkeys(NOTHING, 3.0))).terms(tiny, batch)
    assert list(once) == list(NOTHING)
    for name in once:
        assert thrice[name].item() == pytest.approx(3 * once[name].item(), rel=1e-6)


def test_without_lidar_there_is_no_depth_term(tiny: Student, street_of: StreetOf) -> None:
    source = street_of(tiny, 2)
    source.samples[1] = replace(source.samples[1], points=np.zeros((0, 5), np.float32))
    batch = batch_of(tiny, source)
    assert batch.targets.depth_bins is None
    assert "depth" not in TaskObjective(TaskWeights()).terms(tiny, batch)


def test_the_tap_leaves_the_student_as_it_was(tiny: Student, street_of: StreetOf) -> None:
    batch = batch_of(tiny, street_of(tiny, 1), 1)
    tiny.eval()
    keys = list(tiny.state_dict())
    with torch.no_grad():
        before = tiny(batch.inputs())
        with tapped_depth(tiny) as logits:
            during = tiny(batch.inputs())
        after = tiny(batch.inputs())
        features = tiny.image_encoder(batch.inputs().images.flatten(0, 1))
        depth, _ = tiny.view_transform.lift(features, 6)
    for name, value in before.present().items():
        assert torch.equal(getattr(during, name), value) and torch.equal(getattr(after, name), value), name
    assert len(logits) == 1 and list(tiny.state_dict()) == keys
    assert torch.equal(logits[0].softmax(1).reshape(depth.shape), depth)
    assert not tiny.view_transform.depth_context._forward_hooks


def test_agents_stand_where_the_runtime_decodes_them(tiny: Student, street_of: StreetOf) -> None:
    batch = batch_of(tiny, street_of(tiny, 1), 1)
    tiny.eval()
    with torch.no_grad():
        outputs = tiny(batch.inputs())

    class Contract:
        tasks, geometry = tiny.spec.tasks, tiny.spec.geometry

    result = result_from_dense({key: value.numpy() for key, value in outputs.present().items()}, Contract())  # type: ignore[arg-type]
    np.testing.assert_allclose(agent_positions_m(tiny, outputs)[0].numpy(), result.boxes[:, :2], atol=1e-4)
