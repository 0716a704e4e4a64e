"""Scores: all metrics of one evaluation, as a JSON document and as rows of a table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate.metric import TASKS, Metric

SCORES_FORMAT = "bevdeploy.scores/1"


@dataclass(frozen=True)
class Scores:
    """What an evaluation measured, and over which frames."""

    metrics: tuple[Metric, ...]
    """By task in the order of `TASKS`; each key once."""
    frames: int
    frames_digest: str
    """Of the sample tokens: two evaluations with one digest saw the same frames."""
    split: str | None
    complete: bool
    """Every sample of the split was evaluated."""

    def __post_init__(self) -> None:
        keys = [metric.key for metric in self.metrics]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise DataSetError(f"scores: {', '.join(twice)} given twice")

    def __getitem__(self, key: str) -> Metric:
        """The metric `task/name`.

        Raises:
            KeyError: there is none.
        """
        return self.by_key[key]

    @property
    def by_key(self) -> dict[str, Metric]:
        """Metrics by `task/name`."""
        return {metric.key: metric for metric in self.metrics}

    @property
    def headlines(self) -> tuple[Metric, ...]:
        """The numbers by which the tasks are known."""
        return tuple(metric for metric in self.metrics if metric.headline)

    def rows(self) -> list[dict[str, Any]]:
        """One flat row per metric."""
        return [{"key": metric.key, **metric.document()} for metric in self.metrics]

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "format": SCORES_FORMAT,
            "frames": self.frames,
            "frames_digest": self.frames_digest,
            "split": self.split,
            "complete": self.complete,
            "metrics": [metric.document() for metric in self.metrics],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], source: str = "scores") -> Scores:
        """The scores of a JSON document.

        Raises:
            DataSetError: it is of another format, or a key is missing or of another type.
        """
        if not isinstance(document, Mapping) or document.get("format") != SCORES_FORMAT:
            raise DataSetError(f"{source}: not scores of the format {SCORES_FORMAT}; write them with bevdeploy eval")
        try:
            split = document["split"]
            return cls(
                tuple(Metric.from_document(row) for row in document["metrics"]),
                int(document["frames"]),
                str(document["frames_digest"]),
                None if split is None else str(split),
                bool(document["complete"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataSetError(f"{source}: damaged scores ({type(error).__name__}: {error})") from error


def load_scores(path: Path) -> Scores:
    """Scores of a JSON file that `Scores.document` was written to.

    Raises:
        DataSetError: the file cannot be read or holds something else.
    """
    try:
        document = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DataSetError(f"{path}: cannot be read ({error.strerror or error}); name a file of scores") from error
    except (ValueError, RecursionError) as error:
        raise DataSetError(f"{path}: not a JSON file ({error}); write it with bevdeploy eval") from error
    return Scores.from_document(document, str(path))


def scores_of(
    metrics: Iterable[Metric], tokens: Iterable[str], split: str | None = None, complete: bool = False
) -> Scores:
    """Scores with the metrics in table order and a digest of the frames."""
    frames = sorted(tokens)
    digest = hashlib.sha256("\n".join(frames).encode()).hexdigest()
    ordered = tuple(sorted(metrics, key=lambda metric: TASKS.index(metric.task)))
    return Scores(ordered, len(frames), digest, split, complete)
