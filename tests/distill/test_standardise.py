"""Statistics of several batches are those of all their samples at once, and then stand still."""

from __future__ import annotations

import torch

from bevdeploy.distill.standardise import Standardise


def test_pooled_statistics(generator: torch.Generator) -> None:
    batches = [torch.randn(n, 3, 4, 5, generator=generator) * 3 + 7 for n in (2, 1, 4)]
    layer = Standardise(3, frames=7)
    for batch in batches:
        out = layer(batch)
    everything = torch.cat(batches)
    assert torch.allclose(layer.mean, everything.mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(layer.variance, everything.var((0, 2, 3), correction=0), atol=1e-3)
    assert torch.allclose(out, (batches[-1] - layer.mean[:, None, None]) / layer.variance.sqrt()[:, None, None])
    mean = layer.mean.clone()
    layer(torch.randn(2, 3, 4, 5) + 100)
    assert torch.equal(layer.mean, mean), "seven samples were seen"


def test_the_first_batch_is_standardised_by_itself(generator: torch.Generator) -> None:
    out = Standardise(4)(torch.randn(2, 4, 9, 9, generator=generator) * 5 - 2)
    assert torch.allclose(out.mean((0, 2, 3)), torch.zeros(4), atol=1e-5)
    assert torch.allclose(out.std((0, 2, 3), correction=0), torch.ones(4), atol=1e-5)


def test_evaluation_and_gradients_leave_it_alone(generator: torch.Generator) -> None:
    layer = Standardise(2).eval()
    x = torch.randn(1, 2, 3, 3, generator=generator, requires_grad=True)
    assert torch.equal(layer(x), x) and not layer(x).requires_grad
    assert list(layer.parameters()) == [] and int(layer.samples) == 0


def test_a_dead_channel_is_not_blown_up() -> None:
    x = torch.randn(4, 3, 8, 8)
    x[:, 1] = 0
    layer = Standardise(3, frames=4)
    layer(x)
    x[:, 1] = 1.0
    assert layer(x)[:, 1].max() < 20
    assert torch.isfinite(Standardise(2)(torch.zeros(1, 2, 3, 3))).all()
