"""Batches in an order that is a function of seed and step: a resumed training sees what an unbroken one would have."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np
from torch.utils.data import DataLoader, Dataset

from bevdeploy.data.sample import Sample
from bevdeploy.errors import TrainingError
from bevdeploy.models import StudentSpec
from bevdeploy.train.batch import TrainBatch, train_batch
from bevdeploy.train.detection_targets import CentreRule
from bevdeploy.train.orphans import begin_worker
from bevdeploy.train.targets import Targets, targets_of
from bevdeploy.train.teacher_cache import Arrays


class SampleSource(Protocol):
    """Keyframes of a split, built with the student's geometry."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """One per keyframe."""
        ...

    def sample(self, position: int, seed: int | None = None) -> Sample:
        """One keyframe; augmented as the seed says, not at all with None."""
        ...


class Recall(Protocol):
    """What a teacher said about keyframes, such as a `TeacherCache`."""

    def arrays(self, token: str) -> Arrays:
        """By name, without the dimension of samples."""
        ...


@dataclass(frozen=True)
class Draw:
    """One keyframe of one step."""

    position: int
    seed: int | None
    """Of its augmentation; None for none."""


Drawn = tuple[Sample, Targets, Arrays | None]
"""A keyframe, what the student is trained on there, and what a cached teacher said."""


class DrawnSamples(Dataset[Drawn]):
    """Samples with their targets, by draw; kept in memory where draws repeat, but for a teacher's part."""

    def __init__(
        self,
        source: SampleSource,
        spec: StudentSpec,
        rule: CentreRule,
        keep: bool = False,
        recall: Recall | None = None,
    ) -> None:
        self.source, self.spec, self.rule, self.keep, self.recall = source, spec, rule, keep, recall
        self._kept: dict[Draw, tuple[Sample, Targets]] = {}

    def __getitem__(self, draw: Draw) -> Drawn:
        """One keyframe."""
        sample, targets = self._kept.get(draw) or self._made(draw)
        return sample, targets, None if self.recall is None else self.recall.arrays(sample.token)

    def _made(self, draw: Draw) -> tuple[Sample, Targets]:
        sample = self.source.sample(draw.position, draw.seed)
        made = sample, targets_of(sample, self.spec, self.rule)
        if self.keep:
            self._kept[draw] = made
        return made


def draws(
    count: int, batch: int, seed: int, step: int, rank: int = 0, processes: int = 1, variants: int = 0
) -> list[Draw]:
    """The keyframes of one step on one process: the next `batch` of an endless row of shuffled epochs.

    Args:
        count: keyframes of the data.
        batch: keyframes per step and process.
        seed: of the training.
        step: 0, 1, ... .
        rank: of the process.
        processes: that train together.
        variants: different augmentations of a keyframe, the first of which is none; 0 for another at every draw.
    """
    first = (step * processes + rank) * batch
    drawn = []
    for position in range(first, first + batch):
        epoch, place = divmod(position, count)
        keyframe = int(_order(count, seed, epoch)[place])
        if variants:
            variant = (epoch + keyframe) % variants
            drawn.append(Draw(keyframe, _seed(seed, 2, keyframe, variant) if variant else None))
        else:
            drawn.append(Draw(keyframe, _seed(seed, 1, position)))
    return drawn


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.random.default_rng([seed, epoch]).permutation(count)


def _seed(*numbers: int) -> int:
    return int(np.random.default_rng(numbers).integers(2**63 - 1))


def batches(
    source: SampleSource,
    spec: StudentSpec,
    rule: CentreRule,
    *,
    batch: int,
    seed: int,
    steps: range,
    workers: int = 0,
    rank: int = 0,
    processes: int = 1,
    variants: int = 0,
    recall: Recall | None = None,
) -> Generator[TrainBatch, None, None]:
    """The batches of some steps, on the CPU; `workers` processes prepare them ahead, none prepares them in line.

    Raises:
        TrainingError: there is no keyframe, or a worker died.
    """
    count = len(source.tokens)
    if not count:
        raise TrainingError("the data have no keyframe to train on; choose another split (--split)")
    if spec.temporal and not getattr(source, "previous", True):
        raise TrainingError(
            f"{spec.name} also reads the keyframe before, and the samples come without it; build Samples with "
            "previous=True"
        )
    if not len(steps):
        return
    loader = DataLoader(
        DrawnSamples(source, spec, rule, keep=variants > 0, recall=recall),
        batch_sampler=_Steps(count, batch, seed, steps, rank, processes, variants),
        num_workers=workers,
        collate_fn=partial(_collated, spec=spec),
        worker_init_fn=begin_worker,
        prefetch_factor=2 if workers else None,
    )
    iterator = iter(loader)
    for _ in steps:
        try:
            yield next(iterator)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise TrainingError(
                f"a loading process died ({error}); is the memory full? try --workers 0 or a smaller --batch"
            ) from error


@dataclass(frozen=True)
class _Steps:
    """The draws of each step, in the order of the loader's requests."""

    count: int
    batch: int
    seed: int
    steps: range
    rank: int
    processes: int
    variants: int

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in self.steps:
            yield draws(self.count, self.batch, self.seed, step, self.rank, self.processes, self.variants)


def _collated(drawn: list[Drawn], spec: StudentSpec) -> TrainBatch:
    samples, targets, taught = zip(*drawn, strict=True)
    return train_batch(samples, targets, spec, [arrays for arrays in taught if arrays is not None])


def data_digest(source: SampleSource) -> str:
    """Equal for data of the same keyframes in the same order."""
    return hashlib.sha256("\n".join(source.tokens).encode()).hexdigest()[:16]
