"""Statistics of a series of latencies, and when a tail may be quoted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

TAIL_FRAMES = 1000
"""Frames from which p99 and deadline misses are quoted: below, p99 rests on fewer than ten frames."""


@dataclass(frozen=True)
class LatencyStats:
    """Percentiles interpolate linearly between the two nearest frames (NumPy's `linear`)."""

    n: int
    mean_ms: float
    std_ms: float
    """Jitter: the standard deviation over the frames (divided by n)."""
    p50_ms: float
    p90_ms: float
    min_ms: float
    max_ms: float
    fps: float | None
    """1000 / mean, one frame after the other; None where the mean is 0."""
    p99_ms: float | None
    """None below 1,000 frames, as the three that follow."""
    tail_ms: float | None
    """p99 - p50: how far the slow frames stand off."""
    misses: int | None
    """Frames above the deadline."""
    miss_percent: float | None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)


def latency_stats(latencies_ms: Sequence[float], deadline_ms: float) -> LatencyStats:
    """Statistics of one or more latencies.

    Raises:
        ValueError: there is no latency, or one is not a finite number.
    """
    values = np.asarray(latencies_ms, np.float64)  # [n]
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError("statistics need one or more finite latencies")
    mean_ms = float(values.mean())
    p50_ms, p90_ms, p99_ms = (float(p) for p in np.percentile(values, [50, 90, 99], method="linear"))
    misses = int(np.count_nonzero(values > deadline_ms))
    tail = values.size >= TAIL_FRAMES
    return LatencyStats(
        n=values.size,
        mean_ms=mean_ms,
        std_ms=float(values.std()),
        p50_ms=p50_ms,
        p90_ms=p90_ms,
        min_ms=float(values.min()),
        max_ms=float(values.max()),
        fps=1e3 / mean_ms if mean_ms > 0 else None,
        p99_ms=p99_ms if tail else None,
        tail_ms=p99_ms - p50_ms if tail else None,
        misses=misses if tail else None,
        miss_percent=100.0 * misses / values.size if tail else None,
    )
