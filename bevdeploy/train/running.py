"""Running: the moving parts of a training, taken down as a training state and put back from one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from bevdeploy.errors import TrainingError
from bevdeploy.train.ema import AveragedWeights
from bevdeploy.train.objective import Trained
from bevdeploy.train.training_state import TrainingState, check_continues, load_state


@dataclass(frozen=True, eq=False)
class Running:
    """A training between two steps."""

    fabric: Fabric
    trained: Trained
    """Not wrapped for many processes."""
    optimiser: torch.optim.Optimizer
    average: AveragedWeights | None


def averaged_weights(run: Running) -> dict[str, Tensor]:
    """The student's averaged weights, or its last ones where none are averaged; copies on the CPU."""
    weights = run.trained.student.state_dict() if run.average is None else run.average.weights
    return {key: value.detach().to("cpu", copy=True).contiguous() for key, value in weights.items()}


def state_of(run: Running, step: int, begun: Mapping[str, str | int]) -> TrainingState:
    """The state after `step` steps; `begun` says with what the training was begun."""
    scaler = _scaler(run)
    return TrainingState(
        step=step,
        trained=run.trained.state_dict(),
        optimiser=run.optimiser.state_dict(),
        average=None if run.average is None else run.average.weights,
        random=torch.get_rng_state(),
        random_gpu=torch.cuda.get_rng_state() if run.fabric.device.type == "cuda" else None,
        scaler=None if scaler is None else scaler.state_dict(),
        **begun,  # type: ignore[arg-type]
    )


def restored_step(run: Running, path: Path | None, begun: Mapping[str, str | int]) -> int:
    """Put everything back; the number of steps done.

    Raises:
        TrainingError: there is no state, or it is of another training.
    """
    if path is None:
        raise TrainingError("nothing to go on from: this training keeps no state")
    state = load_state(path)
    check_continues(path, state, **begun)
    scaler = _scaler(run)
    try:
        run.trained.load_state_dict(state.trained)
        run.optimiser.load_state_dict(state.optimiser)
        if run.average is not None:
            run.average.load(state.average or {})
        torch.set_rng_state(state.random)
        if state.random_gpu is not None and run.fabric.device.type == "cuda":
            torch.cuda.set_rng_state(state.random_gpu)
        if scaler is not None and state.scaler is not None:
            scaler.load_state_dict(state.scaler)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: does not fit this training ({error}); start anew without --resume") from error
    return state.step


def _scaler(run: Running) -> Any:
    return getattr(run.fabric.strategy.precision, "scaler", None)
