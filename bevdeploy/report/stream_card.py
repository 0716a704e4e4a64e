"""The card of a run: the numbers of `StreamReport.document()`, for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bevdeploy.engines.stream_report import CameraHealth, StreamReport


def stream_card(report: StreamReport) -> RenderableType:
    """Latency against the deadline, then a line for each camera that failed to deliver. Times in ms."""
    parts: list[RenderableType] = [_latency_lines(report)]
    if report.degraded:
        parts += [Text(), _camera_table(report)]
    elif report.cameras:
        parts.append(Text("every set had a frame of every camera", "dim"))
    return Group(*parts)


def _latency_lines(report: StreamReport) -> RenderableType:
    stats = report.latency
    if stats is None:
        return Text("no frame ran, so there is no latency", "yellow")
    missing = f"n/a (n={stats.n})"
    table = _table("ms", "mean", "p50", "p90", "p99", "misses", "longest streak", "dropped")
    table.add_row(
        "total",
        f"{stats.mean_ms:.2f}",
        f"{stats.p50_ms:.2f}",
        f"{stats.p90_ms:.2f}",
        missing if stats.p99_ms is None else f"{stats.p99_ms:.2f}",
        missing if stats.misses is None else f"{stats.misses} ({stats.miss_percent:.2f} %)",
        missing if report.longest_streak is None else str(report.longest_streak),
        str(report.dropped),
    )
    note = (
        f"{stats.n} frames, from frames in memory to BEV result, the first included; "
        f"misses: above {report.deadline_ms:g} ms, the deadline of {report.target}"
    )
    return Group(table, Text(note, "dim"))


def _camera_table(report: StreamReport) -> Table:
    table = _table("camera", "held", "black", "longest")
    table.add_column("reasons", no_wrap=True)
    for camera in report.degraded:
        table.add_row(camera.name, str(camera.held), str(camera.black), str(camera.longest), _reasons(camera))
    return table


def _reasons(camera: CameraHealth) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(camera.faults.items()))


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
