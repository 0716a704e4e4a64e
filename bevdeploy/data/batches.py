"""Batch: samples as the tensors that students take; loaded by any number of processes in an order that a seed fixes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bevdeploy.data.sample import Sample, Truth, View
from bevdeploy.data.samples import Samples
from bevdeploy.errors import DataSetError, MissingDependencyError
from bevdeploy.geometry.frustum import ViewGeometry

if TYPE_CHECKING:
    from torch import Tensor

    from bevdeploy.batch import StudentInputs


@dataclass(frozen=True)
class Normalisation:
    """`(image - mean) / std` per channel R, G, B, on the 0..255 scale; ImageNet's, as deployment's default."""

    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)


@dataclass(frozen=True, eq=False)
class Batch:
    """B samples."""

    tokens: tuple[str, ...]
    inputs: StudentInputs
    """Normalised images, pool ranks, and the ego state where it was asked for."""
    truths: tuple[Truth, ...]
    points: tuple[Tensor, ...]
    """[P, 5] each, as `Sample.points`."""
    previous: StudentInputs | None
    """Of the keyframes before; the present one stands in where there is none. None where no sample has one."""
    has_previous: Tensor
    """[B] bool."""
    bev_from_previous_bev: Tensor
    """[B, 4, 4] float32; identity where there is no keyframe before."""
    bev_from_ego: Tensor
    """[B, 4, 4] float32, the BEV augmentations."""
    global_from_ego: Tensor
    """[B, 4, 4] float64."""
    passed_over: tuple[str, ...]
    """One line for each damaged keyframe that another sample stands in for."""


def collate(
    samples: Sequence[Sample],
    geometry: ViewGeometry,
    normalisation: Normalisation = Normalisation(),
    ego_state: bool = False,
) -> Batch:
    """One batch of samples.

    Args:
        samples: of the same cameras.
        geometry: that the samples were made with.
        normalisation: of the images.
        ego_state: for students that read it.

    Raises:
        GeometryError: the batch is empty or too large for 32-bit indices.
        MissingDependencyError: torch is not installed.
    """
    torch = _torch()
    states = np.stack([sample.ego_state for sample in samples]) if ego_state and samples else None
    had = [sample.previous is not None for sample in samples]
    identity = np.eye(4)
    motions = [identity if s.bev_from_previous_bev is None else s.bev_from_previous_bev for s in samples]
    previous = None
    if any(had):
        previous = _inputs([s.previous or s.view for s in samples], geometry, normalisation, states)
    return Batch(
        tokens=tuple(sample.token for sample in samples),
        inputs=_inputs([sample.view for sample in samples], geometry, normalisation, states),
        truths=tuple(sample.truth for sample in samples),
        points=tuple(torch.from_numpy(sample.points) for sample in samples),
        previous=previous,
        has_previous=torch.tensor(had),
        bev_from_previous_bev=torch.from_numpy(np.stack(motions).astype(np.float32)),
        bev_from_ego=torch.from_numpy(np.stack([sample.bev_from_ego for sample in samples]).astype(np.float32)),
        global_from_ego=torch.from_numpy(np.stack([sample.global_from_ego for sample in samples])),
        passed_over=tuple(line for sample in samples for line in sample.passed_over),
    )


def loader(
    samples: Samples,
    batch_size: int,
    workers: int = 0,
    shuffle: bool = True,
    seed: int = 0,
    epoch: int = 0,
    *,
    rank: int = 0,
    processes: int = 1,
    first_batch: int = 0,
    normalisation: Normalisation = Normalisation(),
    ego_state: bool = False,
    start_method: str | None = None,
) -> Iterator[Batch]:
    """Batches of one epoch, decoded by `workers` processes ahead of use; none decodes in line.

    The order is a function of seed and epoch, the augmentation of seed, epoch and position: an epoch that goes on at
    `first_batch` gives what the unbroken one would have given.

    Args:
        samples: the data set; its own seed and epoch are replaced.
        batch_size: samples per batch; the last batch may be smaller.
        workers: processes that decode.
        shuffle: in another order every epoch.
        seed: of the order and the augmentation.
        epoch: 0, 1, ... .
        rank: of this process among `processes` that train together; each gets as many samples, the first ones twice
            where they do not divide.
        processes: that train together.
        first_batch: batches to leave out at the start.
        normalisation: of the images.
        ego_state: for students that read it.
        start_method: `fork` or `spawn`; None takes the platform's.

    Raises:
        DataSetError: batch size, rank or first batch make no sense; while iterating: as `Samples`, or a worker died.
        MissingDependencyError: torch is not installed.
    """
    torch = _torch()
    if batch_size < 1 or workers < 0 or not 0 <= rank < processes or first_batch < 0:
        raise DataSetError(
            f"a loader of batches of {batch_size} with {workers} workers as process {rank} of {processes} from batch "
            f"{first_batch} on; sizes are at least 1, the rest at least 0, the rank below the number of processes"
        )
    order = epoch_order(len(samples), shuffle, seed, epoch, rank, processes)
    batches = [order[k : k + batch_size].tolist() for k in range(0, len(order), batch_size)][first_batch:]
    made = torch.utils.data.DataLoader(
        replace(samples, seed=seed, epoch=epoch),
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=partial(collate, geometry=samples.geometry, normalisation=normalisation, ego_state=ego_state),
        multiprocessing_context=start_method if workers else None,
        worker_init_fn=_one_thread,
    )
    return _batches(made)


def epoch_order(
    count: int, shuffle: bool, seed: int, epoch: int, rank: int = 0, processes: int = 1
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Positions of one epoch for one process; all processes get equally many."""
    order = np.random.default_rng((seed, epoch)).permutation(count) if shuffle else np.arange(count)
    whole = np.resize(order, -(-count // processes) * processes)  # repeats from the start
    return np.asarray(whole[rank::processes])


def _batches(made: Any) -> Iterator[Batch]:
    try:
        yield from made
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataSetError(
            f"a loading process died ({error}); is the memory full? load with fewer workers or smaller batches"
        ) from error


def _inputs(views: Sequence[View], geometry: ViewGeometry, normalisation: Normalisation, states: Any) -> StudentInputs:
    torch = _torch()
    from bevdeploy.batch import StudentInputs, pool_ranks

    ranks = pool_ranks([view.indices for view in views], geometry, len(views[0].images) if views else 0)
    images = torch.from_numpy(np.stack([view.images for view in views]))  # [B, N, H, W, 3]
    images = images.permute(0, 1, 4, 2, 3).to(torch.float32, memory_format=torch.contiguous_format)  # [B, N, 3, H, W]
    mean, std = (torch.tensor(values)[:, None, None] for values in (normalisation.mean, normalisation.std))
    images.sub_(mean).div_(std)
    return StudentInputs(images, ranks, None if states is None else torch.from_numpy(states))


def _one_thread(worker: int) -> None:
    """Workers share the cores among themselves."""
    _torch().set_num_threads(1)


def _torch() -> Any:
    try:
        import torch
        import torch.utils.data
    except ImportError as error:
        raise MissingDependencyError(f"batches need torch ({error}): pip install 'bevdeploy[train]'") from error
    return torch
