"""A metric as text, one way for screen and page."""

from __future__ import annotations

from collections.abc import Mapping

from bevdeploy.evaluate import Metric, MetricChange

TITLES: Mapping[str, str] = {
    "detection": "Detection",
    "tracking": "Tracking",
    "map": "Map",
    "occupancy": "Occupancy",
    "motion": "Motion",
    "planning": "Planning",
}


def value_cell(value: float | None, unit: str) -> str:
    """`21.90 %`, `0.512 m`, `n/a`."""
    if value is None:
        return "n/a"
    return f"{100 * value:.2f} %" if unit == "share" else f"{value:.3f} {unit}"


def points_cell(change: MetricChange | None) -> str:
    """Gain in points, positive where better; the word where there are no points."""
    if change is None or change.verdict == "n/a":
        return ""
    if change.points is None:
        return change.verdict
    return "0.00" if abs(change.points) < 0.005 else f"{change.points:+.2f}"


def note_cell(metric: Metric) -> str:
    """Why there is no value, else how it was measured."""
    return metric.reason or metric.protocol


def better_sign(metric: Metric) -> str:
    """Whether more is better."""
    return "↑" if metric.better == "up" else "↓"
