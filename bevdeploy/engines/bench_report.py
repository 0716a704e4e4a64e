"""BenchReport: everything one benchmark measured. The card and the JSON file are both written from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bevdeploy.engines.budget import Verdict, verdict
from bevdeploy.engines.latency import LatencyStats
from bevdeploy.engines.machine import MachineState, warnings_of
from bevdeploy.engines.target import EngineTarget
from bevdeploy.runtime.runner import LayerTime, RunnerInfo

BENCH_FORMAT = "bevdeploy.bench/1"


@dataclass(frozen=True)
class StageStats:
    """One stage of the application figure."""

    name: str
    mean_ms: float
    p50_ms: float
    share_percent: float
    """Of the application's mean."""
    parts: tuple[StageStats, ...] = ()
    """What the runner itself tells of the stage: copies to a GPU and back, and what it computes."""


@dataclass(frozen=True)
class KindTime:
    """All layers of one operator type."""

    kind: str
    count: int
    mean_ms: float
    share_percent: float


@dataclass(frozen=True)
class BenchReport:
    """Figures of one engine on one machine."""

    engine: str | None
    """File name; None for a runner that came from no file."""
    engine_sha256: str | None
    student: str
    io: str
    geometry_mode: str
    contract_digest: str
    rig_digest: str
    runner: RunnerInfo
    target: EngineTarget
    warmup_frames: int
    timed_seconds: float
    frame_sets: int
    """Different frames that were cycled through; they are held in memory and count in the peak."""
    network: LatencyStats
    """`Runner.run` on prepared inputs: what trtexec calls latency."""
    application: LatencyStats
    """Camera frames in memory to BevResult: what the budget is for."""
    stages: tuple[StageStats, ...]
    recalibration_ms: float | None
    """Index tables of a new rig, median of 5; None with baked geometry, where a new rig needs a new export."""
    peak_memory_mib: float | None
    """Largest resident memory of the process, libraries and frames included."""
    gpu_memory_mib: float | None
    before: MachineState
    after: MachineState
    layers: tuple[LayerTime, ...]
    """Longest first, from a separate run with the profiler on; empty unless asked for."""
    network_ms: tuple[float, ...]
    """Raw latencies in the order they were taken."""
    application_ms: tuple[float, ...]

    @property
    def verdict(self) -> Verdict:
        """This report against its own target."""
        return verdict(self, self.target)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be known before a figure of this report is repeated or compared."""
        found = list(warnings_of(self.before, self.after))
        if self.runner.device == "cpu":
            found.append("measured on a CPU: these figures say nothing about an Orin")
        if self.runner.threads is not None and self.runner.threads > self.before.cores:
            found.append(f"{self.runner.threads} threads on {self.before.cores} cores")
        if self.target.power_mode is not None and self.before.power_mode is None:
            found.append(f"power mode not readable; the budget is meant for {self.target.power_mode}")
        return tuple(found)

    def kinds(self) -> tuple[KindTime, ...]:
        """The layers summed by operator type, longest first."""
        total_ms = sum(layer.mean_ms for layer in self.layers)
        by_kind: dict[str, list[float]] = {}
        for layer in self.layers:
            by_kind.setdefault(layer.kind, []).append(layer.mean_ms)
        kinds = [
            KindTime(kind, len(times_ms), sum(times_ms), percent_of(sum(times_ms), total_ms))
            for kind, times_ms in by_kind.items()
        ]
        return tuple(sorted(kinds, key=lambda kind: -kind.mean_ms))

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        total_ms = sum(layer.mean_ms for layer in self.layers)
        return {
            "format": BENCH_FORMAT,
            "engine": {"file": self.engine, "sha256": self.engine_sha256},
            "student": self.student,
            "io": self.io,
            "geometry_mode": self.geometry_mode,
            "contract_digest": self.contract_digest,
            "rig_digest": self.rig_digest,
            "runner": asdict(self.runner),
            "target": self.target.document(),
            "warmup_frames": self.warmup_frames,
            "timed_seconds": self.timed_seconds,
            "frame_sets": self.frame_sets,
            "network": self.network.document(),
            "application": self.application.document(),
            "stages": [asdict(stage) for stage in self.stages],
            "recalibration_ms": self.recalibration_ms,
            "peak_memory_mib": self.peak_memory_mib,
            "gpu_memory_mib": self.gpu_memory_mib,
            "verdict": self.verdict.document(),
            "warnings": list(self.warnings),
            "machine": {"before": self.before.document(), "after": self.after.document()},
            "layers": [
                {**asdict(layer), "share_percent": percent_of(layer.mean_ms, total_ms)} for layer in self.layers
            ],
            "layer_kinds": [asdict(kind) for kind in self.kinds()],
            "latencies_ms": {"network": list(self.network_ms), "application": list(self.application_ms)},
        }


def percent_of(part: float, whole: float) -> float:
    """Share in percent; 0 of nothing is 0."""
    return 100.0 * part / whole if whole > 0 else 0.0
