"""`bevdeploy demo`: the main job on a made-up world, from a trained checkpoint to accuracy, on one offline page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from bevdeploy import __version__
from bevdeploy.data.world import WorldOptions, write_world
from bevdeploy.engines.bench import BenchSettings, bench
from bevdeploy.engines.bench_report import BenchReport
from bevdeploy.engines.target import load_target
from bevdeploy.jobs.evaluate import evaluate_engine
from bevdeploy.jobs.evaluation import PAGE_FILE, EvalOptions
from bevdeploy.jobs.export_checkpoint import ExportOptions, ExportReport, export_checkpoint
from bevdeploy.jobs.frames import FrameSource, frame_source
from bevdeploy.jobs.init_checkpoint import init_checkpoint
from bevdeploy.jobs.keyframes import index_of, keyframes_of_split
from bevdeploy.jobs.open_pipeline import open_pipeline
from bevdeploy.jobs.run_frames import RunOptions, RunReport, picture_sections, run_frames, timing_section
from bevdeploy.models import load_checkpoint
from bevdeploy.models.shipped import shipped_checkpoint
from bevdeploy.paths import check_writable, replacing, write_text
from bevdeploy.report import Page, Section, Verdict, save_html
from bevdeploy.report.bench_page import bench_sections
from bevdeploy.report.eval_page import metric_table
from bevdeploy.report.eval_report import EvalReport
from bevdeploy.report.parity_card import parity_table, parity_verdict

UNSEEN_SEED = 0
"""Of the demo's world: towns and drives that the shipped checkpoint has not seen (export/trained/README.md)."""
SCENE = "scene-0103"
"""The first validation scene of a mini set."""
UNTRAINED = "untrained weights: the boxes mean nothing yet"
TRAINED = "trained on the synthetic world alone"
UNTRAINED_SCORE, TRAINED_SCORE = 0.5, 0.3
TARGET = "cpu"
Advance = Callable[[str], None]


@dataclass(frozen=True)
class DemoOptions:
    """What the command line may change."""

    student: str = "tinybev_r18_small"
    frames: int = 3
    """Drawn, spread over the scene."""
    keyframes: int = 20
    """Of each of the two scenes of the world."""
    seconds: float = 10.0
    """Longest time to benchmark."""
    data: Path | None = None
    """nuScenes root or folder of frames; None writes a synthetic world."""
    workers: int = 1
    """Processes that render the world."""


@dataclass(frozen=True, eq=False)
class DemoReport:
    """What the demo wrote."""

    page_file: Path
    trained: bool
    parameters: int
    export: ExportReport
    bench: BenchReport
    run: RunReport
    accuracy: EvalReport | None
    """None for an untrained student, and for data of the user's own."""


def run_demo(output: Path, options: DemoOptions, advance: Advance = lambda stage: None) -> DemoReport:
    """World, checkpoint, export, run, eval and bench in the folder `output`, then `index.html` over all of it.

    Raises:
        BevDeployError: whatever the steps raise.
    """
    checkpoint = output / f"{options.student}.pth"
    check_writable(checkpoint)
    trained, parameters = _checkpoint(options.student, checkpoint, advance)
    data = options.data or _world(output / "world", options, advance)
    exported = export_checkpoint(
        checkpoint, options=ExportOptions(data=data), advance=lambda stage: advance(f"export: {stage}")
    )
    source = _frames(data, options)
    pipeline = open_pipeline(exported.onnx, source.rig)
    advance("run: cameras to bird's-eye view")
    shown = RunOptions(TRAINED_SCORE if trained else UNTRAINED_SCORE, note=TRAINED if trained else UNTRAINED)
    ran = run_frames(pipeline, exported.onnx, source, output / "frames", shown)
    accuracy = _accuracy(exported.onnx, data, output / "eval", advance) if trained and options.data is None else None
    first = next(iter(_frames(data, options).sets))
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
    report = DemoReport(page_file, trained, parameters, exported, measured, ran, accuracy)
    save_html(_page(report, checkpoint, options), page_file)
    return report


def _checkpoint(name: str, path: Path, advance: Advance) -> tuple[bool, int]:
    """Put the shipped checkpoint there, or an untrained one; whether it is trained, and its parameters."""
    shipped = shipped_checkpoint(name)
    if shipped is None:
        advance("init: an untrained checkpoint")
        return False, init_checkpoint(name, path, {}).parameters
    student = load_checkpoint(shipped)
    with replacing(path) as part:
        shutil.copyfile(shipped, part)
    return True, sum(parameter.numel() for parameter in student.parameters())


def _world(out: Path, options: DemoOptions, advance: Advance) -> Path:
    advance("data synth: a world of two scenes")
    world = WorldOptions(scenes=2, keyframes=options.keyframes, seed=UNSEEN_SEED, workers=options.workers)
    write_world(out, world, lambda done, total: advance(f"data synth: {done} of {total} keyframes"))
    return out


def _frames(data: Path, options: DemoOptions) -> FrameSource:
    """Frames to draw: of the made-up world's validation scene, or the user's first."""
    if options.data is not None:
        return frame_source(data, None, options.frames, ego_motion=True)
    scene = frame_source(data, None, scene=SCENE, ego_motion=True)
    shown = min(options.frames, options.keyframes)
    apart = options.keyframes // shown
    return replace(scene, sets=islice(scene.sets, 0, apart * shown, apart), count=shown)


def _accuracy(engine: Path, data: Path, output: Path, advance: Advance) -> EvalReport:
    advance("eval: accuracy of the exported file")
    keyframes = keyframes_of_split(index_of(data), None)
    return evaluate_engine(
        engine,
        keyframes,
        EvalOptions(output=output),
        advance=lambda done: advance(f"eval: {done} of {len(keyframes)} keyframes"),
    )


def _page(report: DemoReport, checkpoint: Path, options: DemoOptions) -> Page:
    exported, run = report.export, report.run
    parity = Verdict("pass" if exported.parity.passed else "fail", parity_verdict(exported.parity))
    return Page(
        "bevdeploy demo",
        f"{exported.student}, {report.parameters / 1e6:.1f} M parameters, to bird's-eye view on {run.source}",
        (
            Section("What ran", _about(report, options), code=_commands(report, checkpoint, options)),
            *picture_sections(run),
            *_accuracy_sections(report),
            timing_section(run),
            Section(
                "Export: is the ONNX file the PyTorch model?", verdicts=(parity,), table=parity_table(exported.parity)
            ),
            *bench_sections(report.bench),
        ),
        verdicts=(parity,),
        footer=f"bevdeploy {__version__}. Ego frame: x forward, y left, metres.",
    )


def _commands(report: DemoReport, checkpoint: Path, options: DemoOptions) -> str:
    onnx, data = report.export.onnx.name, options.data or "world"
    begin = [] if report.trained else [f"bevdeploy init {report.export.student} -o {checkpoint.name}"]
    if options.data is None:
        begin.append(f"bevdeploy data synth world --scenes 2 --keyframes {options.keyframes} --seed {UNSEEN_SEED}")
    return "\n".join(
        (
            *begin,
            f"bevdeploy export {checkpoint.name} --data {data}",
            f"bevdeploy run --engine {onnx} {data}",
            *([f"bevdeploy eval --engine {onnx} {data} -o eval"] if report.accuracy is not None else []),
            f"bevdeploy bench --engine {onnx} --layers",
        )
    )


def _about(report: DemoReport, options: DemoOptions) -> str:
    if not report.trained:
        return UNTRAINED_TEXT
    return TRAINED_TEXT if options.data is None else FOREIGN_TEXT


def _accuracy_sections(report: DemoReport) -> list[Section]:
    if report.accuracy is None:
        return []
    text = (
        f"{report.accuracy.coverage.capitalize()}. All metrics, with the best and the worst frames: "
        f"eval/{PAGE_FILE} beside this page."
    )
    headlines = report.accuracy.scored.scores.headlines
    return [Section("Accuracy of exactly this ONNX file", text, table=metric_table(report.accuracy, headlines))]


UNTRAINED_TEXT = (
    "The student is untrained: its boxes, maps and plans show that every output arrives where it belongs, not what a "
    "trained student would see. Latency and parity do not depend on training.\n\nEvery step below is one command."
)
TRAINED_TEXT = (
    "A small student, trained for minutes on the synthetic world and on nothing else, drives through streets that it "
    "has not seen before. True boxes are dashed white.\n\nEvery step below is one command."
)
FOREIGN_TEXT = (
    "A small student that was trained on the synthetic world alone meets other frames: latency and parity hold, what "
    "it sees there is no measure of anything.\n\nEvery step below is one command."
)
