"""The card of a benchmark: the numbers of `BenchReport.document()`, for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bevdeploy.engines.bench_report import BenchReport, percent_of
from bevdeploy.engines.budget import Check
from bevdeploy.engines.latency import LatencyStats
from bevdeploy.engines.machine import MachineState

LAYERS_SHOWN = 15
KINDS_SHOWN = 12
BAR_WIDTH = 24
_SYMBOLS = {True: ("✓", "green"), False: ("✗", "red"), None: ("○", "yellow")}


def bench_card(report: BenchReport) -> RenderableType:
    """Header, latencies, stages, machine, warnings and verdict; layers where they were profiled. Times in ms."""
    parts: list[RenderableType] = [_header(report), Text(), _latency_table(report), _latency_note(report), Text()]
    parts += [_stage_table(report), Text(), _cost_lines(report), Text(), _machine_lines(report)]
    parts += [Text(f"! {warning}", "yellow") for warning in report.warnings]
    if report.layers:
        parts += [Text(), _layer_table(report)]
        if len(report.kinds()) < len(report.layers):  # PyTorch's profiler names operators, not layers
            parts += [Text(), _kind_table(report)]
        parts.append(_layer_note(report))
    return Group(*parts, Text(), _verdict_lines(report))


def _header(report: BenchReport) -> Text:
    runner = report.runner
    versions = ", ".join(f"{name} {version}" for name, version in sorted(runner.versions.items()))
    threads = "threads left to the backend" if runner.threads is None else f"threads: {runner.threads}"
    text = Text()
    text.append(f"{report.engine or 'no file'}\n", "bold")
    text.append(f"{report.student}, io {report.io}, {report.geometry_mode} geometry, {runner.precision}\n")
    text.append(f"{runner.backend} on {runner.device}, {threads} ({versions})\n")
    text.append(
        f"{report.application.n} frames in {report.timed_seconds:.1f} s after {report.warmup_frames} of warm-up, "
        f"{report.frame_sets} different"
    )
    return text


def _latency_table(report: BenchReport) -> Table:
    table = _table("ms", "mean", "p50", "p90", "p99", "jitter", "FPS", "misses")
    for name, stats in (("network", report.network), ("application", report.application)):
        table.add_row(*latency_cells(name, stats))
    return table


def latency_cells(name: str, stats: LatencyStats) -> tuple[str, ...]:
    """One figure as text: mean, p50, p90, p99, jitter, FPS, misses; for the card and the page."""
    missing = f"n/a (n={stats.n})"
    return (
        name,
        f"{stats.mean_ms:.2f}",
        f"{stats.p50_ms:.2f}",
        f"{stats.p90_ms:.2f}",
        missing if stats.p99_ms is None else f"{stats.p99_ms:.2f}",
        f"{stats.std_ms:.2f}",
        "n/a" if stats.fps is None else f"{stats.fps:.2f}",
        missing if stats.misses is None else f"{stats.misses} ({stats.miss_percent:.2f} %)",
    )


def _latency_note(report: BenchReport) -> Text:
    return Text(
        "network: the runner on prepared inputs, as trtexec. application: frames in memory to BEV result.\n"
        f"jitter: standard deviation. misses: above {report.target.budget.deadline_ms:g} ms.",
        "dim",
    )


def _stage_table(report: BenchReport) -> Table:
    table = _table("stage", "mean", "p50", "share")
    table.add_column("", no_wrap=True)
    for stage in report.stages:
        bar = "█" * round(BAR_WIDTH * stage.share_percent / 100)
        row = (stage.name, f"{stage.mean_ms:.2f}", f"{stage.p50_ms:.2f}", f"{stage.share_percent:.1f} %", bar)
        table.add_row(*row)
        for part in stage.parts:
            shown = f"  {part.name}", f"{part.mean_ms:.2f}", f"{part.p50_ms:.2f}", f"{part.share_percent:.1f} %"
            table.add_row(*shown, style="dim")
    return table


def _cost_lines(report: BenchReport) -> Text:
    recalibration = (
        "new export needed (geometry is baked)"
        if report.recalibration_ms is None
        else f"{report.recalibration_ms:.2f} ms for the tables of a new rig"
    )
    memory = f"peak memory    {_readable(report.peak_memory_mib, '.0f', ' MiB')} of the process"
    if report.gpu_memory_mib is not None:
        memory += f", {report.gpu_memory_mib:.0f} MiB of the GPU"
    return Text(f"recalibration  {recalibration}\n{memory}")


def _machine_lines(report: BenchReport) -> Text:
    before, after = report.before, report.after
    host = ", ".join(part for part in (before.board, before.cpu) if part) or "CPU not readable"
    versions = ", ".join(f"{name} {version}" for name, version in sorted(before.versions.items()))
    clocks = f"{_readable(before.clock_min_mhz, '.0f')} / {_readable(before.clock_max_mhz, '.0f')}"
    lines = [
        f"machine        {host}, {before.cores} cores, {before.architecture}, kernel {_readable(before.kernel)}",
        f"memory         {_readable(before.memory_available_mib, '.0f')} MiB free "
        f"of {_readable(before.memory_total_mib, '.0f')}",
        f"governor       {_readable(None if before.governors is None else ', '.join(before.governors))}",
        f"clock min/max  {clocks} MHz" if before.clock_max_mhz is not None else "clock min/max  not readable",
        f"clock          {_both(before.clock_mhz, after.clock_mhz, '.0f', ' MHz')}",
        f"load           {_both(before.load_1min, after.load_1min, '.2f')}",
        f"hottest zone   {_both(_hottest_c(before), _hottest_c(after), '.1f', ' °C')}",
        f"power mode     {_readable(before.power_mode)}",
    ]
    if before.jetson_release is not None:
        clocks_shown = "readable, see --json" if before.jetson_clocks else "not readable (try as root)"
        lines += [
            f"JetPack        {_readable(before.jetpack)}; {before.jetson_release}",
            f"jetson_clocks  {clocks_shown}",
        ]
    return Text("\n".join([*lines, f"versions       {versions}"]))


def _verdict_lines(report: BenchReport) -> Text:
    verdict, target = report.verdict, report.target
    text = Text(f"budget of {target.name} ({target.title}), application figure\n")
    for check in verdict.lines:
        symbol, colour = _SYMBOLS[check.passed]
        text.append(f"  {symbol} ", colour).append(f"{_check_line(check, report.application.n)}\n")
    symbol, colour = _SYMBOLS[verdict.passed]
    if verdict.gate_failed:
        colour = "red"
    return text.append(f"{symbol} {verdict.message}", f"bold {colour}")


def _check_line(check: Check, frames: int) -> str:
    if isinstance(check.value, str) or isinstance(check.limit, str):
        return f"{check.name} {check.value}, the target's is {check.limit}"
    value = f"n/a (n={frames})" if check.value is None else f"{check.value:.2f} {check.unit}"
    return f"{check.name} {value}, at most {check.limit:g} {check.unit}"


def _layer_table(report: BenchReport) -> Table:
    total_ms = sum(layer.mean_ms for layer in report.layers)
    table = _table("layer", "mean", "share")
    table.add_column("kind", no_wrap=True)
    for layer in report.layers[:LAYERS_SHOWN]:
        share = f"{percent_of(layer.mean_ms, total_ms):.1f} %"
        table.add_row(Text(layer.name, overflow="ellipsis"), f"{layer.mean_ms:.3f}", share, layer.kind)
    left = len(report.layers) - LAYERS_SHOWN
    if left > 0:
        table.add_row(f"{left} more", f"{sum(layer.mean_ms for layer in report.layers[LAYERS_SHOWN:]):.3f}")
    return table


def _kind_table(report: BenchReport) -> Table:
    table = _table("kind", "layers", "mean", "share")
    kinds = report.kinds()
    for kind in kinds[:KINDS_SHOWN]:
        table.add_row(Text(kind.kind), str(kind.count), f"{kind.mean_ms:.3f}", f"{kind.share_percent:.1f} %")
    left = kinds[KINDS_SHOWN:]
    if left:
        others = str(sum(kind.count for kind in left)), f"{sum(kind.mean_ms for kind in left):.3f}"
        table.add_row(f"{len(left)} more", *others)
    return table


def _layer_note(report: BenchReport) -> Text:
    total_ms = sum(layer.mean_ms for layer in report.layers)
    network_ms = report.network.mean_ms
    return Text(
        f"layers add up to {total_ms:.2f} ms with the profiler on, the network takes {network_ms:.2f} ms", "dim"
    )


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _readable(value: float | str | None, form: str = "", unit: str = "") -> str:
    return "not readable" if value is None else f"{value:{form}}{unit}"


def _both(before: float | None, after: float | None, form: str, unit: str = "") -> str:
    if before is None and after is None:
        return "not readable"
    return f"{_readable(before, form)} before, {_readable(after, form)} after{unit and ' (' + unit.strip() + ')'}"


def _hottest_c(state: MachineState) -> float | None:
    return max(state.temperatures_c.values()) if state.temperatures_c else None
