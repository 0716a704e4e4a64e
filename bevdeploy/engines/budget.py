"""A report against the budget of a target: passed, failed, or not decided.

Only the application figure is judged: a network that meets the budget inside an application that does not is of no use.

Nothing is decided (`passed` is None) when

* the target is informative: its lines are shown and never fail;
* fewer than 1,000 frames were timed, so that p99 and misses are not known, and the mean alone has not failed already;
* the figure was taken with another backend, or in another power mode, than the target names: it says nothing about it.

A gate that is not decided is not passed: `gate_failed` holds for it, except with an informative target.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bevdeploy.engines.latency import TAIL_FRAMES, LatencyStats, latency_stats
from bevdeploy.engines.target import EngineTarget

if TYPE_CHECKING:
    from bevdeploy.engines.bench_report import BenchReport


@dataclass(frozen=True)
class Check:
    """One line of a verdict."""

    name: str
    value: float | str | None
    limit: float | str
    unit: str
    passed: bool | None
    """None: not measured, or measured under other conditions than the target's."""


@dataclass(frozen=True)
class Verdict:
    """What a report says about a target's budget."""

    passed: bool | None
    """None: not decided, see the module's text."""
    informative: bool
    lines: tuple[Check, ...]
    headroom: float | None
    """How many times the mean fits into the budget; with p99 known, the smaller of the two."""
    message: str
    """The verdict in one sentence, with the command that decides it where it is open."""

    @property
    def gate_failed(self) -> bool:
        """A budget that binds was not shown to be met."""
        return not self.informative and self.passed is not True

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {**asdict(self), "gate_failed": self.gate_failed}


def verdict(report: BenchReport, target: EngineTarget) -> Verdict:
    """Judge the application figure of a report; the target may be another than the report's own."""
    budget = target.budget
    stats = latency_stats(report.application_ms, budget.deadline_ms)
    figures = (
        _at_most("mean", stats.mean_ms, budget.mean_ms, "ms"),
        _at_most("p99", stats.p99_ms, budget.p99_ms, "ms"),
        _at_most("misses", stats.miss_percent, budget.miss_percent, "%"),
    )
    conditions = _conditions(report, target)
    ratios = [
        limit / value
        for value, limit in ((stats.mean_ms, budget.mean_ms), (stats.p99_ms, budget.p99_ms))
        if value is not None and value > 0
    ]
    headroom = min(ratios) if ratios else None
    passed: bool | None
    if target.informative or conditions:
        passed = None
    elif any(check.passed is False for check in figures):
        passed = False
    else:
        passed = True if all(check.passed for check in figures) else None
    message = _message(passed, target, figures, conditions, stats, headroom)
    return Verdict(passed, target.informative, figures + conditions, headroom, message)


def _at_most(name: str, value: float | None, limit: float, unit: str) -> Check:
    return Check(name, value, limit, unit, None if value is None else value <= limit)


def _conditions(report: BenchReport, target: EngineTarget) -> tuple[Check, ...]:
    """Conditions that differ from the target's."""
    found = []
    if report.runner.backend != target.backend:
        found.append(Check("backend", report.runner.backend, target.backend, "", None))
    measured, wanted = report.before.power_mode, target.power_mode
    if wanted is not None and (measured is None or _mode(measured) != _mode(wanted)):
        found.append(Check("power mode", measured or "not readable", wanted, "", None))
    return tuple(found)


def _mode(name: str) -> str:
    return name.upper().removeprefix("MODE_")  # JetPack 5 prints MODE_30W where JetPack 6 prints 30W


def _message(
    passed: bool | None,
    target: EngineTarget,
    figures: tuple[Check, ...],
    conditions: tuple[Check, ...],
    stats: LatencyStats,
    headroom: float | None,
) -> str:
    over = [f"{c.name} {c.value:.2f} {c.unit} above {c.limit:g} {c.unit}" for c in figures if c.passed is False]
    times = f", headroom {headroom:.2f}x" if headroom is not None else ""
    if target.informative:
        return f"informative, never failed: {'; '.join(over) if over else 'within the budget' + times}"
    if conditions:
        differ = " and ".join(f"{c.name} {c.value} instead of {c.limit}" for c in conditions)
        return f"not decided: measured with {differ}; run bevdeploy bench on the target"
    if passed is None:
        seconds = max(30, math.ceil(stats.mean_ms * TAIL_FRAMES / 1e3 * 1.2))
        return (
            f"not decided, which counts as failed: p99 and misses need {TAIL_FRAMES} frames, {stats.n} were timed; "
            f"bevdeploy bench --frames {TAIL_FRAMES} --seconds {seconds}"
        )
    return f"passed{times}" if passed else f"failed: {'; '.join(over)}"
