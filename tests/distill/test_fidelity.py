"""What the methods promise on paper, checkable without data: shapes, bounds, routes of gradients, masks, thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bevdeploy.distill import DistillTruth, TapForm, Taps, student_form
from bevdeploy.distill.adapters import UpsampleConvolutions, UpsamplePointwise
from bevdeploy.distill.aoa import AttentionOrthogonalAlignment
from bevdeploy.distill.assistant import ChainAssistant, FuserAssistant
from bevdeploy.distill.attention import channel_attention, spatial_attention
from bevdeploy.distill.bridgeta import BridgeTA, BridgeTASettings
from bevdeploy.distill.cross_attention import CrossAttentionProjector
from bevdeploy.distill.dual_path import coefficients, dual_path, tightest_eps, young_bound
from bevdeploy.distill.orthogonal import OrthogonalProjector
from bevdeploy.distill.planes import Plane
from bevdeploy.distill.pseudo_boxes import BoxRule, pseudo_boxes
from bevdeploy.distill.region_maps import region_maps
from bevdeploy.models import Student
from bevdeploy.tasks import TaskSpec


def parameter_count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


Teachers = Callable[..., tuple[TapForm, Taps]]


@torch.no_grad()
def test_shapes_dualdistill() -> None:
    """Its student's to its teacher's features, and the published sizes of the adapters: 2.00, 6.17 and 0.10 M."""
    first = AttentionOrthogonalAlignment(256, 128, (32, 32), (128, 128))
    second = AttentionOrthogonalAlignment(512, 256, (16, 16), (64, 64))
    neck = UpsamplePointwise(256, 384, (128, 128))
    assert first(torch.randn(1, 256, 32, 32)).shape == (1, 128, 128, 128)
    assert second(torch.randn(1, 512, 16, 16)).shape == (1, 256, 64, 64)
    assert neck(torch.randn(1, 256, 128, 128)).shape == (1, 384, 128, 128)
    assert parameter_count(first) / 1e6 == pytest.approx(2.00, abs=0.005)
    assert parameter_count(second) / 1e6 == pytest.approx(6.17, abs=0.005)
    assert parameter_count(neck) / 1e6 == pytest.approx(0.10, abs=0.005)


@torch.no_grad()
def test_shapes_distillbev() -> None:
    adapter = UpsampleConvolutions(256, 128, (128, 128))
    assert adapter(torch.randn(1, 256, 32, 32)).shape == (1, 128, 128, 128)
    assert UpsampleConvolutions(512, 256, (64, 64))(torch.randn(1, 512, 16, 16)).shape == (1, 256, 64, 64)
    assert [m.out_channels for m in adapter.modules() if isinstance(m, torch.nn.Conv2d)] == [256, 256, 128]


@torch.no_grad()
@pytest.mark.parametrize(("kind", "millions"), [(ChainAssistant, 2.5), (FuserAssistant, 1.3)])
def test_shapes_bridgeta(kind: type[ChainAssistant] | type[FuserAssistant], millions: float) -> None:
    """BEVFusion's features, 256 and 512 channels against 80 and 256, at a quarter of its 128 x 128 cells."""
    assistant = kind((256, 80), (512, 256), 128, {"map_logits": 6})
    teacher = torch.randn(1, 256, 32, 32), torch.randn(1, 512, 32, 32)
    student = torch.randn(1, 80, 32, 32), torch.randn(1, 256, 32, 32)
    levels = assistant(teacher, student)
    assert levels.low.shape == levels.high.shape == (1, 128, 32, 32)
    assert levels.outputs["map_logits"].shape == (1, 6, 32, 32)
    assert parameter_count(assistant) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("eps", [0.1, 1.0, 10.0])
def test_young_bound(eps: float, generator: torch.Generator) -> None:
    teacher, assistant, student = (torch.randn(64, generator=generator, dtype=torch.float64) for _ in range(3))

    def squared(a: Tensor, b: Tensor) -> Tensor:
        return ((a - b) ** 2).sum()

    direct = squared(teacher, student)
    assert young_bound(squared(teacher, assistant), squared(assistant, student), eps) >= direct
    best = (eps * teacher + student) / (1 + eps)
    equal = young_bound(squared(teacher, best), squared(best, student), eps)
    assert equal.item() == pytest.approx(direct.item(), rel=1e-5)
    tight = young_bound(
        squared(teacher, best), squared(best, student), tightest_eps(squared(teacher, best), squared(best, student))
    )
    assert tight.item() == pytest.approx(((teacher - best).norm() + (best - student).norm()).item() ** 2, rel=1e-5)


@pytest.mark.parametrize("eps", [0.1, 0.5, 1.0, 2.0, 10.0])
def test_normalised_coefficients(eps: float) -> None:
    assert sum(coefficients(eps)) == pytest.approx(1)
    one, two = torch.tensor(3.0), torch.tensor(5.0)
    assert dual_path(one, two, eps).item() == pytest.approx(young_bound(one, two, eps).item() * eps / (1 + eps) ** 2)


@pytest.mark.parametrize("assistant", ["chain", "fusers"])
@pytest.mark.parametrize("path", ["teacher", "student"])
def test_no_collapse_routing(
    path: str, assistant: str, student: Student, tapped: Taps, teacher_of: Teachers, truth: DistillTruth
) -> None:
    """Both paths train the assistant and its adapters; the student's path trains the student; none the teacher."""
    form, taps = teacher_of(student)
    lifted = taps.features["lift"].requires_grad_(True)
    eps = 1e12 if path == "teacher" else 0.0  # the other path has no weight, or next to none
    settings = BridgeTASettings(assistant, eps=eps, width=16, warm_up=0, detach_student_input=True)
    distiller = BridgeTA(student_form(student), form, settings)
    terms = distiller(tapped, taps, truth, 1.0)
    loss = terms["low"] + terms["high"] + terms["output.map_logits"]
    features = list(tapped.features.values())[::4]  # lift and neck
    to_student = torch.autograd.grad(loss, features, retain_graph=True)
    loss.backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in distiller.assistant.parameters())
    assert lifted.grad is None
    strength = [float(gradient.norm()) for gradient in to_student]
    other = [float(a.weight.grad.norm()) for a in distiller.assistant_adapters.values()]
    if path == "teacher":
        assert max(strength) < 1e-5 * min(other)
    else:
        assert min(strength) > 1e-5


def test_orthogonal_projector(generator: torch.Generator) -> None:
    projector = OrthogonalProjector(32, 12)
    optimiser = torch.optim.AdamW(projector.parameters(), 1e-2)
    x, target = torch.randn(2, 32, 6, 6, generator=generator), torch.randn(2, 12, 6, 6, generator=generator)
    start = projector.linear.weight.detach().clone()
    for _ in range(10):
        optimiser.zero_grad()
        ((projector(x) - target) ** 2).mean().backward()
        optimiser.step()
    weight = projector.linear.weight.detach()
    assert (weight - start).abs().max() > 1e-2, "it was trained"
    assert (weight @ weight.T - torch.eye(12)).abs().max() < 1e-5
    assert bool((projector.project(x).norm(dim=1) <= x.norm(dim=1) * (1 + 1e-6)).all())
    with torch.autocast("cpu", torch.bfloat16):
        assert projector(x.bfloat16()).dtype == torch.float32
    wider = OrthogonalProjector(8, 20).linear.weight.detach()
    assert (wider.T @ wider - torch.eye(8)).abs().max() < 1e-5


@torch.no_grad()
def test_aoa_zero_position_map(generator: torch.Generator) -> None:
    """It starts at 0, and every head's output is a convex combination of that head's values."""
    projector = CrossAttentionProjector(16, (5, 4), heads=4)
    assert torch.count_nonzero(projector.position) == 0
    tokens = projector.tokens(torch.randn(3, 16, 5, 4, generator=generator))  # [3, 20, 16]
    mixture = projector.mixed(tokens).reshape(3, 20, 4, 4).transpose(1, 2)  # [B, heads, Y*X, C/heads]
    values, keys = projector.values(tokens), projector._heads(projector.to_key(tokens))
    queries = projector._heads(projector._queries())
    for sample in range(3):
        for head in range(4):
            weights = (queries[0, head] @ keys[sample, head].T / math.sqrt(4)).softmax(-1)  # [Y*X, S]
            assert bool((weights >= 0).all()) and torch.allclose(weights.sum(-1), torch.ones(20))
            assert torch.allclose(mixture[sample, head], weights @ values[sample, head], atol=1e-5)
    assert bool((mixture <= values.amax(2, keepdim=True) + 1e-5).all())
    assert bool((mixture >= values.amin(2, keepdim=True) - 1e-5).all())


def test_region_maps() -> None:
    """Disjoint, covering; sums of the scales: sqrt(cells) over a box, 1 over the background and over false alarms."""
    plane = Plane((-16.0, -8.0), (0.5, 0.5), (64, 32))
    boxes = torch.zeros(2, 2, 9)
    boxes[0, 0, [0, 1, 3, 4]] = torch.tensor([4.0, 2.0, 2.0, 5.0])  # 4 x 10 cells, edges on cell edges
    boxes[0, 1, [0, 1, 3, 4, 6]] = torch.tensor([-8.0, -2.0, 2.0, 4.5, 0.7])
    alarms = torch.rand(2, 1, 32, 64, generator=torch.Generator().manual_seed(0)) < 0.1
    regions = region_maps(boxes, torch.tensor([[True, True], [False, False]]), plane, alarms)
    together = torch.stack([regions.foreground, regions.false_positive, regions.background]).int().sum(0)
    assert bool((together == 1).all())
    block = regions.foreground[0, 0, 18:22, 35:45]
    assert bool(block.all()) and int(regions.foreground[0, 0, :, 30:52].sum()) == 40
    assert regions.scale[0, 0, 18:22, 35:45].sum().item() == pytest.approx(math.sqrt(40))
    for sample in range(2):
        assert (regions.scale * regions.background)[sample].sum().item() == pytest.approx(1, abs=1e-5)
        assert regions.false_positive_scale[sample].sum().item() == pytest.approx(1, abs=1e-5)
    assert not regions.foreground[1].any(), "rows that are no boxes draw nothing"


def test_attention(generator: torch.Generator) -> None:
    """Mean 1 over cells, over channels; the temperature sharpens."""
    x = torch.randn(3, 8, 6, 7, generator=generator)
    assert torch.allclose(spatial_attention(x).mean((1, 2, 3)), torch.ones(3), atol=1e-5)
    assert torch.allclose(channel_attention(x).mean((1, 2, 3)), torch.ones(3), atol=1e-5)
    assert spatial_attention(x, 0.1).max() > spatial_attention(x, 1.0).max()
    strength = x[0].abs().mean(0) / 0.5
    assert torch.allclose(spatial_attention(x)[0, 0], 42 * strength.exp() / strength.exp().sum(), atol=1e-4)
    assert torch.isfinite(spatial_attention((60000 * x).clamp(-60000, 60000).half())).all()


def test_crd_threshold(generator: torch.Generator) -> None:
    """Logits over 0.1 with threshold 0.1 give the boxes of the logits with threshold sigmoid(-2.197 * 0.1) = 0.4453."""
    tasks, plane = TaskSpec(), Plane((-51.2, -51.2), (3.2, 3.2), (32, 32))
    heatmap = torch.randn(2, 10, 32, 32, generator=generator) * 1.5 - 3
    codes = torch.randn(2, 6, 10, 32, 32, generator=generator)
    sharp = pseudo_boxes(heatmap, codes, plane, tasks, BoxRule(temperature=0.1, score=0.1))
    threshold = 1 / (1 + math.exp(0.1 * math.log(9)))
    assert threshold == pytest.approx(0.4453, abs=1e-4)
    plain = pseudo_boxes(heatmap, codes, plane, tasks, BoxRule(temperature=1.0, score=threshold))
    assert (sharp[1] >= 0).sum() > 20
    assert torch.equal(sharp[0], plain[0]) and torch.equal(sharp[1], plain[1])
