"""The optimiser and its learning rate: AdamW (Loshchilov and Hutter, 2019), linear warm-up, then a cosine."""

from __future__ import annotations

import math

import torch
from torch import nn

from bevdeploy.train.config import TrainConfig


def learning_rate(step: int, config: TrainConfig) -> float:
    """The rate of step 0, 1, ..., `config.steps` - 1: up over the warm-up, then down to its final share."""
    warmup = min(config.warmup_steps, config.steps - 1)
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, config.steps - warmup)
    share = config.final_share + (1 - config.final_share) * (1 + math.cos(math.pi * done)) / 2
    return config.learning_rate * share


def adamw(module: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """An optimiser over all parameters that are trained, in three kinds of groups.

    Weights of one dimension (norms, biases) and embeddings do not decay; the image backbone learns at its share.
    Every group carries `share`, its factor on the learning rate.
    """
    embeddings = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and id(parameter) not in embeddings
            groups.setdefault((decays, ".image_encoder.backbone." in f".{name}"), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "weight_decay": config.weight_decay if decays else 0.0,
                "share": config.backbone_share if backbone else 1.0,
            }
            for (decays, backbone), parameters in sorted(groups.items(), key=lambda item: item[0])
        ],
        lr=config.learning_rate,
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]
