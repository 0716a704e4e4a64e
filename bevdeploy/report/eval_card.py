"""The card of an evaluation: the numbers by which the tasks are known, and what fell against another engine."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bevdeploy.evaluate import Metric, MetricChange
from bevdeploy.report.eval_report import EvalReport
from bevdeploy.report.metric_cells import TITLES, better_sign, note_cell, points_cell, value_cell

_MARKS = {True: ("✓", "green"), False: ("✗", "bold red")}
_PARTS = ("mATE", "mASE", "mAOE", "mAVE", "mAAE")
"""Parts of detection that stand beside the headlines."""


def eval_card(report: EvalReport) -> RenderableType:
    """File, keyframes, one table of all tasks, notes and the verdict. Other metrics are counted, and shown if worse."""
    rows = _shown(report)
    left = len(report.scored.scores.metrics) - len(rows)
    parts: list[RenderableType] = [_header(report), Text(), _table(report, rows)]
    if left:
        parts.append(Text(f"{left} more metrics, such as single classes: --json FILE or -o DIR", "dim"))
    parts += [Text(f"! {note}", "yellow") for note in report.notes]
    complete = report.keyframes == report.keyframes_of_split
    parts += [Text(), Text(f"{'' if complete else '! '}{report.coverage}", "" if complete else "yellow")]
    if report.verdict is not None:
        parts.append(Text.assemble(_MARKS[report.passed], " ", (report.verdict, _MARKS[report.passed][1])))
    return Group(*parts)


def _header(report: EvalReport) -> Text:
    text = Text(report.scored.file, "bold").append(f"  {report.scored.about}", "not bold")
    if report.against is not None:
        text.append(f"\nagainst {report.against.file}", "not bold").append(f"  {report.against.about}", "not bold dim")
    return text.append(f"\n{report.data}, {report.version}, {report.split}", "not bold")


def _shown(report: EvalReport) -> list[Metric]:
    failed = {change.key for change in report.failures}
    return [
        metric
        for metric in report.scored.scores.metrics
        if metric.headline or metric.name in _PARTS or metric.key in failed
    ]


def _table(report: EvalReport, rows: list[Metric]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    changes = _changes(report)
    table.add_column("metric", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    if report.against is not None:
        table.add_column("other", justify="right", no_wrap=True)
        table.add_column("points", justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
    table.add_column("over", justify="right", no_wrap=True)
    table.add_column("")  # the only one that gives way on a narrow terminal
    task = ""
    for metric in rows:
        if metric.task != task:
            task = metric.task
            table.add_row(Text(TITLES[task], "bold"))
        cells = [
            Text(f"  {metric.name}"),
            Text(better_sign(metric), "dim"),
            Text(value_cell(metric.value, metric.unit)),
        ]
        if report.against is not None:
            change = changes.get(metric.key)
            cells += [
                Text(value_cell(None if change is None else change.a, metric.unit)),
                Text(points_cell(change), _style(change)),
                Text(*_MARKS[False]) if change is not None and change.verdict in ("worse", "lost") else Text(),
            ]
        note = Text(note_cell(metric), "dim", overflow="ellipsis", no_wrap=True)
        table.add_row(*cells, Text(f"{metric.count:,}"), note)
    return table


def _changes(report: EvalReport) -> dict[str, MetricChange]:
    return {} if report.difference is None else {change.key: change for change in report.difference.changes}


def _style(change: MetricChange | None) -> str:
    return {"better": "green", "worse": "red", "lost": "red"}.get(change.verdict if change else "", "")
