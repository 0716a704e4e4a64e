"""`bevdeploy demo`: the main job from an untrained checkpoint to a report, on one page that opens offline."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bevdeploy import __version__
from bevdeploy.engines.bench import BenchSettings, bench
from bevdeploy.engines.bench_report import BenchReport
from bevdeploy.engines.target import load_target
from bevdeploy.geometry import surround_rig
from bevdeploy.jobs.export_checkpoint import ExportOptions, ExportReport, export_checkpoint
from bevdeploy.jobs.frames import frame_source
from bevdeploy.jobs.init_checkpoint import init_checkpoint
from bevdeploy.jobs.open_pipeline import open_pipeline
from bevdeploy.jobs.run_frames import RunOptions, RunReport, picture_sections, run_frames, timing_section
from bevdeploy.paths import write_text
from bevdeploy.report import Page, Section, Verdict, save_html
from bevdeploy.report.bench_page import bench_sections
from bevdeploy.report.parity_card import parity_table, parity_verdict

UNTRAINED = "untrained weights: the boxes mean nothing yet"
UNTRAINED_SCORE = 0.5
TARGET = "cpu"


@dataclass(frozen=True)
class DemoOptions:
    """What the command line may change."""

    student: str = "tinybev_r18_small"
    frames: int = 3
    seconds: float = 10.0
    """Longest time to benchmark."""
    data: Path | None = None
    """nuScenes root or folder of frames; None takes the synthetic street."""


@dataclass(frozen=True, eq=False)
class DemoReport:
    """What the demo wrote."""

    page_file: Path
    export: ExportReport
    bench: BenchReport
    run: RunReport


def run_demo(output: Path, options: DemoOptions, advance: Callable[[str], None] = lambda stage: None) -> DemoReport:
    """init, export, bench and run in the folder `output`, then `index.html` over all of it.

    Raises:
        BevDeployError: whatever the four steps raise.
    """
    checkpoint = output / f"{options.student}.pth"
    advance("init: an untrained checkpoint")
    init = init_checkpoint(options.student, checkpoint, {})
    exported = export_checkpoint(
        checkpoint,
        options=ExportOptions(data=options.data),
        advance=lambda stage: advance(f"export: {stage}"),
    )
    rig = None if options.data is not None else surround_rig()
    source = frame_source(options.data, rig, options.frames, ego_motion=options.data is not None)
    pipeline = open_pipeline(exported.onnx, source.rig)
    advance("run: cameras to bird's-eye view")
    ran = run_frames(pipeline, exported.onnx, source, output / "frames", RunOptions(UNTRAINED_SCORE, note=UNTRAINED))
    first = next(iter(frame_source(options.data, rig, 1, ego_motion=options.data is not None).sets))
    pipeline.recalibrate(first.rig)
    measured = bench(
        pipeline,
        [first.frames],
        BenchSettings(seconds=options.seconds, layer_frames=5, target=load_target(TARGET)),
        lambda phase, part: advance(f"bench: {phase} {part:.0%}"),
        engine=exported.onnx,
    )
    write_text(output / "bench.json", json.dumps(measured.document(), indent=1) + "\n")
    advance("writing the report")
    page_file = output / "index.html"
    report = DemoReport(page_file, exported, measured, ran)
    save_html(_page(report, init.parameters, checkpoint), page_file)
    return report


def _page(report: DemoReport, parameters: int, checkpoint: Path) -> Page:
    exported, run = report.export, report.run
    name = checkpoint.name
    commands = "\n".join(
        (
            f"bevdeploy init {exported.student} -o {name}",
            f"bevdeploy export {name}",
            f"bevdeploy bench --engine {exported.onnx.name} --layers",
            f"bevdeploy run --engine {exported.onnx.name} SOURCE",
        )
    )
    parity = Verdict("pass" if exported.parity.passed else "fail", parity_verdict(exported.parity))
    return Page(
        "bevdeploy demo",
        f"{exported.student}, {parameters / 1e6:.1f} M parameters, from checkpoint to bird's-eye view on {run.source}",
        (
            Section("What ran", UNTRAINED_TEXT, code=commands),
            *picture_sections(run),
            timing_section(run),
            Section(
                "Export: is the ONNX file the PyTorch model?", verdicts=(parity,), table=parity_table(exported.parity)
            ),
            *bench_sections(report.bench),
        ),
        verdicts=(parity,),
        footer=f"bevdeploy {__version__}. Ego frame: x forward, y left, metres.",
    )


UNTRAINED_TEXT = (
    "The student is untrained: its boxes, maps and plans show that every output arrives where it belongs, not what a "
    "trained student would see. Latency and parity do not depend on training.\n\nEvery step below is one command."
)
