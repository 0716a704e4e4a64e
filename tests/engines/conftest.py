"""A pipeline whose clock and network are scripted, so that every statistic can be checked by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.engines.bench import BenchSettings, bench
from bevdeploy.engines.bench_report import BenchReport
from bevdeploy.engines.machine import MachineState, machine_state
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry, indices_from_rig, surround_rig
from bevdeploy.geometry.pool_tables import sizes_of_need
from bevdeploy.runtime import Contract, FakeRunner, Pipeline, Preprocessing
from bevdeploy.runtime.runner import Arrays
from bevdeploy.tasks import TaskSpec

TICK_S = 2.0**-10
"""Every look at the clock takes this long, a power of two so that sums are exact; a frame is looked at six times."""
TICK_MS = TICK_S * 1e3
RAW_HW = (36, 64)
CAMERAS = 6


class TickingClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += TICK_S
        return self.now_s


@dataclass
class Scripted:
    """A pipeline whose n-th network run takes the n-th number of seconds; the last one repeats."""

    pipeline: Pipeline
    clock: TickingClock
    seen: list[int] = field(default_factory=list)
    """First pixel of every frame set that the network was given."""

    def frames(self, count: int = 1) -> list[tuple[np.ndarray, ...]]:
        """Frame set `n` is filled with the value `n`."""
        return [(np.full((*RAW_HW, 3), n, np.uint8),) * CAMERAS for n in range(count)]


def tiny_contract(geometry_mode: Any = "runtime") -> Contract:
    rig = surround_rig(RAW_HW[1], RAW_HW[0])
    view = ViewGeometry(BEVGrid.centred(16.0, 2.0, (-5.0, 3.0)), DepthBins(1.0, 15.0, 2.0), (32, 64), (4, 8))
    return Contract(
        student="tiny",
        io="frames",
        geometry_mode=geometry_mode,
        inputs=(),
        outputs=(),
        cameras=rig.names,
        raw_hw=RAW_HW,
        geometry=view,
        table_sizes=sizes_of_need(indices_from_rig(rig, view)).grown(1.25),
        tasks=TaskSpec(detections=3),
        preprocessing=Preprocessing(),
        rig_digest=rig.digest() if geometry_mode == "baked" else None,
    )


@pytest.fixture
def scripted() -> Callable[..., Scripted]:
    def make(network_s: Iterable[float] = (0.0,), geometry_mode: str = "runtime") -> Scripted:
        script = list(network_s)
        durations = chain(script, repeat(script[-1]))
        clock = TickingClock()
        seen: list[int] = []
        shapes = {
            "boxes": (3, 9),
            "scores": (3,),
            "labels": (3,),
            "trajectories": (3, 6, 12, 2),
            "trajectory_probabilities": (3, 6),
            "map_probabilities": (4, 16, 16),
            "occupancy_probabilities": (5, 16, 16),
            "plans": (3, 6, 2),
        }

        def network(feeds: Arrays) -> dict[str, Any]:
            seen.append(int(feeds["frames"][0, 0, 0, 0]))
            clock.now_s += next(durations)
            return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}

        rig = surround_rig(RAW_HW[1], RAW_HW[0])
        return Scripted(Pipeline(FakeRunner(network), tiny_contract(geometry_mode), rig, clock), clock, seen)

    return make


@pytest.fixture
def nothing_readable(tmp_path: Path) -> MachineState:
    return machine_state(tmp_path / "no such root", lambda command: None)


@pytest.fixture
def report_of(
    scripted: Callable[..., Scripted], nothing_readable: MachineState
) -> Callable[[Sequence[float]], BenchReport]:
    """The report of frames whose application figure takes the given milliseconds, at least 5 ticks each."""

    def make(application_ms: Sequence[float]) -> BenchReport:
        network_s = [ms / 1e3 - 5 * TICK_S for ms in application_ms]
        made = scripted([network_s[0]] * 2 + network_s)  # two frames of warm-up
        settings = BenchSettings(frames=len(application_ms), seconds=1e9, warmup_frames=2)
        return bench(made.pipeline, made.frames(), settings, machine=lambda: nothing_readable)

    return make
