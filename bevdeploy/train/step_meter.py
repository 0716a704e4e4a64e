"""Means of the steps since the last row of the log, and how fast they were."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from bevdeploy.train.training_log import StepRow


class StepMeter:
    """Counts keyframes, seconds and loss terms of steps."""

    def __init__(self, keyframes_per_step: int, keyframes: int, device: torch.device) -> None:
        self.keyframes_per_step, self.keyframes, self.device = keyframes_per_step, keyframes, device
        self._begin()

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Around the wait for a batch."""
        began_s = time.perf_counter()
        yield
        self._waited_s += time.perf_counter() - began_s

    def add(self, terms: Mapping[str, float], gradient_norm: float) -> None:
        """A step that is done."""
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1
        self._norm += gradient_norm
        self._steps += 1

    def row(self, step: int, learning_rate: float) -> StepRow:
        """The row of the steps since the last one; `step` counts from the beginning of the training."""
        seconds = time.perf_counter() - self._began_s
        terms = {name: value / self._counts[name] for name, value in self._sums.items()}
        row = StepRow(
            step=step,
            epoch=step * self.keyframes_per_step / self.keyframes,
            learning_rate=learning_rate,
            loss=sum(terms.values()),
            terms=terms,
            gradient_norm=self._norm / self._steps,
            keyframes_per_s=self._steps * self.keyframes_per_step / seconds,
            loading_share=self._waited_s / seconds,
            memory_mb=_peak_memory_mb(self.device),
        )
        self._begin()
        return row

    def _begin(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._norm, self._steps, self._waited_s = 0.0, 0, 0.0
        self._began_s = time.perf_counter()


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6  # bytes there, KiB on Linux
