"""Averaged weights against a loop over numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bevdeploy.train.ema import RAMP_STEPS, AveragedWeights


def test_by_hand() -> None:
    module = nn.BatchNorm1d(1)
    average = AveragedWeights(module, decay=0.9)
    expected = 1.0
    for step in range(50):
        with torch.no_grad():
            module.weight.fill_(step)
            module.num_batches_tracked.fill_(step)
        average.update(module, step)
        decay = 0.9 * (1 - math.exp(-(step + 1) / RAMP_STEPS))
        expected = decay * expected + (1 - decay) * step
    assert average.weights["weight"].item() == pytest.approx(expected, rel=1e-5)
    assert average.weights["num_batches_tracked"].item() == 49
    assert module.weight.item() == 49, "the module itself is left alone"


def test_going_on_from_saved_averages() -> None:
    module = nn.Linear(2, 2)
    average = AveragedWeights(module, 0.99)
    saved = {key: torch.randn_like(value) for key, value in average.weights.items()}
    average.load(saved)
    assert all(torch.equal(average.weights[key], saved[key]) for key in saved)
    assert all(average.weights[key] is not saved[key] for key in saved)
