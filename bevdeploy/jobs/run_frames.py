"""`bevdeploy run`: frames of a source through a pipeline, to JSON lines, pictures and one page."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bevdeploy import __version__
from bevdeploy.data import FrameSet, TrueBoxes
from bevdeploy.engines.stream_report import StreamReport, stream_report
from bevdeploy.engines.target import EngineTarget, load_target
from bevdeploy.jobs.frames import FrameSource
from bevdeploy.jobs.moments import moment_of
from bevdeploy.jobs.open_pipeline import errors_naming
from bevdeploy.jobs.result_lines import ResultLines
from bevdeploy.report import Figure, FrameTitle, Page, Section, Table, frame_picture, jpeg_bytes, save_html, save_png
from bevdeploy.runtime import BevResult, Pipeline
from bevdeploy.runtime.pipeline import StageTimes

NEAR_M = 60.0
"""True boxes farther away are not drawn: the grid ends at about 50 m."""
PAGE_FRAMES = 100
"""Frames on the page; a picture is about 0.2 MB of it. The others are in the folder."""


@dataclass(frozen=True)
class RunOptions:
    """What the command line may change."""

    score: float = 0.3
    """Boxes below it are left out of pictures and JSON lines."""
    pictures: bool = True
    note: str | None = None
    """Stands in every picture."""
    target: EngineTarget | None = None
    """Its deadline counts; None takes the target `cpu`."""


@dataclass(frozen=True, eq=False)
class FrameOutcome:
    """One frame's boxes, where its picture is, and how long it took."""

    token: str
    boxes: int
    times: StageTimes
    picture: Path | None
    figure: Figure | None


@dataclass(frozen=True, eq=False)
class RunReport:
    """A run, its first frames and the files that tell of all of them."""

    source: str
    engine: str
    count: int
    """Frames that ran."""
    frames: tuple[FrameOutcome, ...]
    """The first 100 of them: a stream may go on for days."""
    skipped: int
    stream: StreamReport
    interrupted: bool
    """Ended by Ctrl-C."""
    results_file: Path
    page_file: Path | None

    def document(self) -> dict[str, object]:
        """The JSON document."""
        latency = self.stream.latency
        return {
            "source": self.source,
            "engine": self.engine,
            "frames": self.count,
            "skipped": self.skipped,
            "interrupted": self.interrupted,
            "median_ms": None if latency is None else round(latency.p50_ms, 3),
            "stream": self.stream.document(),
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

    Writes `results.jsonl`, which grows by a line with every frame, one PNG per frame and `index.html` into the folder
    `output`. Ctrl-C ends the source, not the report.

    Raises:
        FrameSourceError: a frame cannot be read or does not fit the graph.
        ContractError: a rig does not fit the graph.
        OutputError: a file cannot be written.
        RecipeError: the target `cpu` cannot be read.
    """
    target = options.target or load_target("cpu")
    frames: list[FrameOutcome] = []
    totals_ms = array("d")
    interrupted = False
    results_file = output / "results.jsonl"
    with ResultLines(results_file) as lines:
        try:
            for frame_set in source.sets:
                if frame_set.rig.digest() != pipeline.rig.digest():
                    with errors_naming(f"{engine}: frame {frame_set.token}"):
                        pipeline.recalibrate(frame_set.rig)
                result = pipeline.infer(frame_set.frames, moment=moment_of(frame_set)).above(options.score)
                times = pipeline.last_times
                lines.append({**_line(frame_set, result, times), **_remembered(pipeline)})
                totals_ms.append(times.total_ms)
                picture, figure = None, None
                if options.pictures:
                    picture, figure = _pictured(
                        pipeline, engine, frame_set, result, times, source.truth(frame_set), output, options
                    )
                if len(frames) < PAGE_FRAMES:
                    frames.append(FrameOutcome(frame_set.token, len(result.boxes), times, picture, figure))
                advance(len(totals_ms))
        except KeyboardInterrupt:
            interrupted = True
    stream = stream_report(totals_ms, target, source.dropped(), source.health())
    report = RunReport(
        source=source.name,
        engine=engine.name,
        count=len(totals_ms),
        frames=tuple(frames),
        skipped=source.skipped,
        stream=stream,
        interrupted=interrupted,
        results_file=results_file,
        page_file=output / "index.html" if options.pictures else None,
    )
    if report.page_file is not None:
        save_html(page_of_run(report, pipeline, options), report.page_file)
    return report


def page_of_run(report: RunReport, pipeline: Pipeline, options: RunOptions) -> Page:
    """The page of a run: times of every frame, then its pictures."""
    return Page(
        f"{pipeline.contract.student} on {report.source}",
        f"{report.engine}: {report.count} frames, {report.skipped} skipped; boxes from score {options.score:g}",
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
            str(frame.boxes),
        )
        for frame in report.frames
    ]
    columns = ("frame", "preprocess ms", "network ms", "postprocess ms", "total ms", "boxes")
    shown = "" if report.count == len(rows) else f"The first {len(rows)} of {report.count} frames. "
    note = f"{shown}Wall clock of this run, not a benchmark: bevdeploy bench."
    return Section("Frames", table=Table(columns, rows, note))


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
        "degraded": dict(frame_set.degraded),
        **result.document(),
    }


def _remembered(pipeline: Pipeline) -> dict[str, object]:
    """How old the BEV is that a temporal student was fed with; null at a first frame."""
    if pipeline.memory is None:
        return {}
    age_s = pipeline.memory.age_s
    return {"previous_age_s": None if age_s is None else round(age_s, 3)}


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
    notes = [*([options.note] if options.note else []), *(f"{n}: {what}" for n, what in frame_set.degraded.items())]
    note = ", ".join(notes) or None
    title = FrameTitle(frame_set.token, contract.student, engine.name, times.total_ms, note)
    picture = frame_picture(frame_set.frames, frame_set.rig, result, contract.geometry.grid, title, near)
    path = output / f"{_file_stem(frame_set.token)}.png"
    save_png(picture, path)
    caption = "Coloured boxes: the student's. Dashed white: the truth." if near is not None else "The student's boxes."
    return path, Figure(caption, jpeg_bytes(picture), f"Camera views and bird's-eye view of frame {frame_set.token}")


def _file_stem(token: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in token) or "frame"
