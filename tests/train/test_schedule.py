"""Learning rate and optimiser groups."""

from __future__ import annotations

import itertools

import pytest

from bevdeploy.models import Student
from bevdeploy.train import TaskObjective, TaskWeights, TrainConfig
from bevdeploy.train.objective import Trained
from bevdeploy.train.schedule import adamw, learning_rate, set_learning_rate


def test_up_then_down_by_hand() -> None:
    config = TrainConfig(steps=7, learning_rate=1.0, warmup_steps=3, final_share=0.2)
    rates = [learning_rate(step, config) for step in range(7)]
    # after the warm-up the cosine has 4 steps: at 0, 45, 90 and 135 degrees
    cosine = [(1 + value) / 2 for value in (1, 0.5**0.5, 0, -(0.5**0.5))]
    assert rates == pytest.approx([0.25, 0.5, 0.75, *(0.2 + 0.8 * value for value in cosine)])


def test_it_rises_once_and_falls_once() -> None:
    config = TrainConfig(steps=1000, learning_rate=3e-3, warmup_steps=100)
    rates = [learning_rate(step, config) for step in range(1000)]
    assert max(rates) == rates[100] == config.learning_rate
    assert all(a < b for a, b in itertools.pairwise(rates[:101]))
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))
    assert learning_rate(0, TrainConfig(steps=1, warmup_steps=9)) > 0


def test_every_parameter_is_in_one_group(tiny: Student) -> None:
    config = TrainConfig(steps=1, backbone_share=0.1, weight_decay=0.03)
    trained = Trained(tiny, TaskObjective(TaskWeights()))
    optimiser = adamw(trained, config)
    set_learning_rate(optimiser, 2.0)
    settings = {id(p): (g["weight_decay"], g["lr"]) for g in optimiser.param_groups for p in g["params"]}
    assert len(settings) == sum(len(g["params"]) for g in optimiser.param_groups)
    for name, parameter in tiny.named_parameters():
        decays = parameter.ndim > 1 and name != "planning.commands.weight"
        rate = 0.2 if name.startswith("image_encoder.backbone.") else 2.0
        assert settings[id(parameter)] == (0.03 if decays else 0.0, pytest.approx(rate)), name
