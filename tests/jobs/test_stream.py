"""`run` on streams: real sources, pipeline, card and command line, with a fake network that tells what it saw."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from bevdeploy.data import Fault, LiveOptions, PartialSet
from bevdeploy.engines.latency import TAIL_FRAMES, latency_stats
from bevdeploy.engines.stream_report import CameraHealth, longest_streak, stream_report
from bevdeploy.engines.target import load_target
from bevdeploy.errors import FrameSourceError, OutputError
from bevdeploy.geometry import CameraRig, ViewGeometry, indices_from_rig
from bevdeploy.geometry.pool_tables import TABLE_NAMES, sizes_of_need
from bevdeploy.jobs.frames import FrameSource, frame_source
from bevdeploy.jobs.result_lines import ResultLines
from bevdeploy.jobs.run_frames import PAGE_FRAMES, RunOptions, run_frames
from bevdeploy.jobs.stream_frames import HeldFrames
from bevdeploy.report.stream_card import stream_card
from bevdeploy.runtime import Contract, Pipeline, Preprocessing, TensorSpec
from bevdeploy.runtime.runner import Arrays, FakeRunner
from bevdeploy.tasks import TaskSpec

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

ROOT = Path(__file__).resolve().parents[2]
TASKS = TaskSpec(detections=5, occupancy_half_extent_m=4.0, occupancy_cell_m=1.0, motion_modes=2, motion_steps=3)


def contract_of(rig: CameraRig, view: ViewGeometry) -> Contract:
    sizes = sizes_of_need(indices_from_rig(rig, view)).grown(1.25)
    shapes = ((sizes.rows, 16), (sizes.rows, 16), (sizes.sums1, 8), (sizes.sums2, 8), view.grid.shape_zyx[1:])
    tables = tuple(
        TensorSpec(name, shape, "int32", "1", "pool table") for name, shape in zip(TABLE_NAMES, shapes, strict=True)
    )
    height_px, width_px = rig.image_hw
    frames = TensorSpec("frames", (len(rig.names), height_px, width_px, 3), "uint8", "grey level", "raw RGB images")
    return Contract(
        student="fake",
        io="frames",
        geometry_mode="runtime",
        inputs=(frames, *tables),
        outputs=(TensorSpec("boxes", (5, 9), "float32", "m", "boxes"),),
        cameras=rig.names,
        raw_hw=(height_px, width_px),
        geometry=view,
        table_sizes=sizes,
        tasks=TASKS,
        preprocessing=Preprocessing(),
    )


class SeeingRunner(FakeRunner):
    """Remembers the mean grey level of every camera's image."""

    def __init__(self, contract: Contract) -> None:
        self.seen: list[list[float]] = []
        outputs = {
            "boxes": np.tile(np.array([5, 0, 0, 4, 2, 1.5, 0, 0, 0], np.float32), (5, 1)),
            "scores": np.array([0.9, 0.8, 0.5, 0.2, 0.1], np.float32),
            "labels": np.zeros(5, np.int32),
            "cells": np.arange(5, dtype=np.int32),
            "trajectories": np.zeros((5, 2, 3, 2), np.float32),
            "trajectory_probabilities": np.full((5, 2), 0.5, np.float32),
            "map_probabilities": np.zeros((4, *contract.geometry.grid.shape_zyx[1:]), np.float32),
            "occupancy_probabilities": np.zeros((5, 8, 8), np.float32),
            "plans": np.zeros((3, 6, 2), np.float32),
        }

        def see(feeds: Arrays) -> dict[str, np.ndarray]:
            self.seen.append([float(image.mean()) for image in feeds["frames"]])
            return outputs

        super().__init__(see)


@pytest.fixture
def contract(small_rig: CameraRig, small_view: ViewGeometry) -> Contract:
    return contract_of(small_rig, small_view)


@pytest.fixture
def pipeline(contract: Contract, small_rig: CameraRig) -> Pipeline:
    return Pipeline(SeeingRunner(contract), contract, small_rig)


def grey(level: int) -> np.ndarray:
    return np.full((36, 64, 3), level, np.uint8)


def fault(kind: Any = "no frame") -> Fault:
    return Fault(kind, f"made up: {kind}")


def moments(rows: Sequence[str], cameras: int = 6) -> list[PartialSet]:
    """A set per row: `.` or nothing is a frame of level 10 * (row + 1), `n`, `d` and `w` are faults."""
    kinds = {"n": "no frame", "d": "damaged", "w": "wrong size"}
    sets = []
    for number, row in enumerate(rows):
        letters = row.ljust(cameras, ".")
        frames = tuple(grey(10 * (number + 1)) if each == "." else fault(kinds[each]) for each in letters)
        sets.append(PartialSet(f"{number:06d}", None, frames))
    return sets


def source_of(held: HeldFrames, rig: CameraRig) -> FrameSource:
    return FrameSource("made up", rig, held, None, lambda frame_set: None, health=held.health)


def lines_of(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    assert content.endswith(b"\n") or not content
    return [json.loads(line) for line in content.splitlines()]


def test_a_camera_is_held_then_black_then_back(small_rig: CameraRig, pipeline: Pipeline, tmp_path: Path) -> None:
    told: list[str] = []
    rows = ["......", "......", "n.....", "d.....", "n.....", "n.....", "......", "......"]
    held = HeldFrames(moments(rows), small_rig, hold_frames=2, tell=told.append)
    report = run_frames(pipeline, Path("fake.onnx"), source_of(held, small_rig), tmp_path, RunOptions(pictures=False))
    name = small_rig.names[0]
    lines = lines_of(tmp_path / "results.jsonl")
    assert [line["degraded"].get(name) for line in lines] == [
        None,
        None,
        "held 1",
        "held 2",
        "black",
        "black",
        None,
        None,
    ]
    assert all(set(line["degraded"]) <= {name} for line in lines)
    runner = pipeline.runner
    assert isinstance(runner, SeeingRunner)
    assert [row[0] for row in runner.seen] == [10, 20, 20, 20, 0, 0, 70, 80]
    assert [row[1] for row in runner.seen] == [10, 20, 30, 40, 50, 60, 70, 80]
    assert told == [
        f"{name}: no frame at 000002: made up: no frame; its last good frame stands in for up to 2 sets",
        f"{name}: black from 000004 on: made up: no frame",
        f"{name}: frames again at 000006, after 4 sets without",
    ]
    (health,) = report.stream.degraded
    assert health == CameraHealth(name, held=2, black=2, longest=4, faults={"no frame": 3, "damaged": 1})
    assert report.document()["stream"]["cameras"][name]["black"] == 2
    assert report.document()["stream"]["cameras"][small_rig.names[1]]["black"] == 0


def test_a_camera_that_never_came_is_black_from_the_start(small_rig: CameraRig) -> None:
    told: list[str] = []
    sets = list(HeldFrames(moments(["..n"] * 3), small_rig, tell=told.append))
    assert [dict(one.degraded) for one in sets] == [{small_rig.names[2]: "black"}] * 3
    assert all(not one.frames[2].any() and one.frames[2].shape == (36, 64, 3) for one in sets)
    assert told == [f"{small_rig.names[2]}: black from 000000 on: made up: no frame"]


def test_without_holding_the_first_failure_is_black(small_rig: CameraRig) -> None:
    sets = list(HeldFrames(moments(["", "w", ""]), small_rig, hold_frames=0))
    assert [dict(one.degraded) for one in sets] == [{}, {small_rig.names[0]: "black"}, {}]


def test_strict_ends_at_the_first_failure_and_keeps_what_ran(
    small_rig: CameraRig, pipeline: Pipeline, tmp_path: Path
) -> None:
    held = HeldFrames(moments(["", "", "d", ""]), small_rig, strict=True)
    with pytest.raises(
        FrameSourceError, match=rf"{small_rig.names[0]}, set 000002: made up: damaged; without --strict"
    ):
        run_frames(pipeline, Path("fake.onnx"), source_of(held, small_rig), tmp_path, RunOptions(pictures=False))
    assert [line["token"] for line in lines_of(tmp_path / "results.jsonl")] == ["000000", "000001"]


def write_images(folder: Path, rig: CameraRig, count: int, without: tuple[str, int] = ("", 0)) -> None:
    rig.save(folder / "rig.json")
    for name in rig.names:
        (folder / name).mkdir()
        for number in range(count):
            if name != without[0] or number < without[1]:
                Image.fromarray(grey(10 * (number + 1))).save(folder / name / f"{number:06d}.png")


def test_videos_end_to_end(small_rig: CameraRig, pipeline: Pipeline, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    folder = tmp_path / "drive"
    folder.mkdir()
    small_rig.save(folder / "rig.json")
    for name in small_rig.names:
        with av.open(str(folder / f"{name}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 36, "bgr0"
            for number in range(4 if name == small_rig.names[3] else 10):
                frame = av.VideoFrame.from_ndarray(grey(10 * (number + 1)), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    told: list[str] = []
    source = frame_source(folder, None, tell=told.append)
    assert source.count == 10
    report = run_frames(pipeline, Path("fake.onnx"), source, tmp_path / "out", RunOptions(pictures=False))
    lost = small_rig.names[3]
    lines = lines_of(tmp_path / "out" / "results.jsonl")
    assert [line["timestamp_us"] for line in lines] == [100_000 * n for n in range(10)]
    assert [line["degraded"].get(lost) for line in lines[3:]] == [None, "held 1", "held 2", "held 3", *["black"] * 3]
    runner = pipeline.runner
    assert isinstance(runner, SeeingRunner)
    assert [row[3] for row in runner.seen] == [10, 20, 30, 40, 40, 40, 40, 0, 0, 0]
    assert [row[0] for row in runner.seen] == [10.0 * (n + 1) for n in range(10)]
    assert told[0].startswith(f"{lost}.mkv ends 0.6 s earlier") and len(told) == 3
    assert report.stream.degraded[0].faults == {"ended": 6}
    assert f"{lost}     3      3        6  ended 6" in stream_text(report.stream)
    with pytest.raises(FrameSourceError, match=r"set 000004: .*mkv ended at 0.30 s"):
        list(frame_source(folder, None, strict=True).sets)
    assert len(list(frame_source(folder, None, limit=2).sets)) == 2


def test_a_live_folder_end_to_end(small_rig: CameraRig, pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "drive"
    folder.mkdir()
    write_images(folder, small_rig, 5, without=(small_rig.names[1], 3))
    (folder / small_rig.names[2] / "000001.png").write_bytes(b"\x89PNG half")
    source = frame_source(folder, None, live=LiveOptions(stall_ms=50.0, idle_seconds=0.3))
    assert source.count is None
    report = run_frames(pipeline, Path("fake.onnx"), source, tmp_path / "out", RunOptions(pictures=False))
    lines = lines_of(tmp_path / "out" / "results.jsonl")
    assert [line["degraded"] for line in lines] == [
        {},
        {small_rig.names[2]: "held 1"},
        {},
        {small_rig.names[1]: "held 1"},
        {small_rig.names[1]: "held 2"},
    ]
    assert report.document()["stream"]["cameras"][small_rig.names[2]]["faults"] == {"damaged": 1}


def test_live_wants_a_folder_of_images(small_rig: CameraRig, tmp_path: Path) -> None:
    small_rig.save(tmp_path / "rig.json")
    for name in small_rig.names:
        (tmp_path / f"{name}.mkv").touch()
    with pytest.raises(FrameSourceError, match="--live follows a folder of images"):
        frame_source(tmp_path, None, live=LiveOptions())
    for folder in ("v1.0-mini", "samples", "maps"):
        (tmp_path / folder).mkdir()
    (tmp_path / "v1.0-mini" / "sample.json").write_text("[]")
    with pytest.raises(FrameSourceError, match=r"a nuScenes root does not grow|--live follows"):
        frame_source(tmp_path, None, live=LiveOptions())


def stream_text(report: Any) -> str:
    shown = io.StringIO()
    Console(width=120, file=shown).print(stream_card(report))
    return shown.getvalue()


def test_statistics_are_those_of_bench_and_the_tail_waits_for_1000_frames() -> None:
    target = load_target("cpu")
    rng = np.random.default_rng(3)
    latencies_ms = rng.uniform(50.0, 95.0, TAIL_FRAMES)
    latencies_ms[100:107] = 200.0
    latencies_ms[[99, 107]] = 10.0
    report = stream_report(latencies_ms, target, dropped=3)
    assert report.latency == latency_stats(latencies_ms, target.budget.deadline_ms)
    assert report.latency is not None and report.latency.misses == int((latencies_ms > 90.9).sum())
    assert report.longest_streak == 7 and report.dropped == 3
    text = stream_text(report)
    assert f"{report.latency.misses} ({report.latency.miss_percent:.2f} %)" in text and "90.9 ms" in text
    short = stream_report(latencies_ms[:-1], target)
    assert short.longest_streak is None and short.latency is not None and short.latency.misses is None
    assert stream_text(short).count("n/a (n=999)") == 3
    assert stream_report([], target).document()["latency"] is None
    assert "no frame ran" in stream_text(stream_report([], target))


@pytest.mark.parametrize(
    "latencies_ms, streak", [([], 0), ([1, 1], 0), ([9, 1, 9, 9, 1, 9], 2), ([9, 9, 9], 3), ([5, 5.1], 1)]
)
def test_longest_streak(latencies_ms: list[float], streak: int) -> None:
    assert longest_streak(latencies_ms, 5) == streak


def test_a_long_run_keeps_a_bounded_page(small_rig: CameraRig, pipeline: Pipeline, tmp_path: Path) -> None:
    count = TAIL_FRAMES + 5
    held = HeldFrames((moments([""])[0] for _ in range(count)), small_rig)
    report = run_frames(pipeline, Path("fake.onnx"), source_of(held, small_rig), tmp_path, RunOptions(pictures=False))
    assert report.count == count and len(report.frames) == PAGE_FRAMES
    document = report.document()
    assert document["frames"] == document["stream"]["latency"]["n"] == count
    assert document["stream"]["latency"]["misses"] is not None and document["stream"]["longest_streak"] is not None
    assert len(lines_of(tmp_path / "results.jsonl")) == count


def test_ctrl_c_keeps_what_ran(small_rig: CameraRig, pipeline: Pipeline, tmp_path: Path) -> None:
    def interrupted() -> Any:
        yield from moments(["", "n", ""])
        raise KeyboardInterrupt

    held = HeldFrames(interrupted(), small_rig)
    report = run_frames(pipeline, Path("fake.onnx"), source_of(held, small_rig), tmp_path)
    assert report.interrupted and report.count == 3 and report.document()["interrupted"] is True
    assert report.page_file is not None and report.page_file.is_file() and len(list(tmp_path.glob("*.png"))) == 3
    assert len(lines_of(tmp_path / "results.jsonl")) == 3


def test_lines_replace_an_older_run_only_when_one_comes(tmp_path: Path) -> None:
    path = tmp_path / "out" / "results.jsonl"
    with ResultLines(path) as lines:
        lines.append({"run": 1})
        assert path.read_text() == '{"run": 1}\n', "there while the run goes on"
    with pytest.raises(RuntimeError), ResultLines(path) as lines:
        raise RuntimeError("before the first frame")
    assert path.read_text() == '{"run": 1}\n'
    with ResultLines(path) as lines:
        pass
    assert path.read_text() == ""


def test_a_disk_that_fills_up_keeps_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.jsonl"
    write = os.write
    with ResultLines(path) as lines:
        lines.append({"frame": 1})
        monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:5]))
        with pytest.raises(OutputError, match=r"results.jsonl: a line was not written"):
            lines.append({"frame": 2})
        monkeypatch.undo()
    assert path.read_text() == '{"frame": 1}\n'


COMMAND = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("stream_tests", sys.argv.pop(1))
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
from bevdeploy import cli
from bevdeploy.geometry import BEVGrid, DepthBins
from bevdeploy.jobs import open_pipeline
view = tests.ViewGeometry(BEVGrid((-20.0, -12.0, -5.0), (2.0, 2.0, 8.0), (20, 12, 1)), DepthBins(1.0, 25.0, 2.0),
                          (16, 32), (4, 8))
def fake(engine, rig, threads):
    contract = tests.contract_of(rig, view)
    return tests.Pipeline(tests.SeeingRunner(contract), contract, rig)
open_pipeline.open_pipeline = fake
cli.main()
"""


@contextmanager
def command(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """`bevdeploy` in a process of its own; only the network is made up."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, __file__, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(600):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("nothing happened for 30 s")


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_stopped_process_leaves_whole_lines(
    sent: signal.Signals, code: int, small_rig: CameraRig, tmp_path: Path
) -> None:
    folder, results = tmp_path / "drive", tmp_path / "out" / "results.jsonl"
    folder.mkdir()
    write_images(folder, small_rig, 12, without=(small_rig.names[5], 2))
    summary = tmp_path / "run.json"
    arguments = ["run", folder, "--engine", "fake.onnx", "-o", results.parent, "--live", "--idle-seconds", "60"]
    with command(*arguments, "--json", summary) as process:
        wait_for(lambda: results.is_file() and results.read_bytes().count(b"\n") == 12, process)
        process.send_signal(sent)
        out, errors = process.communicate(timeout=30)
    assert process.returncode == code, errors
    lines = lines_of(results)
    assert [line["token"] for line in lines] == [f"{n:06d}" for n in range(len(lines))]
    assert lines[2]["degraded"] == {small_rig.names[5]: "held 1"}
    assert errors.count(f"{small_rig.names[5]}: no frame at 000002") == 1
    if sent == signal.SIGINT:
        document = json.loads(summary.read_text())
        assert document["interrupted"] is True and document["frames"] == len(lines)
        assert "longest streak" in out and "Traceback" not in errors
    else:
        assert not summary.exists()


def test_the_command_line_on_a_live_folder(small_rig: CameraRig, tmp_path: Path) -> None:
    write_images(tmp_path, small_rig, 3)
    options = ["--engine", "fake.onnx", "--live", "--idle-seconds", "0.3", "-t", "orin-agx-64gb"]
    with command("run", tmp_path, "-o", tmp_path / "out", *options) as process:
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "every set had a frame of every camera" in out and "the deadline of orin-agx-64gb" in out
    assert "n/a (n=3)" in out
    assert not list((tmp_path / "out").glob("*.png")), "no pictures while following, unless they are asked for"
