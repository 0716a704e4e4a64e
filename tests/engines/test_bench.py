"""The loop: which frames, how many, and what is measured of them, on a scripted clock."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.engines.bench import BenchSettings, bench
from bevdeploy.engines.bench_report import BenchReport
from bevdeploy.engines.machine import MachineState
from bevdeploy.engines.target import load_target
from bevdeploy.errors import FrameSourceError
from bevdeploy.runtime.runner import Arrays, LayerTime

TICK_MS = 1e3 / 1024
Make = Callable[..., Any]


def test_figures_of_five_frames(scripted: Make, nothing_readable: MachineState) -> None:
    made = scripted([9.0, 9.0, 0.010, 0.020, 0.030, 0.040, 0.050])
    settings = BenchSettings(frames=5, warmup_frames=2, warmup_seconds=1e9)
    report = bench(made.pipeline, made.frames(), settings, machine=lambda: nothing_readable)

    assert report.warmup_frames == 2
    assert report.network_ms == pytest.approx([ms + TICK_MS for ms in (10, 20, 30, 40, 50)])
    assert report.application_ms == pytest.approx([ms + 5 * TICK_MS for ms in (10, 20, 30, 40, 50)])
    assert report.network.mean_ms == pytest.approx(30 + TICK_MS)
    assert report.application.p50_ms == pytest.approx(30 + 5 * TICK_MS)
    assert report.application.fps == pytest.approx(1e3 / (30 + 5 * TICK_MS))
    assert (report.application.p99_ms, report.application.misses) == (None, None)
    # one tick per stage, and one each before the first and after the last
    means = {stage.name: stage.mean_ms for stage in report.stages}
    assert means == pytest.approx(
        {"preprocess": TICK_MS, "network": 30 + TICK_MS, "postprocess": TICK_MS, "release": 2 * TICK_MS}
    )
    assert sum(stage.share_percent for stage in report.stages) == pytest.approx(100)
    assert report.recalibration_ms == pytest.approx(TICK_MS)
    assert report.peak_memory_mib is not None and report.gpu_memory_mib is None


@pytest.mark.parametrize(
    ("network_s", "settings", "warm", "timed"),
    [
        (0.001, BenchSettings(), 50, 1000),
        (1.0, BenchSettings(), 5, 30),
        (1.0, BenchSettings(frames=12), 5, 12),
        (20.0, BenchSettings(), 2, 5),
        (1.0, BenchSettings(frames=1, seconds=0.0, warmup_frames=0, warmup_seconds=0.0), 2, 5),
    ],
    ids=["frames", "seconds", "fewer frames", "at least 2 and 5", "nothing asked for"],
)
def test_when_it_stops(
    scripted: Make, nothing_readable: MachineState, network_s: float, settings: BenchSettings, warm: int, timed: int
) -> None:
    made = scripted([network_s])
    report = bench(made.pipeline, made.frames(), settings, machine=lambda: nothing_readable)
    assert (report.warmup_frames, report.application.n, len(made.seen)) == (warm, timed, warm + timed)
    assert report.timed_seconds == pytest.approx(timed * (network_s + 6 / 1024))


def test_frames_are_cycled_through(scripted: Make) -> None:
    made = scripted()
    report = bench(made.pipeline, made.frames(3), BenchSettings(frames=7, warmup_frames=2))
    assert made.seen == [0, 1, 0, 1, 2, 0, 1, 2, 0]
    assert report.frame_sets == 3


def test_misses_are_counted_from_1000_frames_up(scripted: Make, nothing_readable: MachineState) -> None:
    made = scripted([0.05] * 2 + [0.2] * 3 + [0.05])
    settings = BenchSettings(frames=1000, seconds=1e9, warmup_frames=2)
    report = bench(made.pipeline, made.frames(), settings, machine=lambda: nothing_readable)
    assert (report.application.misses, report.application.miss_percent) == (3, 0.3)
    assert report.application.p99_ms == pytest.approx(50 + 5 * TICK_MS)
    assert report.application.max_ms == pytest.approx(200 + 5 * TICK_MS)


def test_baked_geometry_is_not_recalibrated(scripted: Make) -> None:
    made = scripted(geometry_mode="baked")
    assert bench(made.pipeline, made.frames(), BenchSettings(frames=5, warmup_frames=2)).recalibration_ms is None


def test_no_frames(scripted: Make) -> None:
    with pytest.raises(FrameSourceError, match="no camera frames"):
        bench(scripted().pipeline, [])


def test_frames_of_another_size(scripted: Make) -> None:
    with pytest.raises(FrameSourceError, match="expected uint8 RGB 64 x 36 px"):
        bench(scripted().pipeline, [(np.zeros((8, 8, 3), np.uint8),) * 6])


def test_progress_runs_from_0_to_1_in_each_phase(scripted: Make) -> None:
    made = scripted([1.0])
    told: list[tuple[str, float]] = []
    settings = BenchSettings(frames=10, seconds=1e9, warmup_frames=4, layer_frames=1)
    bench(made.pipeline, made.frames(), settings, lambda phase, part: told.append((phase, part)))
    assert list(dict.fromkeys(phase for phase, _ in told)) == ["warm-up", "timing", "layers"]
    timing = [part for phase, part in told if phase == "timing"]
    assert timing == pytest.approx([n / 10 for n in range(1, 11)])


def test_the_collector_stays_on_as_in_an_application(scripted: Make) -> None:
    made = scripted()
    enabled: list[bool] = []
    bench(made.pipeline, made.frames(), BenchSettings(frames=5), lambda phase, part: enabled.append(gc.isenabled()))
    assert enabled and all(enabled)


def test_the_engine_file_is_named_and_hashed(scripted: Make, tmp_path: Path) -> None:
    made = scripted()
    path = tmp_path / "s.fp32.onnx"
    path.write_bytes(b"graph" * 10)
    settings = BenchSettings(frames=5, warmup_frames=2)
    report = bench(made.pipeline, made.frames(), settings, engine=path)
    assert (report.engine, report.engine_sha256) == ("s.fp32.onnx", hashlib.sha256(b"graph" * 10).hexdigest())
    assert bench(made.pipeline, made.frames(), settings).engine is None


def with_layers(made: Any, layers: list[LayerTime]) -> list[tuple[Arrays, int]]:
    asked = []

    def profile(feeds: Arrays, frames: int) -> list[LayerTime]:
        asked.append((feeds, frames))
        return layers

    made.pipeline.runner.profile = profile
    return asked


def test_layers_are_sorted_and_summed_by_kind(scripted: Make) -> None:
    made = scripted()
    layers = [LayerTime("a", "Conv", 2.0), LayerTime("b", "BevPool", 1.0), LayerTime("c", "Conv", 5.0)]
    asked = with_layers(made, layers)
    report = bench(made.pipeline, made.frames(), BenchSettings(frames=5, layer_frames=7))
    ((feeds, frames),) = asked
    assert frames == 7 and {"frames", "row_depth"} <= set(feeds)
    assert [layer.name for layer in report.layers] == ["c", "a", "b"]
    assert [(kind.kind, kind.count, kind.mean_ms, kind.share_percent) for kind in report.kinds()] == [
        ("Conv", 2, 7.0, 87.5),
        ("BevPool", 1, 1.0, 12.5),
    ]
    assert [layer["share_percent"] for layer in report.document()["layers"]] == [62.5, 25.0, 12.5]


def test_layers_are_not_profiled_unless_asked_for(scripted: Make) -> None:
    made = scripted()
    asked = with_layers(made, [])
    assert bench(made.pipeline, made.frames(), BenchSettings(frames=5)).layers == () and asked == []


def test_layers_of_no_time_have_no_share(scripted: Make) -> None:
    made = scripted()
    with_layers(made, [LayerTime("a", "Conv", 0.0)])
    report = bench(made.pipeline, made.frames(), BenchSettings(frames=5, layer_frames=1))
    assert report.kinds()[0].share_percent == 0.0


def test_the_document_is_json_with_raw_latencies(report_of: Callable[[list[float]], BenchReport]) -> None:
    report = report_of([10.0, 11.0, 12.0, 13.0, 14.0, 15.0])
    document = json.loads(json.dumps(report.document(), allow_nan=False))
    assert document["format"] == "bevdeploy.bench/1"
    assert document["latencies_ms"]["application"] == pytest.approx([10, 11, 12, 13, 14, 15])
    assert document["application"]["mean_ms"] == report.application.mean_ms == pytest.approx(12.5)
    assert document["target"]["name"] == "cpu" and document["target"]["budget"]["p99_ms"] == 90.9
    assert document["machine"]["before"]["cpu"] is None
    assert document["verdict"]["gate_failed"] is False


def test_the_default_target_is_the_informative_cpu(scripted: Make) -> None:
    made = scripted()
    assert bench(made.pipeline, made.frames(), BenchSettings(frames=5)).target == load_target("cpu")
