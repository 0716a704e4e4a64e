"""A benchmark as sections of a page: the numbers of the card, and the latencies as a histogram."""

from __future__ import annotations

from bevdeploy import __version__
from bevdeploy.engines.bench_report import BenchReport
from bevdeploy.report.bench_card import latency_cells
from bevdeploy.report.html import Figure, Level, Page, Section, Table, Verdict
from bevdeploy.report.latency_plot import latency_histogram

LAYERS_SHOWN = 15


def bench_page(report: BenchReport) -> Page:
    """The whole report as one page."""
    runner = report.runner
    return Page(
        f"Latency of {report.engine or report.student}",
        f"{report.student}, io {report.io}, {report.geometry_mode} geometry, {runner.precision}; "
        f"{runner.backend} on {runner.device}, target {report.target.name}",
        tuple(bench_sections(report)),
        verdicts=(bench_verdict(report),),
        footer=f"bevdeploy {__version__}",
    )


def bench_verdict(report: BenchReport) -> Verdict:
    """The target's verdict: an informative target is information, whatever it says."""
    verdict = report.verdict
    level: Level = "info"
    if not verdict.informative:
        level = "pass" if verdict.passed else "fail"
    return Verdict(level, verdict.message)


def bench_sections(report: BenchReport) -> list[Section]:
    """Latencies, stages, machine and, where they were profiled, layers."""
    machine = report.before
    marks_ms = {"p50": report.application.p50_ms, "p90": report.application.p90_ms}
    if report.application.p99_ms is not None:
        marks_ms["p99"] = report.application.p99_ms
    plot = latency_histogram(report.application_ms, marks_ms, report.target.budget.deadline_ms)
    figure = Figure("Application latency, ms: camera frames in memory to BEV result.", plot)
    stages = [
        (stage.name, f"{stage.mean_ms:.2f}", f"{stage.p50_ms:.2f}", f"{stage.share_percent:.1f}")
        for stage in report.stages
        for stage in (stage, *stage.parts)
    ]
    about = (
        f"{machine.cpu or 'unknown CPU'}, {machine.cores} cores, {report.runner.threads or 'default'} threads; "
        f"{report.application.n} frames in {report.timed_seconds:.1f} s after {report.warmup_frames} of warm-up."
    )
    sections = [
        Section(
            "Latency",
            "\n\n".join((about, *report.warnings)),
            verdicts=(bench_verdict(report),),
            figures=(figure,),
            table=Table(
                ("ms", "mean", "p50", "p90", "p99", "jitter", "FPS", "misses"),
                [latency_cells("network", report.network), latency_cells("application", report.application)],
                "Network: the engine on prepared inputs. Application: what the budget is for. Jitter: std.",
            ),
        ),
        Section("Stages", table=Table(("stage", "mean ms", "p50 ms", "share %"), stages)),
    ]
    if report.layers:
        total_ms = sum(layer.mean_ms for layer in report.layers)
        layers = [
            (layer.name, layer.kind, f"{layer.mean_ms:.2f}", f"{100 * layer.mean_ms / total_ms:.1f}")
            for layer in report.layers[:LAYERS_SHOWN]
        ]
        note = f"The longest {len(layers)} of {len(report.layers)}, from a run of their own with the profiler on."
        sections.append(Section("Layers", table=Table(("layer", "kind", "mean ms", "share %"), layers, note)))
    return sections
