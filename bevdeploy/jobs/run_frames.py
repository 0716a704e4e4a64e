"""`bevdeploy run`: frames of a source through a pipeline, to JSON lines, pictures and one page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bevdeploy import __version__
from bevdeploy.data import FrameSet, TrueBoxes
from bevdeploy.jobs.frames import FrameSource
from bevdeploy.paths import write_text
from bevdeploy.report import Figure, FrameTitle, Page, Section, Table, frame_picture, jpeg_bytes, save_html, save_png
from bevdeploy.runtime import BevResult, Pipeline
from bevdeploy.runtime.pipeline import StageTimes

NEAR_M = 60.0
"""True boxes farther away are not drawn: the grid ends at about 50 m."""


@dataclass(frozen=True)
class RunOptions:
    """What the command line may change."""

    score: float = 0.3
    """Boxes below it are left out of pictures and JSON lines."""
    pictures: bool = True
    note: str | None = None
    """Stands in every picture."""


@dataclass(frozen=True, eq=False)
class FrameOutcome:
    """One frame's result, where its picture is, and how long it took."""

    token: str
    result: BevResult
    times: StageTimes
    picture: Path | None
    figure: Figure | None


@dataclass(frozen=True, eq=False)
class RunReport:
    """All frames of a run and the files that tell of them."""

    source: str
    engine: str
    frames: tuple[FrameOutcome, ...]
    skipped: int
    results_file: Path
    page_file: Path | None

    def document(self) -> dict[str, object]:
        """The JSON document."""
        totals_ms = [frame.times.total_ms for frame in self.frames]
        return {
            "source": self.source,
            "engine": self.engine,
            "frames": len(self.frames),
            "skipped": self.skipped,
            "median_ms": round(float(np.median(totals_ms)), 3) if totals_ms else None,
            "results": str(self.results_file),
            "page": None if self.page_file is None else str(self.page_file),
        }


def run_frames(
    pipeline: Pipeline,
    engine: Path,
    source: FrameSource,
    output: Path,
    options: RunOptions = RunOptions(),
    advance: Callable[[int], None] = lambda done: None,
) -> RunReport:
    """Go through the source once; a frame set with another rig recalibrates the pipeline first.

    Writes `results.jsonl`, one PNG per frame and `index.html` into the folder `output`.

    Raises:
        FrameSourceError: a frame cannot be read or does not fit the graph.
        ContractError: a rig does not fit the graph.
        OutputError: a file cannot be written.
    """
    frames, lines = [], []
    for frame_set in source.sets:
        if frame_set.rig.digest() != pipeline.rig.digest():
            pipeline.recalibrate(frame_set.rig)
        result = pipeline.infer(frame_set.frames).above(options.score)
        times = pipeline.last_times
        lines.append(json.dumps(_line(frame_set, result, times)))
        picture, figure = None, None
        if options.pictures:
            picture, figure = _pictured(
                pipeline, engine, frame_set, result, times, source.truth(frame_set), output, options
            )
        frames.append(FrameOutcome(frame_set.token, result, times, picture, figure))
        advance(len(frames))
    results_file = output / "results.jsonl"
    write_text(results_file, "".join(line + "\n" for line in lines))
    report = RunReport(source.name, engine.name, tuple(frames), source.skipped, results_file, None)
    if not options.pictures:
        return report
    page_file = output / "index.html"
    save_html(page_of_run(report, pipeline, options), page_file)
    return RunReport(source.name, engine.name, tuple(frames), source.skipped, results_file, page_file)


def page_of_run(report: RunReport, pipeline: Pipeline, options: RunOptions) -> Page:
    """The page of a run: times of every frame, then its pictures."""
    return Page(
        f"{pipeline.contract.student} on {report.source}",
        f"{report.engine}: {len(report.frames)} frames, {report.skipped} skipped; boxes from score {options.score:g}",
        (timing_section(report), *picture_sections(report)),
        footer=f"bevdeploy {__version__}. Ego frame: x forward, y left, metres.",
    )


def timing_section(report: RunReport) -> Section:
    """A row of stage times for each frame."""
    rows = [
        (
            frame.token[:24],
            f"{frame.times.preprocess_ms:.1f}",
            f"{frame.times.network_ms:.1f}",
            f"{frame.times.postprocess_ms:.1f}",
            f"{frame.times.total_ms:.1f}",
            str(len(frame.result.boxes)),
        )
        for frame in report.frames
    ]
    columns = ("frame", "preprocess ms", "network ms", "postprocess ms", "total ms", "boxes")
    return Section("Frames", table=Table(columns, rows, "Wall clock of this run, not a benchmark: bevdeploy bench."))


def picture_sections(report: RunReport) -> list[Section]:
    """One section with its picture for each frame that has one."""
    return [
        Section(f"Frame {frame.token[:24]}", figures=(frame.figure,))
        for frame in report.frames
        if frame.figure is not None
    ]


def _line(frame_set: FrameSet, result: BevResult, times: StageTimes) -> dict[str, object]:
    return {
        "token": frame_set.token,
        "timestamp_us": frame_set.timestamp_us,
        "rig": frame_set.rig.digest()[:12],
        "latency_ms": round(times.total_ms, 3),
        **result.document(),
    }


def _pictured(
    pipeline: Pipeline,
    engine: Path,
    frame_set: FrameSet,
    result: BevResult,
    times: StageTimes,
    truth: TrueBoxes | None,
    output: Path,
    options: RunOptions,
) -> tuple[Path, Figure]:
    near = None
    if truth is not None:
        near = truth.boxes[np.hypot(truth.boxes[:, 0], truth.boxes[:, 1]) < NEAR_M]
    contract = pipeline.contract
    title = FrameTitle(frame_set.token, contract.student, engine.name, times.total_ms, options.note)
    picture = frame_picture(frame_set.frames, frame_set.rig, result, contract.geometry.grid, title, near)
    path = output / f"{_file_stem(frame_set.token)}.png"
    save_png(picture, path)
    caption = "Coloured boxes: the student's. Dashed white: the truth." if near is not None else "The student's boxes."
    return path, Figure(caption, jpeg_bytes(picture), f"Camera views and bird's-eye view of frame {frame_set.token}")


def _file_stem(token: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in token) or "frame"
