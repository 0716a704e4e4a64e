"""What evaluations of engines and of result files share: options, the earlier report, what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bevdeploy.data.index import SampleIndex
from bevdeploy.data.nuscenes import open_tables
from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import Scores, difference, write_results
from bevdeploy.evaluate.metric import TASKS
from bevdeploy.evaluate.result_file import Rows
from bevdeploy.evaluate.scoreboard import scores_of
from bevdeploy.jobs.keyframes import Keyframes
from bevdeploy.paths import check_writable, write_text
from bevdeploy.report import save_html
from bevdeploy.report.canvas import require_pillow
from bevdeploy.report.eval_page import eval_page
from bevdeploy.report.eval_report import EvalReport, Scored, ShownFrame, scores_of_document

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

BOX_TASKS = ("detection", "tracking")
"""What a file of detections can be scored in."""
RESULTS_FILE, SCORES_FILE, PAGE_FILE = "results_nusc.json", "scores.json", "index.html"


@dataclass(frozen=True)
class EvalOptions:
    """What the command line may change."""

    tasks: tuple[str, ...] = TASKS
    """Whose metrics are wanted."""
    floor_points: float = 0.2
    """By which a metric may be worse than the other's."""
    output: Path | None = None
    """Folder for results_nusc.json, scores.json and index.html."""
    threads: int | None = None
    """For those that compute on the CPU."""


def check_output(output: Path | None) -> None:
    """Refuse, before the work, a folder that could not be written, or pictures that could not be drawn.

    Raises:
        OutputError: a file of the folder cannot be written.
        MissingDependencyError: Pillow is not installed.
    """
    if output is not None:
        require_pillow()
        for name in (RESULTS_FILE, SCORES_FILE, PAGE_FILE):
            check_writable(output / name)


def tables_for(index: SampleIndex, tasks: tuple[str, ...]) -> NuScenes | None:
    """The devkit's tables, where boxes are to be scored."""
    return open_tables(index.root, index.version) if set(tasks) & set(BOX_TASKS) else None


def earlier_scores(path: Path, keyframes: Keyframes) -> Scored:
    """The scores of an earlier eval of the same keyframes.

    Raises:
        DataSetError: the file is missing or damaged, holds something else, or is of other keyframes.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise DataSetError(
            f"{path}: cannot be read ({error.strerror or error}); name a report of bevdeploy eval"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataSetError(f"{path}: not a JSON file ({error}); write it with bevdeploy eval --json FILE") from error
    if not isinstance(document, dict) or "results" in document:
        raise DataSetError(
            f"{path}: no report of bevdeploy eval, but maybe a file of detections; score it first: "
            f"bevdeploy eval --results {path} --json FILE DATA"
        )
    scores = scores_of_document(document, str(path))
    check_same_frames(path, scores, keyframes)
    return Scored(path.name, f"earlier report of {document.get('file', 'an engine')}", scores)


def check_same_frames(path: Path, scores: Scores, keyframes: Keyframes) -> None:
    """Refuse scores of other keyframes.

    Raises:
        DataSetError: they saw others.
    """
    if scores.frames_digest != scores_of((), keyframes.tokens).frames_digest:
        raise DataSetError(
            f"{path}: its {scores.frames} keyframes of {scores.split or 'no split'} are not the {len(keyframes)} of "
            f"{keyframes.split} that are scored now; evaluate both with the same --split and --limit"
        )


def report_of(
    keyframes: Keyframes, scored: Scored, other: Scored | None, options: EvalOptions, notes: tuple[str, ...] = ()
) -> EvalReport:
    """The report of the wanted tasks, without pictures.

    Raises:
        DataSetError: the two sides saw other keyframes.
    """
    ours = _of_tasks(scored, keyframes, options.tasks)
    against = None if other is None else _of_tasks(other, keyframes, options.tasks)
    return EvalReport(
        scored=ours,
        data=keyframes.index.root.name,
        version=keyframes.index.version,
        split=keyframes.split,
        keyframes_of_split=keyframes.of_split,
        without_images=keyframes.skipped,
        notes=notes,
        against=against,
        difference=None if against is None else difference(against.scores, ours.scores, options.floor_points),
    )


def _of_tasks(scored: Scored, keyframes: Keyframes, tasks: tuple[str, ...]) -> Scored:
    """The metrics of these tasks alone, under the split's own name."""
    metrics = tuple(metric for metric in scored.scores.metrics if metric.task in tasks)
    complete = len(keyframes) == keyframes.of_split
    return replace(scored, scores=replace(scored.scores, metrics=metrics, split=keyframes.split, complete=complete))


def written(
    report: EvalReport,
    rows: Rows,
    pictures: Callable[[], tuple[ShownFrame, ...]],
    meaning: str,
    output: Path | None,
) -> EvalReport:
    """The report with its pictures, written to a folder; without one as it is.

    The numbers are on the disk before the first picture is drawn: `results_nusc.json` is what nuScenes' server takes,
    `scores.json` what `--against` takes.

    Raises:
        OutputError: a file cannot be written.
        MissingDependencyError: Jinja2 is not installed.
    """
    if output is None:
        return report
    write_results(output / RESULTS_FILE, rows)
    _write_scores(output, report)
    report = replace(report, shown=pictures(), score_meaning=meaning)
    _write_scores(output, report)
    save_html(eval_page(report), output / PAGE_FILE)
    return report


def _write_scores(output: Path, report: EvalReport) -> None:
    write_text(output / SCORES_FILE, json.dumps(report.document(), indent=1) + "\n")
