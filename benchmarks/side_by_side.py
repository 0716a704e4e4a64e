"""Contenders timed in turns, A B C A B C ..., so that a machine that slows down slows all of them down.

A round gives each contender one turn: untimed calls that bring its data into the caches, then timed calls. The time of
a contender is its median over the rounds; a ratio is that of two medians, its spread that of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bevdeploy.engines.machine import MachineState, warnings_of
from bevdeploy.paths import write_text

FORMAT = "bevdeploy.side_by_side/1"


@dataclass(frozen=True)
class Turns:
    """How often each contender runs."""

    rounds: int = 15
    calls: int = 3
    """Timed calls of a turn; the turn's time is their median."""
    settle: int = 1
    """Untimed calls before them."""
    pause_s: float = 0.005
    """Idle time before each turn: the worker threads of the contender before go on spinning for a while."""


@dataclass(frozen=True)
class Comparison:
    """Times of contenders that do the same work."""

    name: str
    times_ms: dict[str, tuple[float, ...]]
    """One time per round."""

    def median_ms(self, contender: str) -> float:
        """Over the rounds."""
        return statistics.median(self.times_ms[contender])

    def ratio(self, slower: str, faster: str) -> float:
        """Median time of `slower` over that of `faster`."""
        return self.median_ms(slower) / self.median_ms(faster)

    def ratio_spread(self, slower: str, faster: str) -> tuple[float, float]:
        """First and third quartile of the ratio within a round."""
        ratios = sorted(a / b for a, b in zip(self.times_ms[slower], self.times_ms[faster], strict=True))
        if len(ratios) == 1:
            return ratios[0], ratios[0]
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, high


@dataclass(frozen=True)
class Goal:
    """What a figure has to reach."""

    what: str
    figure: float
    bound: float
    at_least: bool
    unit: str = "x"

    @property
    def met(self) -> bool:
        """The figure as measured, not rounded."""
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


def side_by_side(
    name: str,
    contenders: Mapping[str, Callable[[], object]],
    turns: Turns,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Comparison:
    """Time the contenders in turns, after one whole untimed round, and say so on stderr; `clock` is in seconds."""
    Console(stderr=True).print(f"timing {name} ({turns.rounds} rounds of {len(contenders)} contenders)")
    times: dict[str, list[float]] = {contender: [] for contender in contenders}
    for work in contenders.values():
        work()
    for _ in range(turns.rounds):
        for contender, work in contenders.items():
            sleep(turns.pause_s)
            for _ in range(turns.settle):
                work()
            calls_ms = []
            for _ in range(turns.calls):
                start = clock()
                work()
                calls_ms.append((clock() - start) * 1e3)
            times[contender].append(statistics.median(calls_ms))
    return Comparison(name, {contender: tuple(values) for contender, values in times.items()})


def goal_of_ratio(comparison: Comparison, slower: str, faster: str, bound: float) -> Goal:
    """`faster` takes at most 1/bound of the time of `slower`."""
    ratio = comparison.ratio(slower, faster)
    return Goal(f"{comparison.name}: {faster} against {slower}", ratio, bound, at_least=True)


def document_of(
    title: str,
    comparisons: Sequence[Comparison],
    goals: Sequence[Goal],
    turns: Turns,
    threads: int,
    versions: Mapping[str, str],
    machine: tuple[MachineState, MachineState],
    **more: Any,
) -> dict[str, Any]:
    """Everything that was measured; tables and files are made of it. The first contender is each table's reference."""
    before, after = machine
    tables = []
    for comparison in comparisons:
        reference = next(iter(comparison.times_ms))
        rows = []
        for contender, times_ms in comparison.times_ms.items():
            low, high = comparison.ratio_spread(contender, reference)
            rows.append(
                {
                    "contender": contender,
                    "median_ms": comparison.median_ms(contender),
                    "min_ms": min(times_ms),
                    "ratio": comparison.ratio(contender, reference),
                    "ratio_quartiles": [low, high],
                    "times_ms": list(times_ms),
                }
            )
        tables.append({"name": comparison.name, "rows": rows})
    return {
        "format": FORMAT,
        "title": title,
        "date": time.strftime("%Y-%m-%d"),
        "threads": threads,
        "turns": asdict(turns),
        "versions": {**before.versions, **versions},
        "machine": {"before": before.document(), "after": after.document()},
        "warnings": list(warnings_of(before, after)),
        "comparisons": tables,
        "goals": [{**asdict(goal), "met": goal.met} for goal in goals],
        **more,
    }


def print_document(document: Mapping[str, Any], console: Console) -> None:
    """Tables for the screen."""
    console.print(f"[bold]{document['title']}[/bold]\n{conditions(document)}")
    for table in document["comparisons"]:
        shown = Table(title=table["name"], title_justify="left")
        shown.add_column("contender")
        for column in ("median ms", "min ms", "ratio", "quartiles"):
            shown.add_column(column, justify="right")
        for row in table["rows"]:
            shown.add_row(*_cells(row))
        console.print(shown)
    shown = Table(title="goals", title_justify="left")
    for column in ("goal", "measured", "wanted", ""):
        shown.add_column(column)
    for goal in document["goals"]:
        shown.add_row(*goal_cells(goal))
    console.print(shown)
    for warning in document["warnings"]:
        console.print(f"[yellow]note:[/yellow] {warning}")


def markdown_of(document: Mapping[str, Any]) -> str:
    """The same tables for a README."""
    lines = [conditions(document), ""]
    lines += ["| goal | measured | wanted | |", "| --- | ---: | ---: | --- |"]
    lines += [f"| {' | '.join(goal_cells(goal))} |" for goal in document["goals"]]
    for table in document["comparisons"]:
        lines += ["", f"**{table['name']}**", "", "| contender | median ms | min ms | ratio | quartiles |"]
        lines += ["| --- | ---: | ---: | ---: | ---: |"]
        lines += [f"| {' | '.join(_cells(row))} |" for row in table["rows"]]
    lines += [f"\nNote: {warning}." for warning in document["warnings"]]
    return "\n".join(lines)


def conditions(document: Mapping[str, Any]) -> str:
    """Machine, load, versions and threads in one line."""
    before, after = document["machine"]["before"], document["machine"]["after"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    loads = f"load average {before['load_1min']} before, {after['load_1min']} after"
    name = before["board"] or before["cpu"] or before["architecture"]
    threads = f"{document['threads']} thread{'s' if document['threads'] > 1 else ''}"
    turns = document["turns"]
    return (
        f"{document['date']}; {name}, {before['cores']} cores, {before['architecture']}; {threads}; {versions}; "
        f"{turns['rounds']} rounds of {turns['calls']} calls; {loads}"
    )


def goal_cells(goal: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """What, measured, wanted, met or missed."""
    sign = ">=" if goal["at_least"] else "<="
    unit = goal["unit"] if goal["unit"] == "x" else f" {goal['unit']}"
    figure = f"{goal['figure']:.3g}" if goal["figure"] < 100 else f"{goal['figure']:.0f}"
    return goal["what"], f"{figure}{unit}", f"{sign} {goal['bound']:g}{unit}", "met" if goal["met"] else "missed"


def replace_section(path: Path, name: str, body: str) -> None:
    """Put `body` between `<!-- name -->` and `<!-- /name -->` of a Markdown file.

    Raises:
        ValueError: the file has no such section.
    """
    text = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path}: no section {begin} ... {end}")
    write_text(path, f"{head}{begin}\n{body}\n{end}{tail}")


def arguments_of_benchmark(description: str, rounds: int) -> argparse.ArgumentParser:
    """Options that every benchmark takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="turns of every contender")
    parser.add_argument("--json", type=Path, help="write everything that was measured")
    parser.add_argument("--markdown", type=Path, help="replace the benchmark's section in this Markdown file")
    return parser


def publish(document: Mapping[str, Any], section: str, json_file: Path | None, markdown_file: Path | None) -> None:
    """To the screen and to the files that were asked for."""
    print_document(document, Console())
    if json_file is not None:
        write_text(json_file, json.dumps(document, indent=1) + "\n")
    if markdown_file is not None:
        replace_section(markdown_file, section, markdown_of(document))


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = row["ratio_quartiles"]
    return (
        row["contender"],
        f"{row['median_ms']:.2f}",
        f"{row['min_ms']:.2f}",
        f"{row['ratio']:.2f}",
        f"{low:.2f} .. {high:.2f}",
    )
