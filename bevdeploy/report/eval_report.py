"""EvalReport: what was scored, on which keyframes, against what. Card, page and JSON come from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bevdeploy.evaluate import MetricChange, ScoreDifference, Scores

EVAL_FORMAT = "bevdeploy.eval/1"


@dataclass(frozen=True)
class Scored:
    """One engine, result file or earlier report, and its scores."""

    file: str
    about: str
    """What it is: student, precision, backend."""
    scores: Scores


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """One of the best or worst keyframes."""

    token: str
    rank: str
    """`best`, `worst`, `2nd worst`."""
    score: float
    """0 to 1; what it means stands in the report."""
    picture: bytes
    """JPEG."""
    caption: str


@dataclass(frozen=True, eq=False)
class EvalReport:
    """One evaluation."""

    scored: Scored
    data: str
    """Name of the data set's folder."""
    version: str
    split: str
    keyframes_of_split: int
    without_images: int
    """Keyframes of the split that were left out because an image file is absent."""
    notes: tuple[str, ...] = ()
    """What a reader of the numbers must know."""
    against: Scored | None = None
    difference: ScoreDifference | None = None
    """Of `scored` against `against`."""
    shown: tuple[ShownFrame, ...] = ()
    score_meaning: str = ""

    @property
    def keyframes(self) -> int:
        """Keyframes that were scored."""
        return self.scored.scores.frames

    @property
    def failures(self) -> tuple[MetricChange, ...]:
        """Metrics that are worse than the other's by more than the floor, or have no value any more."""
        if self.difference is None:
            return ()
        return tuple(change for change in self.difference.changes if change.verdict in ("worse", "lost"))

    @property
    def passed(self) -> bool:
        """Nothing fell; also where there was nothing to compare with."""
        return not self.failures

    @property
    def coverage(self) -> str:
        """On how many keyframes of how many it was scored."""
        text = f"scored on {self.keyframes} of {self.keyframes_of_split} keyframes of {self.split}"
        if self.keyframes == self.keyframes_of_split:
            return text
        why = f" ({self.without_images} lack an image)" if self.without_images else ""
        return f"{text}{why}: not to be compared with numbers of the whole split"

    @property
    def verdict(self) -> str | None:
        """The comparison in one sentence; None without one."""
        if self.difference is None or self.against is None:
            return None
        floor = f"{self.difference.floor_points:g} points"
        compared = [change for change in self.difference.changes if change.points is not None]
        if self.failures:
            worst = sorted(self.failures, key=lambda change: (change.points is not None, change.points))[:3]
            named = ", ".join(
                f"{change.key} " + ("lost" if change.points is None else f"{change.points:+.2f}") for change in worst
            )
            return (
                f"{len(self.failures)} of {len(self.difference.changes)} metrics worse than {self.against.file} "
                f"by more than {floor}: {named}"
            )
        if not compared:
            return f"no metric in common with {self.against.file}: nothing was compared"
        return f"none of {len(compared)} metrics worse than {self.against.file} by more than {floor}"

    def document(self) -> dict[str, Any]:
        """The JSON document; `scores` is that of `Scores.document`."""
        return {
            "format": EVAL_FORMAT,
            "file": self.scored.file,
            "about": self.scored.about,
            "data": self.data,
            "version": self.version,
            "split": self.split,
            "keyframes": self.keyframes,
            "keyframes_of_split": self.keyframes_of_split,
            "without_images": self.without_images,
            "coverage": self.coverage,
            "notes": list(self.notes),
            "scores": self.scored.scores.document(),
            "against": None
            if self.against is None
            else {
                "file": self.against.file,
                "about": self.against.about,
                "scores": self.against.scores.document(),
            },
            "difference": self._difference(),
            "passed": self.passed,
            "verdict": self.verdict,
            "frames": [{"token": each.token, "rank": each.rank, "score": round(each.score, 4)} for each in self.shown],
        }

    def _difference(self) -> dict[str, Any] | None:
        """The difference without its own verdict, which asks for headlines alone; the report's stands beside it."""
        if self.difference is None:
            return None
        return {key: value for key, value in self.difference.document().items() if key not in ("passed", "verdict")}


def scores_of_document(document: Mapping[str, Any], source: str) -> Scores:
    """The scores of an eval's JSON report, or of bare scores.

    Raises:
        DataSetError: the document is neither.
    """
    inner = document.get("scores") if document.get("format") == EVAL_FORMAT else document
    return Scores.from_document(inner if isinstance(inner, Mapping) else {}, source)
