"""The card of a comparison: cost side by side, what differs in the contract, the worst check of every output."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bevdeploy.engines.comparison import Comparison, Side
from bevdeploy.engines.side_by_side import SideBySide
from bevdeploy.runtime.parity import ParityReport

_MARKS = {True: ("✓", "green"), False: ("✗", "bold red")}


def compare_card(report: Comparison) -> RenderableType:
    """Files, cost, contract, outputs, latency where it was measured, and the verdict."""
    parts: list[RenderableType] = [_files(report), Text(), _cost_table(report)]
    parts += [
        Text(f"! MACs of {side.file} leave out: {', '.join(side.cost.uncounted)}", "yellow")
        for side in (report.a, report.b)
        if side.cost.uncounted
    ]
    if report.contract:
        parts += [Text(), _contract_table(report)]
    if report.parity is not None:
        parts += [Text(), _outputs_table(report.parity)]
    if report.bench is not None:
        parts += [Text(), _bench_table(report.bench), _bench_note(report)]
    return Group(*parts, Text(), _verdict(report))


def _files(report: Comparison) -> Text:
    text = Text()
    for name, side in (("A", report.a), ("B", report.b)):
        text.append(f"{name}  {side.file}", "bold").append(f"  {_description(side)}\n")
    return text.append("parameters, operators and MACs of one inference of the exported graph", "dim")


def _description(side: Side) -> str:
    return f"{side.kind}, {side.student}, {side.precision}, io {side.io}, {side.geometry_mode} geometry"


def _cost_table(report: Comparison) -> Table:
    table = _table("cost", "A", "B", "B - A")
    a, b = report.a.cost, report.b.cost
    _cost_row(table, "parameters", a.parameters, b.parameters)
    _cost_row(table, "MACs", a.macs, b.macs)
    for kind in sorted({*a.macs_by_operator, *b.macs_by_operator}):
        _cost_row(table, f"  {kind}", a.macs_by_operator.get(kind, 0), b.macs_by_operator.get(kind, 0))
    _cost_row(table, "operators", sum(a.operators.values()), sum(b.operators.values()))
    for kind in sorted({*a.operators, *b.operators}):
        ours, theirs = a.operators.get(kind, 0), b.operators.get(kind, 0)
        if ours != theirs:
            _cost_row(table, f"  {kind}", ours, theirs)
    return table


def _cost_row(table: Table, name: str, a: int, b: int) -> None:
    table.add_row(name, f"{a:,}", f"{b:,}", "same" if a == b else f"{b - a:+,}", _mark(a == b))


def _contract_table(report: Comparison) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("contract", "A", "B", ""):
        table.add_column(column, overflow="fold")
    for difference in report.contract:
        mark = _mark(False) if difference.binds else Text("")
        table.add_row(Text(difference.key), Text(difference.a), Text(difference.b), mark)
    return table


def _outputs_table(parity: ParityReport) -> Table:
    """One line for each output and measure, as the parity card has them."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("B against A", "measure", "worst", "tolerance", "case", ""):
        table.add_column(column, justify="right" if column in ("worst", "tolerance") else "left")
    for check in parity.worst():
        cells = (check.output, check.measure, f"{check.value:.2g}", f"{check.tolerance:.2g}", check.case)
        table.add_row(*cells, _mark(check.passed))
    return table


def _bench_table(bench: SideBySide) -> Table:
    table = _table("network, ms", "p50", "p90", "mean", "n")
    for name, stats in (("A", bench.a), ("B", bench.b)):
        cells = (f"{stats.p50_ms:.2f}", f"{stats.p90_ms:.2f}", f"{stats.mean_ms:.2f}")
        table.add_row(name, *cells, str(stats.n), Text(""))
    return table


def _bench_note(report: Comparison) -> Text:
    assert report.bench is not None
    ratio = "n/a" if report.bench.ratio is None else f"{report.bench.ratio:.3f}"
    text = Text(f"median of B over median of A: {ratio}; taken in turns on this machine, shown and never judged")
    if report.a.backend != report.b.backend:
        text.append(
            f"\n! A runs in {report.a.backend}, B in {report.b.backend}: the ratio compares those, too", "yellow"
        )
    return text


def _verdict(report: Comparison) -> Text:
    return Text.assemble(_mark(report.passed), " ", (report.verdict, "green" if report.passed else "bold red"))


def _mark(passed: bool) -> Text:
    return Text(*_MARKS[passed])


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    return table
