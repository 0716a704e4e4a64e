"""A teacher's features and outputs of every keyframe, without augmentation, into its cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from bevdeploy.data.sample import Sample
from bevdeploy.distill.taps import Taps
from bevdeploy.distill.teacher_taps import teacher_form
from bevdeploy.errors import BevDeployError, DataSetError, TrainingError
from bevdeploy.models.teachers import Teacher
from bevdeploy.train.batch import TrainBatch, train_batch
from bevdeploy.train.detection_targets import CentreRule
from bevdeploy.train.loading import SampleSource
from bevdeploy.train.orphans import begin_worker
from bevdeploy.train.targets import targets_of
from bevdeploy.train.taught import taps_of
from bevdeploy.train.teacher_cache import FEATURE, OUTPUT, CacheHeader, TeacherCacheWriter, data_fingerprint

Dtype = Literal["float16", "float32"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
BEV_OUTPUT = "bev"
"""The output that is the feature `bev_neck`, and not written twice."""
FORWARD = 4
"""Keyframes per forward."""


@dataclass(frozen=True)
class CacheContent:
    """What of a teacher is written."""

    features: tuple[str, ...] = ()
    """Names of `distill.taps`; empty for all that the teacher has. Outputs are always written."""
    dtype: Dtype = "float16"
    """Of all that is not an index."""
    chunk: int = 32
    """Keyframes per file."""


def cache_header(
    teacher: Teacher, source: SampleSource, content: CacheContent, note: Mapping[str, str], device: torch.device
) -> CacheHeader:
    """The header of a cache that is to be written: sizes are those of the first keyframe.

    Raises:
        TrainingError: the teacher has no such feature, or the keyframe lacks what it sees.
        DataSetError: there is no keyframe, or the first one is damaged.
    """
    had = tuple(teacher_form(teacher).features)
    unknown = [name for name in content.features if name not in had]
    if unknown:
        raise TrainingError(f"{teacher.spec.name} has no feature {', '.join(unknown)}; it has {', '.join(had)}")
    if not source.tokens:
        raise DataSetError("the data have no keyframe to write; choose another split (--split)")
    arrays = _arrays(teacher, _batch([_loaded(source, 0)], teacher), content, device)
    return CacheHeader(
        teacher=teacher.spec.name,
        data=data_fingerprint(source.tokens),
        tensors={name: (array.dtype.name, array.shape[1:]) for name, array in arrays.items()},
        grid=teacher.spec.geometry.grid,
        tasks=teacher.spec.tasks,
        chunk=content.chunk,
        note=dict(note),
    )


def keyframe_bytes(header: CacheHeader) -> int:
    """Of one keyframe on the disk."""
    return sum(np.dtype(dtype).itemsize * int(np.prod(shape)) for dtype, shape in header.tensors.values())


def weights_digest(teacher: Teacher) -> str:
    """Equal for equal weights and statistics."""
    state = hashlib.sha256()
    for name, value in sorted(teacher.state_dict().items()):
        state.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()[:16]


def fill_cache(
    writer: TeacherCacheWriter,
    teacher: Teacher,
    source: SampleSource,
    content: CacheContent,
    device: torch.device,
    *,
    workers: int = 0,
    rank: int = 0,
    processes: int = 1,
    on_keyframes: Callable[[int], None] = lambda written: None,
) -> int:
    """Write the chunks that a cache lacks; returns the keyframes that were written.

    Args:
        writer: of the cache, made with `cache_header`'s header and the source's tokens.
        teacher: run in evaluation mode, in float32.
        source: the keyframes.
        content: as of the header.
        device: to run on.
        workers: processes that load data.
        rank: of this process among `processes`, which take turns at the chunks.
        processes: that write together.
        on_keyframes: called with the number of keyframes of each chunk that is whole.

    Raises:
        DataSetError: a file of a keyframe is damaged, or the teacher says something that is not finite.
        TrainingError: a keyframe lacks what the teacher sees, or a loading process died.
        OutputError: the disk is full or cannot be written.
    """
    chunks = [(number, tokens) for number, tokens in writer.missing() if number % processes == rank]
    position = {token: place for place, token in enumerate(source.tokens)}
    forwards = [
        [position[token] for token in tokens[start : start + FORWARD]]
        for _, tokens in chunks
        for start in range(0, len(tokens), FORWARD)
    ]
    batches = _loaded_batches(source, teacher, forwards, workers)
    written = 0
    for number, tokens in chunks:
        parts = [_arrays(teacher, next(batches), content, device) for _ in range(-(-len(tokens) // FORWARD))]
        writer.write(number, tokens, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
        written += len(tokens)
        on_keyframes(len(tokens))
    return written


def _arrays(
    teacher: Teacher, batch: TrainBatch, content: CacheContent, device: torch.device
) -> dict[str, NDArray[Any]]:
    """What the teacher says about a batch, [B, ...] by the cache's names."""
    taps = taps_of(teacher.eval(), batch.to(device))
    return {name: _stored(value, content.dtype) for name, value in _named(taps, content.features).items()}


def _named(taps: Taps, features: Sequence[str]) -> dict[str, torch.Tensor]:
    chosen = {FEATURE + name: value for name, value in taps.features.items() if not features or name in features}
    return chosen | {OUTPUT + name: value for name, value in taps.outputs.items() if name != BEV_OUTPUT}


def _stored(value: torch.Tensor, dtype: Dtype) -> NDArray[Any]:
    """Indices as int32, which holds any; all else in the cache's type."""
    kind = getattr(torch, dtype) if value.is_floating_point() else torch.int32
    stored: NDArray[Any] = value.to("cpu", kind).contiguous().numpy()
    return stored


class _Keyframes(Dataset[Sample | BevDeployError]):
    """Samples by position, or why one cannot be had: an exception would come out of a worker as its traceback."""

    def __init__(self, source: SampleSource) -> None:
        self.source = source

    def __getitem__(self, position: int) -> Sample | BevDeployError:
        try:
            return _loaded(self.source, position)
        except BevDeployError as error:
            return error


def _loaded(source: SampleSource, position: int) -> Sample:
    """The keyframe at a position, and no other in its place."""
    sample = source.sample(position)
    if sample.token != source.tokens[position]:
        why = sample.passed_over[0] if sample.passed_over else f"another one, {sample.token}, came in its place"
        raise DataSetError(
            f"keyframe {source.tokens[position]}: {why}; a cache holds every keyframe: mend the file, or take it away "
            "and build the index again (bevdeploy data index), which leaves the keyframe out"
        )
    return sample


def _loaded_batches(
    source: SampleSource, teacher: Teacher, forwards: list[list[int]], workers: int
) -> Iterator[TrainBatch]:
    if not forwards:
        return
    loader = DataLoader(
        _Keyframes(source),
        batch_sampler=forwards,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=begin_worker,
        prefetch_factor=2 if workers else None,
    )
    iterator = iter(loader)
    for _ in forwards:
        try:
            loaded = next(iterator)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise TrainingError(f"a loading process died ({error}); is the memory full? try --workers 0") from error
        for each in loaded:
            if isinstance(each, BevDeployError):
                raise each
        yield _batch(loaded, teacher)


def _batch(samples: Sequence[Sample], teacher: Teacher) -> TrainBatch:
    targets = [targets_of(sample, teacher.spec, CentreRule()) for sample in samples]
    return train_batch(samples, targets, teacher.spec)
