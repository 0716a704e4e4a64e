"""`bevdeploy eval --engine`: a plan, ONNX file or checkpoint on keyframes, through the pipeline that ships."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bevdeploy.jobs.evaluated_engine import EvaluatedEngine
from bevdeploy.jobs.evaluation import EvalOptions, check_output, earlier_scores, report_of, tables_for, written
from bevdeploy.jobs.frame_score import frame_score, meaning_of
from bevdeploy.jobs.keyframes import Keyframes, rig_of_keyframe
from bevdeploy.jobs.open_pipeline import open_pipeline
from bevdeploy.jobs.shown_frames import FrameValue, SeenFrame, shown_frames
from bevdeploy.jobs.truth_as_result import truth_as_result
from bevdeploy.report.eval_report import EvalReport, Scored, ShownFrame

Advance = Callable[[int], None]
Stage = Callable[[str], None]


def evaluate_engine(
    engine: Path,
    keyframes: Keyframes,
    options: EvalOptions,
    against: Path | None = None,
    advance: Advance = lambda done: None,
    stage: Stage = lambda text: None,
) -> EvalReport:
    """Score an engine; `against` is another one, run on the same frames, or the JSON report of an earlier eval.

    Raises:
        BevDeployError: an engine cannot be opened, the earlier report is of other keyframes, or as `evaluate_opened`.
    """
    check_output(options.output)
    earlier = earlier_scores(against, keyframes) if against is not None and against.suffix == ".json" else None
    rig = rig_of_keyframe(keyframes.index, keyframes.rows[0], keyframes.ego_motion)
    engines = []
    for path in [engine] if against is None or earlier is not None else [engine, against]:
        stage(f"opening {path.name}")
        engines.append(EvaluatedEngine(path, open_pipeline(path, rig, options.threads), keyframes.index))
    return evaluate_opened(engines, keyframes, options, earlier, advance, stage)


def evaluate_opened(
    engines: Sequence[EvaluatedEngine],
    keyframes: Keyframes,
    options: EvalOptions,
    earlier: Scored | None = None,
    advance: Advance = lambda done: None,
    stage: Stage = lambda text: None,
) -> EvalReport:
    """Score the first engine, against the second or against earlier scores; each frame is decoded once.

    Raises:
        BevDeployError: an engine does not fit the cameras, a keyframe cannot be read, an output is not finite, tables
            are missing or damaged, or a file cannot be written.
    """
    check_output(options.output)
    detects = any("detection" in each.tasks.heads for each in engines)
    database = tables_for(keyframes.index, options.tasks) if detects else None
    ours, with_map = engines[0], "map" in options.tasks
    values = []
    stage("keyframes")
    for done, (row, frame_set) in enumerate(keyframes, 1):
        for each in engines:
            result, truth = each.run(row, frame_set), each.truth(row)
            each.add(row, frame_set.token, result, truth)
            if each is ours:
                true = truth_as_result(truth, ours.tasks)
                value = frame_score(result, true, ours.grid, with_map and truth.map_valid)
                values += [] if value is None else [FrameValue(row, frame_set.token, value)]
        advance(done)
    stage("scoring boxes")
    scored = [each.scored(database, keyframes, options.tasks) for each in engines]
    report = report_of(keyframes, scored[0], scored[1] if len(scored) > 1 else earlier, options, ours.notes())

    def seen(row: int) -> SeenFrame:
        frame_set = keyframes.frame_set(row)
        return SeenFrame(
            frame_set, truth_as_result(ours.truth(row), ours.tasks), ours.run_again(row, frame_set, keyframes)
        )

    def pictures() -> tuple[ShownFrame, ...]:
        return shown_frames(values, seen, ours.grid, ours.pipeline.contract.student, ours.path.name, stage)

    meaning = meaning_of(ours.tasks, with_map and ours.without_map < len(keyframes))
    return written(report, ours.scores.results(), pictures, meaning, options.output)
