"""TinyBEV: stages, region weights against loops, responses of every task by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch

from bevdeploy.distill import DistillTruth, TapForm, Taps, build_distiller
from bevdeploy.distill.motion_response import motion_terms, nearest_modes
from bevdeploy.distill.plan_response import ego_points_m, occupied_share, plan_error
from bevdeploy.distill.planes import Plane, occupancy_plane
from bevdeploy.distill.region_weight import disagreement, normalised, path_distance_m, teacher_regions
from bevdeploy.distill.schedule import Stage, ramped, stage_at
from bevdeploy.distill.soft_masks import soft_dice, weighted_cross_entropy
from bevdeploy.distill.teacher_boxes import ScoredBoxes, matched, scored_boxes
from bevdeploy.distill.tinybev import STAGES, TinyBEV, TinyBEVSettings
from bevdeploy.models import Student
from bevdeploy.tasks import TaskSpec

Teachers = Callable[..., tuple[TapForm, Taps]]
FEATURE_TERMS = {"feature", "attention"}


def surer_student(tapped: Taps, generator: torch.Generator) -> Taps:
    """A teacher that detects what the student detects, with high scores, and says something else about all of it."""
    taps = tapped.detached()
    features = {name: x + torch.randn(x.shape, generator=generator) for name, x in taps.features.items()}
    shifts = {"heatmap": 4.0, "map_logits": 1.0, "occupancy_logits": 3.0, "trajectory_offsets": 0.5, "plans": 1.0}
    outputs = {name: x + shifts.get(name, 0) for name, x in taps.outputs.items()}
    outputs["box_codes"] = outputs["box_codes"] + torch.tensor([0, 0, 1.0, 0, 0, 0, 0, 0, 0, 0])[:, None, None]
    outputs["trajectory_logits"] = outputs["trajectory_logits"].flip(-1) + torch.arange(6)
    return Taps(features, outputs)


def test_stages(form: TapForm, tapped: Taps, truth: DistillTruth, generator: torch.Generator) -> None:
    """Features alone, then tasks and outputs, then all; every term is there in every stage, so are its gradients."""
    teacher_form, taps = form, surer_student(tapped, generator)
    distiller = TinyBEV(form, teacher_form)
    assert [distiller.task_weight(progress) for progress in (0.0, 0.28, 0.29, 0.56, 0.58, 1.0)] == [0, 0, 1, 1, 1, 1]
    first, second, third = (distiller(tapped, taps, truth, progress) for progress in (0.1, 0.4, 0.9))
    assert first.keys() == second.keys() == third.keys()
    for name in first:
        feature = name in FEATURE_TERMS
        assert (first[name] > 0) == feature and (second[name] > 0) == (not feature), name
        assert third[name] > 0 and first[name].requires_grad
    assert third["detection.heatmap"].item() == pytest.approx(second["detection.heatmap"].item() / 2, rel=1e-5)
    whole = build_distiller("tinybev", form, teacher_form, {"staged": False})
    assert whole.task_weight(0.0) == 1 and whole(tapped, taps, truth, 0.0)["plan.error"] > 0


def test_weighted_terms_are_the_formula(
    form: TapForm, tapped: Taps, truth: DistillTruth, generator: torch.Generator
) -> None:
    """Features, map and occupancy of the third stage, cells weighted one by one."""
    taps = surer_student(tapped, generator)
    distiller = TinyBEV(form, form)
    distiller(tapped, taps, truth, 0.9)
    distiller.eval()
    terms = distiller(tapped, taps, truth, 0.9)
    neck = taps.feature("bev_neck")
    target = (neck - distiller.standardise.mean[:, None, None]) / distiller.standardise.variance.sqrt()[:, None, None]
    adapted = distiller.adapter(tapped.feature("bev_neck"))
    weight = distiller.region_weight(taps, tapped, truth, distiller.drawn_boxes(taps))
    weight = normalised(weight * (1 + 0.9 * disagreement(adapted, target)))  # [B, 1, 16, 16]
    feature = sum(
        float(weight[b, 0, y, x]) * ((target - adapted)[b, :, y, x] ** 2).mean().item()
        for b in range(2)
        for y in range(16)
        for x in range(16)
    )
    assert terms["feature"].item() == pytest.approx(feature / 512, rel=1e-4)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    mapped = sum(
        float(weight[b, 0, y, x])
        * entropy(tapped.output("map_logits")[b, :, y, x], taps.output("map_logits")[b, :, y, x].sigmoid()).item()
        for b in range(2)
        for y in range(16)
        for x in range(16)
    )
    assert terms["map.cross_entropy"].item() == pytest.approx(0.5 * mapped / 512, rel=1e-4)
    there = distiller.to_occupancy(weight)  # [B, 1, 50, 50]
    ours, theirs = tapped.output("occupancy_logits"), taps.output("occupancy_logits").sigmoid()
    occupied = 0.0
    for b in range(2):
        share = there[b, 0] / there[b, 0].mean()
        for step in range(5):
            losses = entropy(ours[b, step], theirs[b, step], reduction="none")
            occupied += 0.95**step * (share * losses).mean().item() / 10
    assert terms["occupancy.cross_entropy"].item() == pytest.approx(0.5 * occupied, rel=1e-4)


def test_stage_borders() -> None:
    stages = (Stage(1, 0, 1, 0, False), Stage(3, 1, 0, 1, False))
    assert [stage_at(stages, p) is stages[0] for p in (0, 0.2499, 0.25, 1.0)] == [True, True, False, False]
    assert sum(stage.share for stage in STAGES) == 28
    assert [ramped(p, 0.5) for p in (0, 0.25, 0.5, 1)] == [0, 0.5, 1, 1] and ramped(0, 0) == 1


def test_a_teacher_of_fewer_tasks(
    student: Student, form: TapForm, tapped: Taps, teacher_of: Teachers, truth: DistillTruth
) -> None:
    teacher_form, taps = teacher_of(student)
    few = TapForm(
        {"bev_neck": teacher_form.features["bev_neck"]}, frozenset({"map_logits"}), teacher_form.grid, form.tasks
    )
    lean = Taps({"bev_neck": taps.feature("bev_neck")}, {"map_logits": taps.output("map_logits")})
    terms = TinyBEV(form, few, TinyBEVSettings(tasks=("map",)))(tapped, lean, truth, 1.0)
    assert set(terms) == {*FEATURE_TERMS, "map.cross_entropy", "map.dice"}
    none = TinyBEV(form, few, TinyBEVSettings(tasks=()))(tapped, lean, truth, 1.0)
    assert set(none) == FEATURE_TERMS


def test_region_weights_are_those_of_a_loop(generator: torch.Generator) -> None:
    plane = Plane((-6.0, -4.0), (1.0, 1.0), (12, 8))
    objects = torch.rand(2, 3, 8, 12, generator=generator)
    maps = torch.rand(2, 4, 8, 12, generator=generator)
    paths = torch.tensor([[[[2.0, 0.0], [4.0, 1.0], [4.0, 3.0]]], [[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]]])
    regions = teacher_regions(plane, objects, maps, paths)
    assert isinstance(regions, torch.Tensor)
    for b in range(2):
        points = [(0.0, 0.0), *map(tuple, paths[b, 0].tolist())]
        for row in range(8):
            for column in range(12):
                x, y = -6 + column + 0.5, -4 + row + 0.5
                fine = [
                    (ax + (bx - ax) * t / 400, ay + (by - ay) * t / 400)
                    for (ax, ay), (bx, by) in itertools.pairwise(points)
                    for t in range(401)
                ]
                d = min(math.hypot(x - px, y - py) for px, py in fine)
                seen = 4 * float(objects[b, :, row, column].max()) + float(maps[b, :, row, column].max())
                want = 1 + seen + 2 * math.exp(-(d**2) / 8)
                assert regions[b, 0, row, column].item() == pytest.approx(want, abs=2e-3)
    assert teacher_regions(plane, None, None, None) == 1.0
    assert torch.allclose(normalised(regions).mean((1, 2, 3)), torch.ones(2), atol=1e-5)


def test_distance_to_a_straight_path() -> None:
    plane = Plane((0.0, -2.0), (1.0, 1.0), (4, 4))
    path = torch.tensor([[[[2.0, 0.0]]]])
    distance = path_distance_m(plane, path)[0, 0]
    assert distance[1].tolist() == pytest.approx([0.5, 0.5, math.hypot(0.5, 0.5), math.hypot(1.5, 0.5)])


def test_disagreement_grows_with_the_gap_and_ends_at_one(generator: torch.Generator) -> None:
    theirs = torch.randn(1, 4, 5, 5, generator=generator)
    ours = theirs.clone()
    assert disagreement(ours, theirs).abs().max() == 0
    ours[0, :, 2, 2] += 3
    ours[0, :, 1, 1] += 0.01
    r = disagreement(ours, theirs)[0, 0]
    assert r[2, 2] == 1 and 0 < r[1, 1] < 0.2 and r[0, 0] == 0


def test_attention_to_disagreement_rises_over_the_training(
    student: Student, form: TapForm, tapped: Taps, teacher_of: Teachers, truth: DistillTruth
) -> None:
    """W grows where the student is worse, so the weighted error grows with b."""
    teacher_form, taps = teacher_of(student)
    distiller = build_distiller("tinybev", form, teacher_form, {"staged": False}).eval()
    errors = [distiller(tapped, taps, truth, progress)["feature"].item() for progress in (0.0, 0.5, 1.0)]
    assert errors[0] < errors[1] < errors[2]


def boxes_at(centres: list[list[float]], labels: list[int], scores: list[float]) -> ScoredBoxes:
    boxes = torch.zeros(1, len(centres), 9)
    boxes[0, :, :2] = torch.tensor(centres)
    return ScoredBoxes(boxes, torch.tensor([labels]), torch.tensor([scores]))


def test_matches_are_near_sure_and_of_one_class() -> None:
    ours = boxes_at([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0], [30.0, 0.0]], [0, 0, 1, 0], [0.9] * 4)
    theirs = boxes_at([[1.5, 0.0], [0.5, 0.0], [13.0, 0.0], [20.0, 0.0], [30.0, 0.0]], [0, 1, 0, 0, 0],
                      [0.5, 0.9, 0.9, 0.9, 0.2])  # fmt: skip
    index, found = matched(ours, theirs, 2.0)
    assert found.tolist() == [[True, False, False, False]] and int(index[0, 0]) == 0


def test_motion_terms_by_hand() -> None:
    """One match; teacher modes in another order than the student's; a second detection matches nothing."""
    ours = boxes_at([[0.0, 0.0], [40.0, 0.0]], [0, 0], [0.9, 0.9])
    theirs = boxes_at([[0.2, 0.0]], [0], [0.8])
    straight, left = torch.tensor([[1.0, 0.0]] * 3), torch.tensor([[0.0, 1.0]] * 3)
    student_steps = torch.stack([straight, left]).expand(1, 2, 2, 3, 2).clone()
    teacher_steps = torch.stack([left + 0.1, straight])[None, None]
    assert nearest_modes(student_steps[:, :1], teacher_steps).tolist() == [[[1, 0]]]
    logits = torch.tensor([[[0.0, 0.0], [9.0, 0.0]]])
    taught = torch.tensor([[[math.log(0.9), math.log(0.1)]]])
    student = Taps({}, {"trajectory_offsets": student_steps, "trajectory_logits": logits})
    teacher = Taps({}, {"trajectory_offsets": teacher_steps, "trajectory_logits": taught})
    offsets, modes = motion_terms(student, teacher, ours, theirs)
    assert offsets.item() == pytest.approx(0.9 * 0.1, rel=1e-5)
    assert modes.item() == pytest.approx(0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5), rel=1e-5)
    both = Taps({}, {"trajectory_offsets": left.expand(1, 1, 2, 3, 2), "trajectory_logits": taught})
    _, modes = motion_terms(student, both, ours, theirs)
    assert modes.item() == pytest.approx(math.log(1 / 0.5), rel=1e-5), "two modes that mean one add up"
    nothing = motion_terms(student, teacher, ours, boxes_at([[9.0, 9.0]], [0], [0.8]))
    assert [term.item() for term in nothing] == [0, 0]


def test_scored_boxes_are_those_of_the_agents(student: Student, form: TapForm, tapped: Taps) -> None:
    found = scored_boxes(tapped, form)
    heatmap, codes = tapped.output("heatmap"), tapped.output("box_codes")
    groups = form.tasks.group_of_class
    for sample in range(2):
        for k, agent in enumerate(tapped.output("agents")[sample].tolist()):
            label, cell = divmod(agent, 256)
            row, column = divmod(cell, 16)
            code = codes[sample, groups[label], :, row, column].detach()
            x = -51.2 + 6.4 * (column + float(code[0]))
            assert found.labels[sample, k] == label
            assert found.boxes[sample, k, 0].item() == pytest.approx(x, abs=1e-4)
            assert found.boxes[sample, k, 4].item() == pytest.approx(math.exp(float(code[4])), rel=1e-4)
            assert found.scores[sample, k].item() == pytest.approx(heatmap[sample, label, row, column].sigmoid().item())
    unnamed = Taps(tapped.features, {k: v for k, v in tapped.outputs.items() if k != "agents"})
    assert torch.equal(scored_boxes(unnamed, form).labels, found.labels)


def test_plans_are_pushed_out_of_occupied_cells() -> None:
    tasks = TaskSpec()
    plane = occupancy_plane(tasks)
    occupancy = torch.zeros(1, 5, 200, 200)
    occupancy[0, 1, :, 120:] = torch.linspace(0, 1, 80)  # 0.5 s from now, rising ahead of x = 10 m
    plans = torch.zeros(1, 1, 6, 2)
    plans[0, 0, :, 0] = torch.arange(1, 7) * 20.0
    plans.requires_grad_(True)
    share = occupied_share(plans, occupancy, plane, tasks)
    (gradient,) = torch.autograd.grad(share, plans)
    assert share > 0 and gradient[0, 0, 0, 0] > 0 and gradient[0, 0, 1:].abs().sum() == 0
    still = torch.zeros(1, 1, 6, 2)
    assert occupied_share(still, occupancy, plane, tasks) == 0
    no_common = TaskSpec(occupancy_steps_s=(0.0,))
    assert occupied_share(plans, occupancy[:, :1], plane, no_common).item() == 0
    assert plan_error(plans, plans.detach() + 2).item() == pytest.approx(2)


def test_the_footprint_follows_the_plan() -> None:
    points = ego_points_m(torch.tensor([[[[0.0, 5.0], [0.0, 5.01]]]]))[0, 0]
    moving, still = points[0], points[1]
    assert moving.mean(0).tolist() == pytest.approx([0.0, 5 + 0.985], abs=1e-5), "drives along y"
    assert float(moving[:, 1].amax() - moving[:, 1].amin()) == pytest.approx(4.084, abs=1e-4)
    assert float(still[:, 0].amax() - still[:, 0].amin()) == pytest.approx(4.084, abs=1e-4), "keeps the ego heading"


def test_soft_mask_losses(generator: torch.Generator) -> None:
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    probabilities = torch.rand(2, 3, 4, 5, generator=generator)
    weight = torch.rand(2, 1, 4, 5, generator=generator)
    p = logits.double().sigmoid()
    entropy = -(probabilities * p.log() + (1 - probabilities) * (1 - p).log())
    assert weighted_cross_entropy(logits, probabilities, weight).item() == pytest.approx(
        (entropy * weight).mean().item(), rel=1e-5
    )
    assert soft_dice(logits, logits.sigmoid()).item() == pytest.approx(0, abs=1e-6)
    assert soft_dice(logits, 1 - logits.sigmoid()) > 0.1
