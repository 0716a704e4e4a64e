"""Rows of a training: one CSV line per logged step, and TensorBoard's events where it is installed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bevdeploy.errors import OutputError
from bevdeploy.paths import write_text


@dataclass(frozen=True)
class StepRow:
    """One step, or the mean over the steps since the row before it."""

    step: int
    """Steps done."""
    epoch: float
    """Passes over the data done."""
    learning_rate: float
    loss: float
    """Sum of the terms."""
    terms: Mapping[str, float]
    gradient_norm: float
    """Before clipping."""
    keyframes_per_s: float
    loading_share: float
    """Of the time, spent waiting for data."""
    memory_mb: float
    """Peak: of the device's memory on a GPU, of the process on a CPU."""

    def columns(self) -> dict[str, float]:
        """Flat, in the order of the file."""
        fixed = {name: value for name, value in vars(self).items() if name != "terms"}
        return {**fixed, **{f"{name}_loss": value for name, value in self.terms.items()}}


class TrainingLog:
    """A CSV file that grows by a line per row; `tensorboard` is a folder for events, None for none."""

    def __init__(self, path: Path, from_step: int, tensorboard: Path | None = None) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        if from_step and path.is_file():
            self.rows = [row for row in read_log(path) if row["step"] <= from_step]
        self._header: list[str] = []
        self._write_all()
        self._events = _event_writer(tensorboard, from_step)

    def add(self, row: StepRow) -> None:
        """Append a row.

        Raises:
            OutputError: the file cannot be written.
        """
        columns = row.columns()
        self.rows.append(columns)
        if set(columns) - set(self._header):
            self._write_all()
        else:
            try:
                with self.path.open("a", encoding="utf-8", newline="") as file:
                    csv.DictWriter(file, self._header, restval="").writerow(_shown(columns))
            except OSError as error:
                raise OutputError(f"{self.path}: cannot be written ({error.strerror or error})") from error
        if self._events is not None:
            for name, value in columns.items():
                if name != "step":
                    self._events.add_scalar(name, value, row.step)

    def close(self) -> None:
        """Put the events on the disk."""
        if self._events is not None:
            self._events.close()

    def _write_all(self) -> None:
        self._header = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._header, restval="")
        writer.writeheader()
        writer.writerows(_shown(row) for row in self.rows)
        write_text(self.path, text.getvalue() if self.rows else "")


def read_log(path: Path) -> list[dict[str, float]]:
    """The rows of a log; a line that was cut off is left out, as is a value that a row does not have.

    Raises:
        OutputError: the file cannot be read as a log.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
        return [
            {name: float(value) for name, value in row.items()} for row in rows if "step" in row and None not in row
        ]
    except (OSError, ValueError, csv.Error) as error:
        raise OutputError(f"{path}: cannot be read as a training log ({error}); move it away") from error


def _shown(columns: Mapping[str, float]) -> dict[str, str]:
    return {name: str(value) if isinstance(value, int) else f"{value:.6g}" for name, value in columns.items()}


def _event_writer(folder: Path | None, from_step: int) -> Any:
    if folder is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=from_step or None)
