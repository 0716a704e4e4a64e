"""Difference of two evaluations, metric by metric, with a floor below which nothing is said."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate.metric import Metric
from bevdeploy.evaluate.scoreboard import Scores

DIFFERENCE_FORMAT = "bevdeploy.score-difference/1"

Verdict = Literal["better", "worse", "equal", "lost", "new", "not comparable", "n/a"]


@dataclass(frozen=True)
class MetricChange:
    """One metric of `b` against `a`."""

    key: str
    a: float | None
    b: float | None
    unit: str
    points: float | None
    """Gain in hundredths of the unit, positive where `b` is better; one point of a length is a centimetre."""
    verdict: Verdict
    headline: bool
    note: str | None = None
    """Why there is no verdict on numbers."""


@dataclass(frozen=True)
class ScoreDifference:
    """`b` against `a`."""

    floor_points: float
    changes: tuple[MetricChange, ...]
    frames: int

    @property
    def beyond(self) -> tuple[MetricChange, ...]:
        """Rows that changed by more than the floor, or lost their value."""
        return tuple(change for change in self.changes if change.verdict in ("better", "worse", "lost"))

    @property
    def failures(self) -> tuple[MetricChange, ...]:
        """Headlines that got worse by more than the floor, or lost their value."""
        return tuple(change for change in self.beyond if change.headline and change.verdict != "better")

    @property
    def passed(self) -> bool:
        """No headline fell. A part that fell, such as one class, is shown; it moves with a handful of objects."""
        return not self.failures

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        headlines = [change for change in self.changes if change.headline]
        compared = [change for change in headlines if change.points is not None]
        text = f"{len(compared)} of {len(headlines)} headline metrics compared over {self.frames} frames: "
        if self.failures:
            lost = ", ".join(
                f"{change.key} " + ("lost" if change.points is None else f"{change.points:+.2f} points")
                for change in self.failures
            )
            return text + f"fell by more than {self.floor_points:g} points: {lost}"
        return text + f"none fell by more than {self.floor_points:g} points"

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "format": DIFFERENCE_FORMAT,
            "floor_points": self.floor_points,
            "frames": self.frames,
            "passed": self.passed,
            "verdict": self.verdict,
            "changes": [asdict(change) for change in self.changes],
        }


def difference(a: Scores, b: Scores, floor_points: float = 0.0) -> ScoreDifference:
    """Lay two evaluations side by side.

    Args:
        a: the reference.
        b: what is judged.
        floor_points: changes up to it are `equal`.

    Raises:
        DataSetError: the evaluations saw other frames, or the floor is negative or not finite.
    """
    if not math.isfinite(floor_points) or floor_points < 0:
        raise DataSetError(f"the floor must be 0 points or more, got {floor_points}")
    if a.frames_digest != b.frames_digest:
        raise DataSetError(
            f"the two evaluations saw other frames ({a.frames} and {b.frames}); evaluate both on the same data set"
        )
    ours, theirs = a.by_key, b.by_key
    keys = dict.fromkeys((*ours, *theirs))
    return ScoreDifference(
        floor_points, tuple(_change(key, ours.get(key), theirs.get(key), floor_points) for key in keys), b.frames
    )


def _change(key: str, a: Metric | None, b: Metric | None, floor_points: float) -> MetricChange:
    some = a or b
    assert some is not None
    before = None if a is None else a.value
    after = None if b is None else b.value
    headline = some.headline

    def change(verdict: Verdict, points: float | None, note: str | None) -> MetricChange:
        return MetricChange(key, before, after, some.unit, points, verdict, headline, note)

    if before is None and after is None:
        return change("n/a", None, (b or some).reason)
    if after is None:
        return change("lost", None, "not measured any more" if b is None else b.reason)
    if before is None:
        return change("new", None, "not measured before" if a is None else a.reason)
    assert a is not None and b is not None
    if (a.protocol, a.unit, a.better) != (b.protocol, b.unit, b.better):
        return change("not comparable", None, f"protocols differ: {a.protocol}; {b.protocol}")
    points = 100 * (after - before) * (1 if a.better == "up" else -1)
    if abs(points) <= floor_points:
        return change("equal", points, None)
    return change("better" if points > 0 else "worse", points, None)
