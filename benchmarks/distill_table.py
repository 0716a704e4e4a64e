"""Paired gains of distillers over the baseline, with 95 % intervals; no method is called better than its spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t as student_t

from benchmarks.distill_runs import Run
from bevdeploy.jobs.taught_objective import ALONE

METRICS = {
    "map/mean IoU": "map IoU",
    "detection/mAP": "mAP",
    "detection/NDS": "NDS",
    "occupancy/IoU near": "occupancy IoU",
    "motion/minADE_6 vehicle": "minADE m",
    "planning/L2 avg mean of 1, 2, 3 s": "plan L2 m",
}
"""Metric to its column; shares are shown in points of 100."""
LOWER_IS_BETTER = ("motion/minADE_6 vehicle", "planning/L2 avg mean of 1, 2, 3 s")
SHARE = ("map/mean IoU", "detection/mAP", "detection/NDS", "occupancy/IoU near")
OWN_TASKS = {
    "direct": ("map/mean IoU",),
    "bridgeta": ("map/mean IoU",),
    "tinybev": tuple(METRICS),
    "distillbev": ("detection/mAP", "detection/NDS"),
    "dualdistill": ("detection/mAP", "detection/NDS"),
}
"""What each method was published for, or, for `direct`, what its default terms compare."""
PUBLISHED = {
    "direct": "a control of ours",
    "bridgeta": "+4.2 map mIoU over the camera baseline (abstract of arXiv 2508.09599)",
    "tinybev": "39.0 mAP with 28 M parameters; no gain over an undistilled student is given (arXiv 2509.18372)",
    "distillbev": "+2.6 mAP, +2.2 NDS: BEVDepth R50 by CenterPoint (public code of Wang et al., ICCV 2023)",
    "dualdistill": "+5.4 mAP, +3.9 NDS: BEVDepth R50 by CenterPoint (poster of Kim et al., BMVC 2025)",
}
"""Of nuScenes, of other students, teachers and budgets: not to be compared with this table."""


@dataclass(frozen=True)
class Gain:
    """Of one method over the baseline on one metric, paired by seed."""

    mean: float
    low: float
    high: float
    """95 % interval of the mean by Student's t; infinite for a single seed."""
    values: tuple[float, ...]

    @property
    def beyond_spread(self) -> bool:
        """The interval leaves out 0."""
        return self.low > 0 or self.high < 0


def paired_gain(ours: Mapping[int, float], baseline: Mapping[int, float]) -> Gain:
    """Differences of the seeds that both have.

    Raises:
        ValueError: they have no seed in common.
    """
    values = tuple(ours[seed] - baseline[seed] for seed in sorted(set(ours) & set(baseline)))
    if not values:
        raise ValueError("no seed in common")
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Gain(mean, -math.inf, math.inf, values)
    half = float(student_t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return Gain(mean, mean - half, mean + half, values)


def by_seed(runs: Sequence[Run], method: str, metric: str) -> dict[int, float]:
    """Values of a metric, shares in points of 100."""
    factor = 100.0 if metric in SHARE else 1.0
    return {run.seed: factor * run.scores[metric] for run in runs if run.method == method and metric in run.scores}


def methods_of(runs: Sequence[Run]) -> list[str]:
    """In the order of the runs, each once."""
    return list(dict.fromkeys(run.method for run in runs))


def gains(runs: Sequence[Run]) -> dict[str, dict[str, Gain]]:
    """Method to metric to gain, without the baseline."""
    found: dict[str, dict[str, Gain]] = {}
    for method in methods_of(runs):
        if method != ALONE:
            pairs = {metric: (by_seed(runs, method, metric), by_seed(runs, ALONE, metric)) for metric in METRICS}
            found[method] = {m: paired_gain(ours, base) for m, (ours, base) in pairs.items() if set(ours) & set(base)}
    return found


def verdict(method: str, measured: Mapping[str, Gain]) -> str:
    """In words, on the method's own tasks."""
    own = [metric for metric in OWN_TASKS.get(method, METRICS) if metric in measured]
    signs = {metric: -1 if metric in LOWER_IS_BETTER else 1 for metric in own}
    better = [METRICS[m] for m in own if measured[m].beyond_spread and signs[m] * measured[m].mean > 0]
    worse = [METRICS[m] for m in own if measured[m].beyond_spread and signs[m] * measured[m].mean < 0]
    parts = [f"beyond the spread: {', '.join(better)}"] if better else []
    parts += [f"worse beyond the spread: {', '.join(worse)}"] if worse else []
    within = [METRICS[m] for m in own if not measured[m].beyond_spread]
    parts += [f"within the spread: {', '.join(within)}"] if within else []
    return "; ".join(parts)


def markdown_of_runs(runs: Sequence[Run]) -> str:
    """Three tables: means, paired gains, and what they say beside what was published."""
    known = [metric for metric in METRICS if by_seed(runs, ALONE, metric)]
    seeds = sorted({run.seed for run in runs})
    head = " | ".join(METRICS[metric] for metric in known)
    lines = [f"Means over the seeds {', '.join(map(str, seeds))}:", ""]
    lines += [f"| method | {head} |", "| --- |" + " ---: |" * len(known)]
    for method in methods_of(runs):
        cells = [f"{statistics.fmean(by_seed(runs, method, metric).values()):.2f}" for metric in known]
        lines.append(f"| `{method}` | {' | '.join(cells)} |")
    lines += ["", f"Gains over `{ALONE}`, paired by seed, with 95 % intervals (bold: the interval leaves out 0):", ""]
    lines += [f"| method | {head} |", "| --- |" + " ---: |" * len(known)]
    measured = gains(runs)
    for method, each in measured.items():
        lines.append(f"| `{method}` | {' | '.join(_cell(each[metric]) for metric in known)} |")
    lines += ["", "| method | on its own tasks, here | published, on nuScenes |", "| --- | --- | --- |"]
    lines += [f"| `{m}` | {verdict(m, each)} | {PUBLISHED.get(m, '')} |" for m, each in measured.items()]
    return "\n".join(lines)


def _cell(gain: Gain) -> str:
    text = f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"
    return f"**{text}**" if gain.beyond_spread else text
