"""The card shows the numbers of the JSON document, whole and unrounded beyond its own digits."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from bevdeploy.engines.bench_report import BenchReport
from bevdeploy.engines.target import load_target
from bevdeploy.report.bench_card import KINDS_SHOWN, LAYERS_SHOWN, bench_card
from bevdeploy.report.bench_page import bench_page
from bevdeploy.report.html import html_from_page
from bevdeploy.runtime.runner import LayerTime

ReportOf = Callable[[list[float]], BenchReport]


def text_of(report: BenchReport, width: int = 110) -> str:
    page = io.StringIO()
    Console(file=page, width=width, color_system=None).print(bench_card(report))
    return page.getvalue()


def line(text: str, start: str) -> str:
    (found,) = [each for each in text.splitlines() if each.startswith(start)]
    return found


@pytest.mark.parametrize("width", [80, 110])
def test_the_card_shows_the_documents_numbers(report_of: ReportOf, width: int) -> None:
    report = report_of([float(ms) for ms in range(10, 1010)])
    text, document = text_of(report, width), report.document()
    for name in ("network", "application"):
        stats = document[name]
        shown = next(row for row in text.splitlines() if row.startswith(f"{name} ")).split()[1:]
        keys = ("mean_ms", "p50_ms", "p90_ms", "p99_ms", "std_ms", "fps")
        assert [f"{stats[key]:.2f}" for key in keys] == shown[:6]
        assert shown[6:9] == [str(stats["misses"]), f"({stats['miss_percent']:.2f}", "%)"]
    for stage in document["stages"]:
        assert f"{stage['mean_ms']:.2f}" in text and f"{stage['share_percent']:.1f} %" in text
    assert f"{document['recalibration_ms']:.2f} ms" in line(text, "recalibration")
    assert f"{document['peak_memory_mib']:.0f} MiB" in line(text, "peak memory")
    assert "…" not in text


def test_a_short_run_has_no_tail(report_of: ReportOf) -> None:
    report = report_of([10.0] * 15)
    text = text_of(report)
    assert line(text, "application ").count("n/a (n=15)") == 2
    assert "p99 n/a (n=15), at most 90.9 ms" in text


def test_what_cannot_be_read_says_so(report_of: ReportOf) -> None:
    text = text_of(report_of([10.0] * 5))
    for start in ("governor", "clock min/max", "load", "hottest zone", "power mode"):
        assert line(text, start).endswith("not readable")
    assert "! measured on a CPU: these figures say nothing about an Orin" in text


def test_the_verdict_comes_last_with_its_message(report_of: ReportOf) -> None:
    report = report_of([10.0] * 1000)
    assert text_of(report).splitlines()[-1].startswith("○ informative, never failed: within the budget")
    binds = replace(load_target("cpu"), informative=False, backend="fake")
    passed = replace(report, target=binds)
    assert text_of(passed).splitlines()[-1] == f"✓ {passed.verdict.message}"
    failed = replace(passed, target=replace(binds, budget=replace(binds.budget, mean_ms=5.0)))
    assert "✗ mean 10.00 ms, at most 5 ms" in text_of(failed)
    assert text_of(failed).splitlines()[-1] == "✗ failed: mean 10.00 ms above 5 ms"


def test_baked_geometry_names_what_a_new_rig_costs(report_of: ReportOf) -> None:
    text = text_of(replace(report_of([10.0] * 5), recalibration_ms=None))
    assert "new export needed" in line(text, "recalibration")


def test_the_longest_layers_and_the_sum_of_the_others(report_of: ReportOf) -> None:
    layers = tuple(LayerTime(f"/net/[conv]/{n}", "Conv", float(20 - n)) for n in range(20))
    report = replace(report_of([10.0] * 5), layers=layers)
    text = text_of(report)
    assert "/net/[conv]/0" in text and "/net/[conv]/14" in text and "/net/[conv]/15" not in text
    assert line(text, f"{20 - LAYERS_SHOWN} more").split() == ["5", "more", "15.000"]  # 5 + 4 + 3 + 2 + 1
    assert f"layers add up to 210.00 ms with the profiler on, the network takes {report.network.mean_ms:.2f}" in text
    assert line(text, "Conv").split() == ["Conv", "20", "210.000", "100.0", "%"]


def test_many_kinds_are_summed_and_layers_that_are_kinds_are_not_shown_twice(report_of: ReportOf) -> None:
    report = report_of([10.0] * 5)
    kinds = [LayerTime(f"{n}/{m}", f"Kind{n}", float(20 - n)) for n in range(KINDS_SHOWN + 2) for m in range(2)]
    shown = line(text_of(replace(report, layers=tuple(kinds))), "2 more")
    assert shown.split() == ["2", "more", "4", "30.000"]  # 2 * 8 + 2 * 7
    alone = text_of(replace(report, layers=(LayerTime("aten::add", "aten::add", 1.0),)))
    assert len(re.findall(r"(?m)^aten::add", alone)) == 1


def test_the_page_holds_the_numbers_of_the_card(report_of: ReportOf) -> None:
    page = html_from_page(bench_page(report_of([10.0] * 5)))
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "application" in page and "10.00" in page and "n/a (n=5)" in page
