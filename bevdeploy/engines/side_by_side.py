"""Latency of two pipelines on the same machine: A B A B, so that both meet the same clocks, heat and neighbours."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bevdeploy.engines.latency import LatencyStats, latency_stats
from bevdeploy.engines.steady_drive import steady_drive
from bevdeploy.errors import FrameSourceError
from bevdeploy.runtime.pipeline import Frames, Pipeline

WARMUP_FRAMES = 3
MIN_FRAMES = 5
"""Frames of each that are timed even where they take longer than the time allowed."""


@dataclass(frozen=True)
class SideBySide:
    """Network latencies of A and B, taken in turns. No target is judged, so nothing counts as a miss."""

    a: LatencyStats
    b: LatencyStats

    @property
    def ratio(self) -> float | None:
        """Median of B over median of A; None where A's is 0."""
        return self.b.p50_ms / self.a.p50_ms if self.a.p50_ms > 0 else None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"a": self.a.document(), "b": self.b.document(), "ratio_of_medians": self.ratio}


def side_by_side(
    a: Pipeline,
    b: Pipeline,
    frames: Sequence[Frames],
    seconds: float,
    advance: Callable[[float], None] = lambda part: None,
) -> SideBySide:
    """Time both on each frame in turn until `seconds` have passed; frames are cycled through.

    Raises:
        FrameSourceError: there are no frames, or they do not fit a rig.
    """
    if not frames:
        raise FrameSourceError("no camera frames to measure with")
    pairs = [(pipeline, steady_drive(pipeline.contract)) for pipeline in (a, b)]
    for _ in range(WARMUP_FRAMES):
        for pipeline, drive in pairs:
            pipeline.infer(frames[0], moment=next(drive))
    gc.collect()
    latencies_ms: tuple[list[float], list[float]] = ([], [])
    start = a.clock()
    while (passed := a.clock() - start) < seconds or len(latencies_ms[1]) < MIN_FRAMES:
        frame = frames[len(latencies_ms[1]) % len(frames)]
        for (pipeline, drive), times_ms in zip(pairs, latencies_ms, strict=True):
            pipeline.infer(frame, moment=next(drive))
            times_ms.append(pipeline.last_times.network_ms)
        advance(min(1.0, passed / seconds) if seconds > 0 else 1.0)
    return SideBySide(*(latency_stats(times_ms, math.inf) for times_ms in latencies_ms))
