"""Runner: the one interface between something that computes and everything that measures or compares it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class RunnerInfo:
    """What computes, where, with which versions: part of every report."""

    backend: str
    """onnxruntime, pytorch, tensorrt."""
    device: str
    """cpu, or the name of the GPU."""
    threads: int | None
    """Threads inside one operator; None where the backend decides."""
    precision: str
    """fp32, fp16."""
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerTime:
    """Time of one layer of the network, averaged over the profiled frames."""

    name: str
    kind: str
    """Operator type."""
    mean_ms: float


class Runner(Protocol):
    """Arrays by name in, arrays by name out; inputs and outputs are those of a contract."""

    def info(self) -> RunnerInfo:
        """What computes, where."""
        ...

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Outputs of one frame; returns when they are complete."""
        ...

    def profile(self, feeds: Arrays, frames: int) -> list[LayerTime]:
        """Layers of the network, longest first."""
        ...


class FakeRunner:
    """A runner around any function of arrays; for tests, and for users who test their own pipelines."""

    def __init__(self, function: Callable[[Arrays], dict[str, NDArray[Any]]]) -> None:
        self._function = function

    def info(self) -> RunnerInfo:
        """A CPU function of fp32 arrays."""
        return RunnerInfo(backend="fake", device="cpu", threads=1, precision="fp32", versions={"numpy": np.__version__})

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """What the function returns."""
        return self._function(feeds)

    def profile(self, feeds: Arrays, frames: int) -> list[LayerTime]:
        """No layers to show."""
        return []
