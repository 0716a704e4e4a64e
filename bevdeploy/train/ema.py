"""Averaged weights: an exponential moving average of a module's weights and statistics over the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

RAMP_STEPS = 200
"""The decay grows as 1 - exp(-step / this), so that the first weights are soon forgotten (BEVDepth's code: 2000)."""


class AveragedWeights:
    """The averages of one module's state dict; integers, such as a norm's step count, are copied."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {key: value.detach().clone() for key, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after step 0, 1, ... ."""
        decay = self.decay * (1 - math.exp(-(step + 1) / RAMP_STEPS))
        state = module.state_dict()
        floats = [key for key, value in self.weights.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.weights[key] for key in floats], [state[key] for key in floats], 1 - decay)
        for key in self.weights.keys() - set(floats):
            self.weights[key].copy_(state[key])

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from saved averages."""
        for key, value in weights.items():
            self.weights[key].copy_(value)
