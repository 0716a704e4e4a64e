"""The plugin's kernels beside public ones and torch's on this machine's GPU; all results are compared first.

Calls are launched from a CUDA graph and rotate through copies of inputs and outputs that together exceed the L2 twice,
so that no call finds its data there. A public kernel is compiled from the user's copy of its source:

    python -m benchmarks.bev_pool_cuda --bev-pool-v2 bev_pool_cuda.cu --bevfusion camera-bevpool.cu --include DIR
"""

from __future__ import annotations

import argparse
import ctypes
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.bev_pool_cuda import libraries
from benchmarks.bev_pool_cuda.workload import CONFIGS, GATHER, RUNS, Buffers, Workload
from benchmarks.side_by_side import Goal, goal_cells, replace_section
from bevdeploy.engines.machine import machine_state
from bevdeploy.paths import write_text

FORMAT = "bevdeploy.bev_pool_cuda/1"
CALLS = 200
"""Calls in a graph, at least."""
RTOL = {torch.float32: 1e-6, torch.float16: 5e-4}
"""Relative L2 of ours against float64; other kernels add in another order and in other types, see RTOL_OTHERS."""
RTOL_OTHERS = {torch.float32: 1e-5, torch.float16: 5e-3}
AGAINST_V2, AGAINST_BEVFUSION, OF_COMPULSORY = 4.0, 3.0, 2.0

Launch = Callable[[Buffers], None]


class Contender:
    """A launch with what it needs to be judged."""

    def __init__(self, name: str, launch: Launch, channels_last: bool, index_bytes: int, rtol: float) -> None:
        self.name, self.launch, self.channels_last = name, launch, channels_last
        self.index_bytes, self.rtol = index_bytes, rtol
        self.times_us: list[float] = []
        self.error = float("nan")
        self.graph: torch.cuda.CUDAGraph | None = None
        self.calls = 0

    def capture(self, work: Workload) -> None:
        """Run once, check the result, capture, replay, and check that again.

        Raises:
            ArithmeticError: the contender computes something else, or its replay differs.
        """
        first = work.copies[0]
        first.out.fill_(float("nan"))
        self.launch(first)
        torch.cuda.synchronize()
        self.error = work.error(first, self.channels_last)
        if not self.error <= self.rtol:
            raise ArithmeticError(f"{self.name}: relative L2 {self.error:.1e} against float64, not {self.rtol:g}")
        once = first.out.clone()
        rounds = -(-CALLS // len(work.copies))
        self.calls = rounds * len(work.copies)
        self.graph = torch.cuda.CUDAGraph()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.launch(first)  # what a library sets up at its first call is not captured
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(self.graph):
            for _ in range(rounds):
                for buffers in work.copies:
                    self.launch(buffers)
        first.out.fill_(float("nan"))
        self.graph.replay()
        torch.cuda.synchronize()
        if self.name.startswith("ours") and not torch.equal(first.out, once):
            raise ArithmeticError(f"{self.name}: a replay is not equal bit for bit")

    def turn(self) -> None:
        """One timed replay after an untimed one."""
        assert self.graph is not None
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.graph.replay()
        begin.record()
        self.graph.replay()
        end.record()
        torch.cuda.synchronize()
        self.times_us.append(begin.elapsed_time(end) * 1e3 / self.calls)


def copy_bandwidth(rounds: int) -> float:
    """Bytes read and written per second by a copy of 1 GiB, the median."""
    source = torch.empty(2**28, device="cuda", dtype=torch.float32).normal_()
    target = torch.empty_like(source)
    rates = []
    for _ in range(rounds + 1):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        target.copy_(source)
        end.record()
        torch.cuda.synchronize()
        rates.append(2 * source.numel() * 4 / (begin.elapsed_time(end) / 1e3))
    return statistics.median(rates[1:])


def contenders_of(
    work: Workload, own: ctypes.CDLL, others: Mapping[str, ctypes.CDLL], line_cells: int
) -> list[Contender]:
    """Those that can do this workload; the first is the reference of the ratios."""
    half = work.dtype == torch.float16
    ranks_bytes = 8 * work.numbers["points"] + 12 * work.numbers["intervals"]
    made = [
        Contender(
            f"ours, {name}, {'channels last' if last else 'NCHW'}",
            work.launcher(own, kernel, last, line_cells),
            last,
            size,
            RTOL[work.dtype],
        )
        for name, kernel, size in (("gather", GATHER, work.table_bytes), ("runs", RUNS, work.run_bytes))
        for last in (True, False)
    ]
    if "bev_pool_v2" in others and not half:
        launch = work.launcher(others["bev_pool_v2"])
        made.append(Contender("bev_pool_v2 and zeroing", launch, True, ranks_bytes, RTOL_OTHERS[work.dtype]))
    if "bevfusion" in others and half and work.channels % 10 == 0:
        launch = work.launcher(others["bevfusion"])
        size = 4 * work.numbers["points"] + 12 * work.numbers["intervals"]
        made.append(Contender("CUDA-BEVFusion and zeroing", launch, False, size, RTOL_OTHERS[work.dtype]))
    for name, launch in (("embedding_bag", work.embedding_bag), ("index_add_", work.index_add)):
        # float16 atomics of thousands of points lose digits
        rtol = 5e-2 if half else RTOL_OTHERS[work.dtype]
        made.append(Contender(name, launch, True, ranks_bytes, rtol))
    return made


def measured(work: Workload, contenders: list[Contender], bandwidth: float, rounds: int) -> list[dict[str, Any]]:
    """Time the contenders in turns; a row for each."""
    for contender in contenders:
        contender.capture(work)
    for _ in range(rounds):
        for contender in contenders:
            contender.turn()
    rows = []
    for contender in contenders:
        moved = work.value_bytes + contender.index_bytes
        low, _, high = statistics.quantiles(contender.times_us, n=4, method="inclusive")
        rows.append(
            {
                "contender": contender.name,
                "median_us": statistics.median(contender.times_us),
                "quartiles_us": [low, high],
                "compulsory_bytes": moved,
                "compulsory_us": moved / bandwidth * 1e6,
                "relative_l2": contender.error,
                "times_us": contender.times_us,
            }
        )
    return rows


def goals_of(tables: list[dict[str, Any]]) -> list[Goal]:
    """The plugin's goals, as far as the contenders were there."""
    times = {(t["config"], t["channels"], t["dtype"]): {r["contender"]: r for r in t["rows"]} for t in tables}
    goals = []

    def best(rows: Mapping[str, Any]) -> Any:
        return min((row for name, row in rows.items() if name.startswith("ours")), key=lambda row: row["median_us"])

    a16, a32, e16 = (times.get(key) for key in (("A", 80, "float16"), ("A", 80, "float32"), ("E", 80, "float16")))
    if a16 and a32 and "bev_pool_v2 and zeroing" in a32:
        ratio = a32["bev_pool_v2 and zeroing"]["median_us"] / best(a16)["median_us"]
        goals.append(Goal("A, ours in fp16 against bev_pool_v2, which has fp32 only", ratio, AGAINST_V2, True))
    if a16 and "CUDA-BEVFusion and zeroing" in a16:
        ratio = a16["CUDA-BEVFusion and zeroing"]["median_us"] / best(a16)["median_us"]
        goals.append(Goal("A fp16, ours against CUDA-BEVFusion", ratio, AGAINST_BEVFUSION, True))
    if e16:
        least_us = min(row["compulsory_us"] for name, row in e16.items() if name.startswith("ours"))
        ratio = best(e16)["median_us"] / least_us
        goals.append(Goal("E fp16, time against that of the compulsory bytes", ratio, OF_COMPULSORY, False))
    return goals


def markdown_of(document: Mapping[str, Any]) -> str:
    """Tables for a README."""
    lines = [conditions(document), "", "| goal | measured | wanted | |", "| --- | ---: | ---: | --- |"]
    lines += [f"| {' | '.join(goal_cells(goal))} |" for goal in document["goals"]]
    for table in document["tables"]:
        lines += ["", f"**config {table['config']}, C = {table['channels']}, {table['dtype']}**", ""]
        lines += [
            "| contender | median us | quartiles | compulsory us | relative L2 |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        lines += [f"| {' | '.join(_cells(row))} |" for row in table["rows"]]
    return "\n".join(lines)


def conditions(document: Mapping[str, Any]) -> str:
    """GPU, versions and bandwidth in one line."""
    return (
        f"{document['date']}; {document['gpu']}, sm_{document['sm']}; torch {document['torch']}, {document['nvcc']}; "
        f"{document['rounds']} rounds of a graph of {CALLS} calls or more; "
        f"copy {document['copy_bytes_s'] / 1e9:.0f} GB/s"
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = row["quartiles_us"]
    times = (f"{row['median_us']:.1f}", f"{low:.1f} .. {high:.1f}", f"{row['compulsory_us']:.1f}")
    return (row["contender"], *times, f"{row['relative_l2']:.1e}")


def _print(document: Mapping[str, Any]) -> None:
    console = Console()
    console.print(conditions(document))
    for table in document["tables"]:
        shown = Table(
            title=f"config {table['config']}, C = {table['channels']}, {table['dtype']}", title_justify="left"
        )
        for column in ("contender", "median us", "quartiles", "compulsory us", "relative L2"):
            shown.add_column(column, justify="left" if column == "contender" else "right")
        for row in table["rows"]:
            shown.add_row(*_cells(row))
        console.print(shown)
    for goal in document["goals"]:
        console.print("  ".join(goal_cells(goal)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bev-pool-v2", type=Path, help="BEVDet's bev_pool_cuda.cu")
    parser.add_argument("--bevfusion", type=Path, help="CUDA-BEVFusion's camera-bevpool.cu")
    parser.add_argument("--include", type=Path, action="append", default=[], help="a folder of headers they need")
    parser.add_argument("--configs", default="ABCDE", help="letters of the configs (ABCDE)")
    parser.add_argument("--channels", type=int, nargs="+", default=[64, 80])
    parser.add_argument(
        "--line-cells", type=int, default=0, help="neighbouring cells of a block of gather; 0: its default"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--nvcc", default=shutil.which("nvcc") or "nvcc")
    parser.add_argument("--json", type=Path, help="write everything that was measured")
    parser.add_argument("--markdown", type=Path, help="replace the section bev_pool_cuda of this Markdown file")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if not torch.cuda.is_available():
        print("skipped: torch sees no CUDA device", file=sys.stderr)
        return 77
    device = torch.cuda.get_device_properties(0)
    sm = f"{device.major}{device.minor}"
    tables: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        own = libraries.ours(folder, options.nvcc, sm)
        sources = {"bev_pool_v2": options.bev_pool_v2, "bevfusion": options.bevfusion}
        others = {
            contender: libraries.public(contender, source, folder, options.nvcc, sm, options.include)
            for contender, source in sources.items()
            if source is not None
        }
        bandwidth = copy_bandwidth(options.rounds)
        for config in CONFIGS:
            if config.name not in options.configs:
                continue
            for channels in options.channels:
                for dtype in (torch.float32, torch.float16):
                    work = Workload(config, channels, dtype, own)
                    rows = measured(
                        work, contenders_of(work, own, others, options.line_cells), bandwidth, options.rounds
                    )
                    about = {"config": config.name, "channels": channels, "dtype": str(dtype).removeprefix("torch.")}
                    tables.append({**about, "copies": len(work.copies), **work.numbers, "rows": rows})
    goals = goals_of(tables)
    document = {
        "format": FORMAT,
        "date": time.strftime("%Y-%m-%d"),
        "gpu": device.name,
        "sm": sm,
        "torch": torch.__version__,
        "nvcc": libraries.version_of(options.nvcc),
        "rounds": options.rounds,
        "copy_bytes_s": bandwidth,
        "machine": machine_state().document(),
        "tables": tables,
        "goals": [{**vars(goal), "met": goal.met} for goal in goals],
    }
    _print(document)
    if options.json is not None:
        write_text(options.json, json.dumps(document, indent=1) + "\n")
    if options.markdown is not None:
        replace_section(options.markdown, "bev_pool_cuda", markdown_of(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
