"""The training loop: any objective around any network, on one device or, under torchrun, on many (Lightning Fabric)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from bevdeploy.errors import TrainingError
from bevdeploy.train.config import TrainConfig
from bevdeploy.train.ema import AveragedWeights
from bevdeploy.train.loading import Recall, SampleSource, batches, data_digest
from bevdeploy.train.objective import Handed, Network, ObjectiveOf, Trained
from bevdeploy.train.running import Running, averaged_weights, restored_step, state_of
from bevdeploy.train.schedule import adamw, learning_rate, set_learning_rate
from bevdeploy.train.step_meter import StepMeter
from bevdeploy.train.training_log import StepRow, TrainingLog
from bevdeploy.train.training_state import save_state


@dataclass(frozen=True)
class RunFiles:
    """What a training writes besides its checkpoint; None leaves it out."""

    state: Path | None = None
    log: Path | None = None
    tensorboard: Path | None = None


@dataclass(frozen=True)
class Progress:
    """Who hears about a training. Called on the first process only."""

    on_row: Callable[[StepRow], None] = lambda row: None
    """After every logged step."""
    on_save: Callable[[int, Mapping[str, Tensor]], None] = lambda step, weights: None
    """With the steps done and the student's averaged weights; every `save_every` steps and at the end."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A training that has ended."""

    weights: dict[str, Tensor]
    """The student's averaged weights, on the CPU; its last ones where the configuration averages none."""
    first_step: int
    """Steps that were done before this call."""
    passed_over: tuple[str, ...]
    """One line for each damaged keyframe that another one stood in for, on this process."""


def fabric_of(config: TrainConfig, device: str = "auto") -> Fabric:
    """Launched devices: those of torchrun's processes where it started this one, else a single one.

    Args:
        config: whose precision is taken.
        device: auto, cpu or cuda.
    """
    torch.set_float32_matmul_precision("high")
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    world = int(os.environ.get("WORLD_SIZE", "1"))
    # weights of 0 and the stages of distillers leave parameters without a gradient
    strategy = DDPStrategy(find_unused_parameters=True) if world > 1 else "auto"
    fabric = Fabric(
        accelerator=device,
        strategy=strategy,
        devices=processes,
        num_nodes=max(1, world // processes),
        precision=config.precision,
    )
    fabric.launch()
    return fabric


def fit(
    fabric: Fabric,
    student: Network,
    objective: ObjectiveOf[Network],
    source: SampleSource,
    config: TrainConfig,
    *,
    seed: int = 0,
    workers: int = 0,
    files: RunFiles | None = None,
    recall: Recall | None = None,
    resume: bool = False,
    identity: str = "",
    progress: Progress | None = None,
) -> Fitted:
    """Train a student, or a teacher in its place; it holds the last weights afterwards.

    Args:
        fabric: launched, see `fabric_of`.
        student: built and initialised; trained in place.
        objective: what is minimised.
        source: keyframes with the student's geometry.
        config: the training.
        seed: of the order of the data and of their augmentation.
        workers: processes that load data.
        files: what to write.
        recall: a teacher's cache that the batches bring along.
        resume: go on from `files.state`.
        identity: name of student, objective and arguments, which a resumed training must share.
        progress: called on the way.

    Raises:
        TrainingError: a loss or gradient is not finite, the state to resume from does not fit, or there are no data.
        OutputError: a file cannot be written.
    """
    files, progress = files or RunFiles(), progress or Progress()
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = Trained(student, objective)
    module, optimiser = fabric.setup(trained, adamw(trained, config))
    average = AveragedWeights(student, config.ema_decay) if config.ema_decay else None
    run = Running(fabric, trained, optimiser, average)
    begun: dict[str, str | int] = {
        "config": config.digest(),
        "data": data_digest(source),
        "student": identity or student.spec.name,
        "seed": seed,
        "processes": fabric.world_size,
    }
    first = restored_step(run, files.state, begun) if resume else 0
    log = TrainingLog(files.log, first, files.tensorboard) if files.log and fabric.is_global_zero else None
    _set_mode(module, config)
    meter = StepMeter(config.batch * fabric.world_size, len(source.tokens), fabric.device)
    loaded = batches(
        source,
        student.spec,
        config.centres,
        batch=config.batch,
        seed=seed,
        steps=range(first, config.steps),
        workers=workers,
        rank=fabric.global_rank,
        processes=fabric.world_size,
        variants=config.cached_variants,
        recall=recall,
    )
    passed_over: dict[str, None] = {}
    try:
        for step in range(first, config.steps):
            with meter.loading():
                batch = next(loaded)
            passed_over |= dict.fromkeys(line for sample in batch.samples for line in sample.passed_over)
            rate = learning_rate(step, config)
            set_learning_rate(optimiser, rate)
            terms = module(Handed(batch.to(fabric.device)._replace(progress=step / config.steps)))
            values = _finite(terms, step, batch.tokens)
            fabric.backward(torch.stack(list(terms.values())).sum())
            norm = _clipped(run, module, config, step, batch.tokens)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            if average is not None:
                average.update(student, step)
            meter.add(values, norm)
            done = step + 1
            last = done == config.steps
            if (last or done % config.log_every == 0) and fabric.is_global_zero:
                row = meter.row(done, rate)
                if log is not None:
                    log.add(row)
                progress.on_row(row)
            if last or done % config.save_every == 0:
                if fabric.is_global_zero:
                    if files.state is not None:
                        save_state(files.state, state_of(run, done, begun))
                    progress.on_save(done, averaged_weights(run))
                fabric.barrier()
    finally:
        loaded.close()
        if log is not None:
            log.close()
    return Fitted(averaged_weights(run), first, tuple(passed_over))


def _set_mode(module: nn.Module, config: TrainConfig) -> None:
    module.train()
    if config.frozen_norms:
        for each in module.modules():
            if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
                each.eval()


def _finite(terms: Mapping[str, Tensor], step: int, tokens: tuple[str, ...]) -> dict[str, float]:
    if not terms:
        raise TrainingError("the objective has no term: every weight is 0; raise one in the table [weights]")
    values = dict(zip(terms, torch.stack([term.detach().float() for term in terms.values()]).tolist(), strict=True))
    wrong = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
    if wrong:
        raise TrainingError(
            f"step {step}: {', '.join(wrong)}, on keyframes {', '.join(tokens)}; lower learning_rate, or look at these "
            "keyframes"
        )
    return values


def _clipped(run: Running, module: nn.Module, config: TrainConfig, step: int, tokens: tuple[str, ...]) -> float:
    norm = run.fabric.clip_gradients(module, run.optimiser, max_norm=config.clip_norm, error_if_nonfinite=False)
    assert norm is not None
    value = float(norm)
    if not math.isfinite(value) and config.precision != "16-mixed":  # there the scaler skips the step
        broken = [
            name
            for name, parameter in run.trained.named_parameters()
            if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())
        ]
        raise TrainingError(
            f"step {step}: the gradient of {', '.join(broken[:-4:-1]) or 'all'} is not finite, on keyframes "
            f"{', '.join(tokens)}; lower learning_rate or clip_norm"
        )
    return value
