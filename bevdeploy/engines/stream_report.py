"""How a run over many frames went: latencies against a deadline, and what the cameras failed to deliver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bevdeploy.engines.latency import TAIL_FRAMES, LatencyStats, latency_stats
from bevdeploy.engines.target import EngineTarget


@dataclass(frozen=True)
class CameraHealth:
    """Sets in which a camera had no frame of its own."""

    name: str
    held: int
    """Sets that were given the camera's last good frame."""
    black: int
    """Sets that were given a black frame."""
    longest: int
    """Most sets in a row without a frame of its own."""
    faults: Mapping[str, int]
    """Sets by reason: `no frame`, `damaged`, `wrong size`, `ended`."""


@dataclass(frozen=True)
class StreamReport:
    """Latency is a frame's total: frames in memory to BEV result. Every frame counts, the first one too."""

    target: str
    deadline_ms: float
    latency: LatencyStats | None
    """None where no frame ran."""
    longest_streak: int | None
    """Most misses in a row; None below 1,000 frames, as the other figures of the tail."""
    dropped: int
    """Sets that were there and were passed over, because a newer one was there too."""
    cameras: tuple[CameraHealth, ...]
    """Empty for sources that do not go on without a camera."""

    @property
    def degraded(self) -> tuple[CameraHealth, ...]:
        """Cameras that failed at least once."""
        return tuple(camera for camera in self.cameras if camera.held or camera.black)

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        cameras = {camera.name: asdict(camera) for camera in self.cameras}
        for each in cameras.values():
            del each["name"]
        return {
            "target": self.target,
            "deadline_ms": self.deadline_ms,
            "latency": None if self.latency is None else self.latency.document(),
            "longest_streak": self.longest_streak,
            "dropped": self.dropped,
            "cameras": cameras,
        }


def stream_report(
    latencies_ms: Sequence[float], target: EngineTarget, dropped: int = 0, cameras: Sequence[CameraHealth] = ()
) -> StreamReport:
    """Statistics of a run against a target's deadline."""
    deadline_ms = target.budget.deadline_ms
    stats = latency_stats(latencies_ms, deadline_ms) if len(latencies_ms) else None
    streak = longest_streak(latencies_ms, deadline_ms) if len(latencies_ms) >= TAIL_FRAMES else None
    return StreamReport(target.name, deadline_ms, stats, streak, dropped, tuple(cameras))


def longest_streak(latencies_ms: Sequence[float], deadline_ms: float) -> int:
    """Most latencies in a row above a deadline."""
    longest = streak = 0
    for latency_ms in latencies_ms:
        streak = streak + 1 if latency_ms > deadline_ms else 0
        longest = max(longest, streak)
    return longest
