"""`bevdeploy eval --results`: a file of detections, scored by the code that scores engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from bevdeploy.data.nuscenes import open_tables
from bevdeploy.data.truth_of import truth_of
from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import read_results, scores_of_results
from bevdeploy.evaluate.result_file import Rows
from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.jobs.evaluation import (
    BOX_TASKS,
    EvalOptions,
    check_output,
    earlier_scores,
    report_of,
    written,
)
from bevdeploy.jobs.frame_score import MEANING_WITHOUT_MAP, frame_score
from bevdeploy.jobs.keyframes import ALL, Keyframes, image_paths, token_of_keyframe
from bevdeploy.jobs.rows_as_result import rows_as_result
from bevdeploy.jobs.shown_frames import FrameValue, SeenFrame, shown_frames
from bevdeploy.jobs.truth_as_result import truth_as_result
from bevdeploy.report.eval_report import EvalReport, Scored, ShownFrame
from bevdeploy.tasks import TaskSpec

BOX_GRID = BEVGrid.centred(51.2, 0.8, (-5.0, 3.0))
"""Where boxes of a result file are drawn and ranked by frame."""


def evaluate_results(
    results: Path,
    keyframes: Keyframes,
    options: EvalOptions,
    against: Path | None = None,
    stage: Callable[[str], None] = lambda text: None,
) -> EvalReport:
    """Score a file of detections with the same code; `against` is the JSON report of an earlier eval.

    Raises:
        BevDeployError: the file is damaged, of other samples or of none of the keyframes, tables are missing, the
            earlier report is of other keyframes, or a file cannot be written.
    """
    check_output(options.output)
    index = keyframes.index
    if not set(options.tasks) <= set(BOX_TASKS):
        raise DataSetError(f"{results}: a file of detections is scored in {' and '.join(BOX_TASKS)} only")
    stage(f"reading {results.name}")
    rows = _rows_of_keyframes(results, keyframes)
    keyframes = replace(keyframes, rows=tuple(r for r in keyframes.rows if token_of_keyframe(index, r) in rows))
    earlier = None if against is None else earlier_scores(against, keyframes)
    database = open_tables(index.root, index.version)
    stage("scoring boxes")
    scores = scores_of_results(database, rows, keyframes.devkit_split, tracking="tracking" in options.tasks)
    count = sum(map(len, rows.values()))
    report = report_of(keyframes, Scored(results.name, f"file of {count:,} detections", scores), earlier, options)
    tasks = TaskSpec()

    def seen(row: int, images: bool = True) -> SeenFrame:
        there = images and all(path.is_file() for path in image_paths(index, row))
        return SeenFrame(
            keyframes.frame_set(row) if there else None,
            truth_as_result(truth_of(index, row, tasks, BOX_GRID), tasks),
            rows_as_result(
                rows[token_of_keyframe(index, row)], np.array(index.arrays.global_from_ego[row]), tasks, BOX_GRID
            ),
        )

    def pictures() -> tuple[ShownFrame, ...]:
        values = []
        for row in keyframes.rows:
            frame = seen(row, images=False)
            value = frame_score(frame.result, frame.truth, BOX_GRID, with_map=False)
            values += [] if value is None else [FrameValue(row, token_of_keyframe(index, row), value)]
        return shown_frames(values, seen, BOX_GRID, "detections", results.name, stage)

    return written(report, rows, pictures, MEANING_WITHOUT_MAP, options.output)


def _rows_of_keyframes(results: Path, keyframes: Keyframes) -> Rows:
    """The rows of the file that are of the keyframes.

    Raises:
        DataSetError: the file is damaged, or of samples outside the split.
    """
    index = keyframes.index
    known = {token.decode() for token in index.arrays.token}
    rows = read_results(results, known).results
    split = index.keyframes(None if keyframes.split == ALL else keyframes.split)
    outside = set(rows) - {token_of_keyframe(index, int(row)) for row in split}
    if outside:
        raise DataSetError(
            f"{results}: {len(outside)} of {len(rows)} samples are not of {keyframes.split}, one is {min(outside)}; "
            "name the split they are of with --split"
        )
    chosen = {token: rows[token] for token in keyframes.tokens if token in rows}
    if not chosen:
        raise DataSetError(f"{results}: no keyframe of {keyframes.split} in it; nothing can be scored")
    return chosen
