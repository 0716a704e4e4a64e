"""An evaluation as one page: headlines, the comparison, a table for each task, the best and the worst frames."""

from __future__ import annotations

from bevdeploy import __version__
from bevdeploy.evaluate import Metric, MetricChange
from bevdeploy.report.eval_report import EvalReport
from bevdeploy.report.html import Figure, Level, Page, Section, Table, Verdict
from bevdeploy.report.metric_cells import TITLES, better_sign, points_cell, value_cell


def eval_page(report: EvalReport) -> Page:
    """The whole report."""
    scores = report.scored.scores
    sections = [Section("In short", "\n\n".join(report.notes), table=metric_table(report, scores.headlines))]
    if report.difference is not None:
        sections.append(_comparison(report))
    for task, title in TITLES.items():
        metrics = tuple(metric for metric in scores.metrics if metric.task == task)
        if metrics:
            sections.append(Section(title, table=metric_table(report, metrics, with_task=False)))
    return Page(
        f"Accuracy of {report.scored.file}",
        f"{report.scored.about}, on {report.data} {report.version}, {report.split}",
        (*sections, *_frames(report)),
        verdicts=tuple(_verdicts(report)),
        footer=f"bevdeploy {__version__}. Boxes and tracks are scored by nuscenes-devkit's own evaluators. "
        "Ego frame: x forward, y left, metres.",
    )


def _verdicts(report: EvalReport) -> list[Verdict]:
    verdicts = [Verdict("info", report.coverage)]
    if report.verdict is not None:
        level: Level = "pass" if report.passed else "fail"
        verdicts.insert(0, Verdict(level, report.verdict))
    return verdicts


def metric_table(report: EvalReport, metrics: tuple[Metric, ...], with_task: bool = True) -> Table:
    """One row per metric; protocols that all rows share stand below the table."""
    changes = _changes(report)
    protocols = list(dict.fromkeys(metric.protocol for metric in metrics if metric.value is not None))
    shared = len(protocols) == 1 and not with_task
    rows = []
    for metric in metrics:
        cells = [f"{metric.name} {better_sign(metric)}", value_cell(metric.value, metric.unit)]
        if with_task:
            cells.insert(0, TITLES[metric.task])
        if report.against is not None:
            change = changes.get(metric.key)
            cells += [value_cell(None if change is None else change.a, metric.unit), points_cell(change)]
        rows.append((*cells, f"{metric.count:,}", metric.reason or ("" if shared else metric.protocol)))
    columns = ["metric", "value", "over", "how"]
    if report.against is not None:
        columns[2:2] = ["other", "points"]
    if with_task:
        columns.insert(0, "task")
    return Table(tuple(columns), rows, f"{protocols[0]}." if shared else "")


def _comparison(report: EvalReport) -> Section:
    assert report.difference is not None and report.against is not None
    beyond = [change for change in report.difference.changes if change.verdict in ("better", "worse", "lost", "new")]
    rows = [
        (change.key, value_cell(change.b, change.unit), value_cell(change.a, change.unit), points_cell(change))
        for change in beyond
    ]
    floor = f"{report.difference.floor_points:g}"
    text = (
        f"Other: {report.against.file}, {report.against.about}.\n\n"
        + (
            f"Metrics that differ by more than {floor} points. "
            if rows
            else f"No metric differs by more than {floor} points. "
        )
        + "A point is a hundredth: one percent, a centimetre, 0.01 rad; plus is better."
    )
    table = Table(("metric", "value", "other", "points"), rows) if rows else None
    return Section("Against the other", text, table=table)


def _frames(report: EvalReport) -> list[Section]:
    sections = []
    for index, frame in enumerate(report.shown):
        figure = Figure(frame.caption, frame.picture, f"Truth and prediction of keyframe {frame.token}")
        heading = f"{frame.rank.capitalize()} frame: {frame.score:.2f}"
        sections.append(Section(heading, report.score_meaning if index == 0 else "", figures=(figure,)))
    return sections


def _changes(report: EvalReport) -> dict[str, MetricChange]:
    return {} if report.difference is None else {change.key: change for change in report.difference.changes}
