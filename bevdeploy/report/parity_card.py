"""The card of a parity report, on screen and as a table of a page: the worst case of every output."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from bevdeploy.report.html import Table
from bevdeploy.runtime.parity import Check, ParityReport

_COLUMNS = ("output", "measure", "worst", "tolerance", "case", "")


def parity_card(report: ParityReport) -> RenderableType:
    """One line for each output and measure, then the verdict."""
    table = RichTable(box=None, pad_edge=False, header_style="dim")
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column in ("worst", "tolerance") else "left")
    for check in report.worst():
        cells = _cells(check)
        table.add_row(*cells[:-1], Text("✓", "green") if check.passed else Text("✗", "bold red"))
    return Group(table, Text(), _verdict(report))


def parity_table(report: ParityReport) -> Table:
    """The same lines for a page."""
    rows = [_cells(check) for check in report.worst()]
    return Table(_COLUMNS, rows, f"Against {report.reference}. Relative L2 after removing each output's mean.")


def parity_verdict(report: ParityReport) -> str:
    """The result in one line."""
    failed = [check for check in report.checks if not check.passed]
    cases = len({check.case for check in report.checks})
    if report.passed:
        return f"parity: {report.graph} equals {report.reference} in {len(report.checks)} checks on {cases} cases"
    first = f"; first: {failed[0].case}, {failed[0].output}, {failed[0].measure}" if failed else ""
    return f"parity FAILED: {len(failed)} of {len(report.checks)} checks of {report.graph}{first}"


def _cells(check: Check) -> tuple[str, ...]:
    mark = "pass" if check.passed else "FAIL"
    return check.output, check.measure, f"{check.value:.2g}", f"{check.tolerance:.2g}", check.case, mark


def _verdict(report: ParityReport) -> Text:
    return Text(("✓ " if report.passed else "✗ ") + parity_verdict(report), "green" if report.passed else "bold red")
