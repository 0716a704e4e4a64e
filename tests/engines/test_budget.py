"""The verdict table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bevdeploy.engines.bench_report import BenchReport
from bevdeploy.engines.budget import verdict
from bevdeploy.engines.target import Budget, EngineTarget, load_target

ReportOf = Callable[[list[float]], BenchReport]


def target(informative: bool = False, power_mode: str | None = None, backend: str = "fake") -> EngineTarget:
    budget = Budget(mean_ms=50.0, p99_ms=100.0, miss_percent=0.5)
    return replace(
        load_target("cpu"),
        backend=backend,
        informative=informative,
        power_mode=power_mode,
        budget=budget,
    )


def frames(count: int, usual_ms: float, slow: int = 0, slow_ms: float = 200.0) -> list[float]:
    return [slow_ms] * slow + [usual_ms] * (count - slow)


@pytest.mark.parametrize(
    ("latencies", "checks", "passed"),
    [
        (frames(1000, 40.0), (True, True, True), True),
        (frames(1000, 40.0, slow=5), (True, True, True), True),
        (frames(1000, 40.0, slow=6), (True, True, False), False),
        (frames(1000, 40.0, slow=20), (True, False, False), False),
        (frames(1000, 60.0), (False, True, True), False),
        (frames(999, 40.0), (True, None, None), None),
        (frames(999, 60.0), (False, None, None), False),
        (frames(5, 40.0), (True, None, None), None),
    ],
)
def test_a_target_that_binds(
    report_of: ReportOf, latencies: list[float], checks: tuple[bool | None, ...], passed: bool | None
) -> None:
    judged = verdict(report_of(latencies), target())
    assert [(check.name, check.passed) for check in judged.lines] == list(
        zip(("mean", "p99", "misses"), checks, strict=True)
    )
    assert judged.passed is passed
    assert judged.gate_failed is (passed is not True)


def test_too_few_frames_name_the_command_that_decides(report_of: ReportOf) -> None:
    judged = verdict(report_of(frames(20, 40.0)), target())
    assert "p99 and misses need 1000 frames, 20 were timed" in judged.message
    assert "bevdeploy bench --frames 1000 --seconds 48" in judged.message  # 1000 frames of 40 ms and a fifth more


def test_an_informative_target_shows_and_never_fails(report_of: ReportOf) -> None:
    judged = verdict(report_of(frames(1000, 60.0, slow=20)), target(informative=True))
    assert [check.passed for check in judged.lines] == [False, False, False]
    assert (judged.passed, judged.informative, judged.gate_failed) == (None, True, False)
    assert "never failed" in judged.message and "mean 62.80 ms above 50 ms" in judged.message


def test_headroom_is_that_of_the_tighter_limit(report_of: ReportOf) -> None:
    assert verdict(report_of(frames(1000, 40.0)), target()).headroom == pytest.approx(50 / 40)
    tail = verdict(report_of(frames(1000, 10.0, slow=50, slow_ms=90.0)), target())
    assert tail.headroom == pytest.approx(100 / 90)
    assert verdict(report_of(frames(5, 10.0)), target()).headroom == pytest.approx(5.0)


def test_another_backend_decides_nothing(report_of: ReportOf) -> None:
    judged = verdict(report_of(frames(1000, 40.0)), target(backend="tensorrt"))
    assert (judged.passed, judged.gate_failed) == (None, True)
    assert (judged.lines[-1].name, judged.lines[-1].value, judged.lines[-1].limit) == ("backend", "fake", "tensorrt")
    assert "backend fake instead of tensorrt" in judged.message


@pytest.mark.parametrize(("mode", "passed"), [("MAXN", None), ("30W", True), ("MODE_30W", True), (None, None)], ids=str)
def test_another_power_mode_decides_nothing(report_of: ReportOf, mode: str | None, passed: bool | None) -> None:
    report = report_of(frames(1000, 40.0))
    report = replace(report, before=replace(report.before, power_mode=mode))
    assert verdict(report, target(power_mode="30W")).passed is passed


def test_a_power_mode_that_cannot_be_read_is_a_warning(report_of: ReportOf) -> None:
    report = replace(report_of(frames(5, 40.0)), target=target(power_mode="30W"))
    assert "power mode not readable; the budget is meant for 30W" in report.warnings


def test_the_deadline_is_the_judging_targets_own(report_of: ReportOf) -> None:
    report = report_of(frames(1000, 40.0, slow=20, slow_ms=95.0))  # over the 90.9 ms of its own target, not over 100
    assert report.application.misses == 20
    assert verdict(report, target()).lines[2].value == 0.0


def test_warnings_of_a_report(report_of: ReportOf) -> None:
    report = report_of(frames(5, 40.0))
    assert report.warnings == ("measured on a CPU: these figures say nothing about an Orin",)
    crowded = replace(report, runner=replace(report.runner, device="a GPU", threads=report.before.cores + 1))
    (threads,) = crowded.warnings
    assert threads == f"{report.before.cores + 1} threads on {report.before.cores} cores"
