"""Latency of a pipeline: two figures from one loop, and the state of the machine around it.

NETWORK is `Runner.run` on prepared inputs, what trtexec calls latency. APPLICATION is what a car waits for: camera
frames in memory to BevResult. Every timed frame is one `Pipeline.infer`; its network stage is the network figure, so
that both describe the same frames. Reading images from a camera or a disk is in neither.

A temporal student is measured as it runs: each frame is fed with the state of the one before, but for the first of all.

Python's garbage collector stays on while frames are timed, since it is on in the application; one collection right
before takes the garbage of start-up out of the figures.
"""

from __future__ import annotations

import gc
import hashlib
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bevdeploy.engines.bench_report import BenchReport, StageStats, percent_of
from bevdeploy.engines.latency import TAIL_FRAMES, latency_stats
from bevdeploy.engines.machine import MachineState, machine_state, peak_memory_mib
from bevdeploy.engines.steady_drive import steady_drive
from bevdeploy.engines.target import EngineTarget, load_target
from bevdeploy.errors import FrameSourceError
from bevdeploy.runtime.bev_memory import Moment
from bevdeploy.runtime.pipeline import Frames, Pipeline, StageTimes
from bevdeploy.runtime.runner import LayerTime

MIN_WARMUP_FRAMES = 2
"""ONNX Runtime plans its memory in the first run and allocates it in the second; both are slow, the third is not."""
MIN_FRAMES = 5
"""Frames that are timed even where they take longer than the time allowed."""
RECALIBRATIONS = 5

Progress = Callable[[str, float], None]
"""Phase (warm-up, timing, layers) and the share of it that is done, 0..1. Called between frames, not while one runs."""


@dataclass(frozen=True)
class BenchSettings:
    """How long to measure, and against what."""

    frames: int = TAIL_FRAMES
    """Timed frames; the measurement ends with these or with `seconds`, whichever comes first, after 5 at the least."""
    seconds: float = 30.0
    warmup_frames: int = 50
    """Frames before; ends with these or with `warmup_seconds`, whichever comes first, after 2 at the least."""
    warmup_seconds: float = 5.0
    layer_frames: int = 0
    """Frames of a further run with the profiler on, for the times of the layers; 0 leaves it out."""
    target: EngineTarget | None = None
    """Whose budget counts; None is the informative profile `cpu`."""


def bench(
    pipeline: Pipeline,
    frames: Sequence[Frames],
    settings: BenchSettings | None = None,
    progress: Progress | None = None,
    *,
    engine: Path | None = None,
    machine: Callable[[], MachineState] = machine_state,
) -> BenchReport:
    """Measure a pipeline on prepared frames, cycling through them. Time is the pipeline's own clock.

    `engine` is the file that the pipeline was opened from, for the report.

    Raises:
        FrameSourceError: there are no frames, or they do not fit the rig.
    """
    if not frames:
        raise FrameSourceError("no camera frames to measure with")
    settings = settings or BenchSettings()
    tell = progress or _silent
    target = settings.target or load_target("cpu")
    deadline_ms = target.budget.deadline_ms

    before = machine()
    drive = steady_drive(pipeline.contract)
    warm = _timed_loop(
        pipeline,
        frames,
        drive,
        (MIN_WARMUP_FRAMES, settings.warmup_frames, settings.warmup_seconds),
        lambda part: tell("warm-up", part),
    )
    gc.collect()
    timed = _timed_loop(
        pipeline, frames, drive, (MIN_FRAMES, settings.frames, settings.seconds), lambda part: tell("timing", part)
    )
    after = machine()
    recalibration_ms = _recalibration_ms(pipeline)
    peak_mib = peak_memory_mib()
    layers: tuple[LayerTime, ...] = ()
    if settings.layer_frames > 0:
        tell("layers", 0.0)
        layers = tuple(pipeline.runner.profile(pipeline.feeds(frames[0]), settings.layer_frames))
        tell("layers", 1.0)

    return BenchReport(
        engine=None if engine is None else engine.name,
        engine_sha256=None if engine is None else _sha256(engine),
        student=pipeline.contract.student,
        io=pipeline.contract.io,
        geometry_mode=pipeline.contract.geometry_mode,
        contract_digest=pipeline.contract.digest(),
        rig_digest=pipeline.rig.digest(),
        runner=pipeline.runner.info(),
        target=target,
        warmup_frames=len(warm.stages),
        timed_seconds=timed.seconds,
        frame_sets=len(frames),
        network=latency_stats([stages.network_ms for stages in timed.stages], deadline_ms),
        application=latency_stats(timed.application_ms, deadline_ms),
        stages=_stage_stats(timed),
        recalibration_ms=recalibration_ms,
        peak_memory_mib=peak_mib,
        gpu_memory_mib=None,
        before=before,
        after=after,
        layers=tuple(sorted(layers, key=lambda layer: -layer.mean_ms)),
        network_ms=tuple(stages.network_ms for stages in timed.stages),
        application_ms=tuple(timed.application_ms),
    )


@dataclass(frozen=True)
class _Timed:
    """What a loop over frames took."""

    application_ms: list[float]
    stages: list[StageTimes]
    network_parts_ms: list[Mapping[str, float]]
    """What the runner tells of its own stages, frame by frame; empty where it tells nothing."""
    seconds: float


def _timed_loop(
    pipeline: Pipeline,
    frames: Sequence[Frames],
    drive: Iterator[Moment | None],
    limits: tuple[int, int, float],
    tell: Callable[[float], None],
) -> _Timed:
    """Infer until the frames or the seconds of `limits` (fewest, frames, seconds) are reached."""
    fewest, most, most_seconds = limits
    clock = pipeline.clock
    application_ms: list[float] = []
    stages: list[StageTimes] = []
    parts_ms: list[Mapping[str, float]] = []
    start = clock()
    while True:
        frame, moment = frames[len(stages) % len(frames)], next(drive)
        began = clock()
        pipeline.infer(
            frame, moment=moment
        )  # the result is dropped here: releasing a frame's arrays is part of its time
        ended = clock()
        application_ms.append((ended - began) * 1e3)
        stages.append(pipeline.last_times)
        parts_ms.append(getattr(pipeline.runner, "last_stages_ms", {}))
        done, seconds = len(stages), ended - start
        if done >= fewest and (done >= most or seconds >= most_seconds):
            tell(1.0)
            return _Timed(application_ms, stages, parts_ms, seconds)
        of_time = seconds / most_seconds if most_seconds > 0 else 0.0
        tell(min(1.0, max(done / max(most, fewest), of_time)))


def _stage_stats(timed: _Timed) -> tuple[StageStats, ...]:
    series = {
        "preprocess": [stages.preprocess_ms for stages in timed.stages],
        "network": [stages.network_ms for stages in timed.stages],
        "postprocess": [stages.postprocess_ms for stages in timed.stages],
        "release": [whole - stages.total_ms for whole, stages in zip(timed.application_ms, timed.stages, strict=True)],
    }
    whole_ms = statistics.fmean(timed.application_ms)

    def stats(name: str, values: Sequence[float], parts: tuple[StageStats, ...] = ()) -> StageStats:
        mean_ms = statistics.fmean(values)
        return StageStats(name, mean_ms, statistics.median(values), percent_of(mean_ms, whole_ms), parts)

    told = timed.network_parts_ms
    parts = tuple(stats(name, [frame_ms[name] for frame_ms in told]) for name in told[0])
    return tuple(stats(name, values, parts if name == "network" else ()) for name, values in series.items())


def _recalibration_ms(pipeline: Pipeline) -> float | None:
    if pipeline.contract.geometry_mode == "baked":
        return None
    times_ms = []
    for _ in range(RECALIBRATIONS):
        start = pipeline.clock()
        pipeline.recalibrate(pipeline.rig)
        times_ms.append((pipeline.clock() - start) * 1e3)
    return statistics.median(times_ms)


def _sha256(path: Path) -> str | None:
    state = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                state.update(chunk)
    except OSError:
        return None
    return state.hexdigest()


def _silent(phase: str, part: float) -> None:
    """Progress that nobody watches."""
