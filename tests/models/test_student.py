"""A student's forward: same outputs through both forms of the geometry, in a batch, at odd sizes; gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from bevdeploy.batch import StudentInputs
from bevdeploy.errors import ContractError
from bevdeploy.geometry import (
    BEVGrid,
    CameraRig,
    DepthBins,
    ViewGeometry,
    indices_from_rig,
    surround_rig,
    tables_from_rig,
)
from bevdeploy.models import Student, StudentOutputs, build_student
from bevdeploy.models.view_transform import ViewTransform
from bevdeploy.ops import PoolRanks, pool_ranks, pool_table_tensors

Inputs = Callable[..., StudentInputs]

RTOL_ORDER = 1e-4
"""Relative L2 of two forwards that add in another order. A rounding of 1e-7 grows through some 60 layers of untrained,
ill-conditioned weights; 2e-5 was the worst seen."""


def relative(got: torch.Tensor, want: torch.Tensor) -> float:
    got, want = got.detach().double(), want.detach().double()
    return float((got - want).norm() / (want - want.mean()).norm())


def assert_same(got: StudentOutputs, want: StudentOutputs) -> None:
    """All outputs; those in order of score by cell, since rounding may swap neighbours in that order."""
    for name in ("bev", "heatmap", "box_codes", "map_logits", "occupancy_logits", "plans"):
        assert relative(getattr(got, name), getattr(want, name)) < RTOL_ORDER, name
    for sample in range(len(want.agents)):
        ours, theirs = got.agents[sample].tolist(), want.agents[sample].tolist()
        common = [agent for agent in theirs if agent in ours]
        assert len(common) >= len(theirs) - 1  # the last may lie within rounding of the one behind it
        mine, yours = [ours.index(agent) for agent in common], [theirs.index(agent) for agent in common]
        for name in ("trajectory_offsets", "trajectory_logits"):
            assert relative(getattr(got, name)[sample, mine], getattr(want, name)[sample, yours]) < RTOL_ORDER, name


@torch.no_grad()
def test_ranks_and_tables_give_the_same_outputs(small: Student, inputs_of: Inputs, rig: CameraRig) -> None:
    inputs = inputs_of(small)
    tables = pool_table_tensors(tables_from_rig(rig, small.spec.geometry))
    assert_same(small(inputs._replace(pool=tables)), small(inputs))


@torch.no_grad()
def test_a_batch_of_two_is_two_batches_of_one(small: Student, inputs_of: Inputs, rig: CameraRig) -> None:
    both = inputs_of(small, 2)
    together = small(both)
    view = small.spec.geometry
    for k in range(2):
        turned = CameraRig(rig.cameras[k:] + rig.cameras[:k])
        alone = small(StudentInputs(both.images[k : k + 1], pool_ranks([indices_from_rig(turned, view)], view, 6)))
        assert_same(StudentOutputs(*(None if output is None else output[k : k + 1] for output in together)), alone)


@torch.no_grad()
def test_outputs_depend_on_images_and_on_geometry(small: Student, inputs_of: Inputs) -> None:
    """What every comparison in this file stands on."""
    first, both = inputs_of(small), inputs_of(small, 2)
    want = small(first)
    other_images = small(first._replace(images=both.images[1:]))
    other_rig = small(first._replace(images=first.images.roll(1, dims=1)))
    for name in ("bev", "heatmap", "box_codes", "map_logits", "occupancy_logits"):
        assert relative(getattr(other_images, name), getattr(want, name)) > 0.1, name
        assert relative(getattr(other_rig, name), getattr(want, name)) > 0.1, name


def test_gradients_reach_every_parameter(calibrated: Callable[..., Student], inputs_of: Inputs) -> None:
    """Fixed random weights in the sum: a plain sum over a normalised map is constant, whatever the parameters."""
    student = calibrated().train()
    outputs = student(inputs_of(student, 2))
    generator = torch.Generator().manual_seed(2)
    loss = sum(
        (output * torch.randn(output.shape, generator=generator)).mean()
        for output in outputs.present().values()
        if output.is_floating_point()
    )
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    dead = [name for name, p in student.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert dead == []
    assert all(bool(torch.isfinite(p.grad).all()) for p in student.parameters() if p.grad is not None)


def test_trajectories_teach_the_detection_head_through_the_agents(
    calibrated: Callable[..., Student], inputs_of: Inputs
) -> None:
    """The state of an agent is its box code and its score; both are gathered, neither is cut off."""
    student = calibrated().train()
    outputs = student(inputs_of(student))
    outputs.trajectory_offsets.square().sum().backward()
    groups = student.group_of_class[outputs.agents[0] // outputs.heatmap[0, 0].numel()].unique().tolist()
    for k, group in enumerate(student.detection.groups):
        reached = {name: any(bool(p.grad.any()) for p in branch.parameters()) for name, branch in group.items()}
        assert reached == dict.fromkeys(reached, k in groups), f"group {k}"
    assert not any(p.grad is not None and bool(p.grad.any()) for p in student.planning.parameters())


def test_ego_state_changes_the_plan_and_nothing_else(calibrated: Callable[..., Student], inputs_of: Inputs) -> None:
    student = calibrated(ego_state=True)
    inputs = inputs_of(student)
    with torch.no_grad():
        still = student(inputs._replace(ego_state=torch.zeros(1, 9)))
        fast = student(inputs._replace(ego_state=torch.full((1, 9), 3.0)))
    assert relative(fast.plans, still.plans) > 1e-3
    for name in still.present().keys() - {"plans"}:
        assert torch.equal(getattr(fast, name), getattr(still, name)), name


def test_a_student_with_ego_state_says_that_it_needs_one(calibrated: Callable[..., Student], inputs_of: Inputs) -> None:
    student = calibrated(ego_state=True)
    with torch.no_grad(), pytest.raises(ContractError, match=r"needs StudentInputs\.ego_state \[B, 9\]"):
        student(inputs_of(student))


@pytest.mark.parametrize("z_count", [1, 2, 3])
def test_a_tall_grid_is_splatted_alike_by_ranks_and_by_tables(z_count: int, rig: CameraRig) -> None:
    grid = BEVGrid((-24.0, -16.0, -5.0), (1.6, 1.6, 8.0 / z_count), (30, 20, z_count))
    view = ViewGeometry(grid, DepthBins(1.0, 25.0, 2.0), (128, 352), (8, 22))
    transform = ViewTransform(16, view.depth_bins.count, 5, z_count)
    generator = torch.Generator().manual_seed(4)
    depth, feat = transform.lift(torch.randn(6, 16, 8, 22, generator=generator), cameras=6)
    by_ranks = transform.splat(depth, feat, pool_ranks([indices_from_rig(rig, view)], view, 6))
    by_tables = transform.splat(depth, feat, pool_table_tensors(tables_from_rig(rig, view)))
    assert by_ranks.shape == by_tables.shape == (1, z_count * 5, 20, 30)
    torch.testing.assert_close(by_tables, by_ranks, rtol=1e-5, atol=1e-5)  # sums of up to some hundred products
    layers = by_tables.unflatten(1, (z_count, 5))
    assert all(bool(layers[:, z].any()) for z in range(z_count))


def test_the_depth_distribution_adds_up_to_one() -> None:
    transform = ViewTransform(8, 12, 4)
    depth, feat = transform.lift(torch.randn(12, 8, 3, 5), cameras=6)
    assert depth.shape == (2, 6, 12, 3, 5) and feat.shape == (2, 6, 3, 5, 4)
    torch.testing.assert_close(depth.sum(2), torch.ones(2, 6, 3, 5))


@torch.no_grad()
@pytest.mark.parametrize(
    ("arguments", "feature_hw", "side"),
    [
        ({"image_height_px": 100, "image_width_px": 250}, (7, 16), 64),
        ({"image_height_px": 33, "image_width_px": 65, "cell_m": 102.4 / 65}, (3, 5), 65),
        ({"image_height_px": 16, "image_width_px": 16, "cell_m": 12.8}, (1, 1), 8),
    ],
)
def test_odd_sizes_work(arguments: dict[str, float], feature_hw: tuple[int, int], side: int) -> None:
    student = build_student("tinybev_r18_small", arguments).eval()
    view = student.spec.geometry
    assert view.feature_hw == feature_hw
    indices: PoolRanks = pool_ranks([indices_from_rig(surround_rig(), view)], view, 6)
    outputs = student(StudentInputs(torch.randn(1, 6, 3, *view.net_hw), indices))
    assert outputs.bev.shape == (1, 64, side, side)
    assert outputs.occupancy_logits.shape == (1, 5, 50, 50)
    assert all(bool(torch.isfinite(output).all()) for output in outputs.present().values())


def test_calibration_is_repeatable_and_leaves_training_as_it_was(calibrated: Callable[..., Student]) -> None:
    first, second = calibrated(), calibrated()
    want = first.state_dict()
    assert all(torch.equal(value, want[key]) for key, value in second.state_dict().items())
    norms = [module for module in first.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms and all(norm.momentum == 0.1 and not norm.training for norm in norms)
    assert all(not torch.allclose(norm.running_var, torch.ones_like(norm.running_var)) for norm in norms)
