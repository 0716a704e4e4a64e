"""The PyTorch runner: the reference that every exported file is compared with, and the checkpoint's own latency."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bevdeploy.errors import EngineError
from bevdeploy.export.deploy_graph import FramesGraph, TensorGraph, opened_outputs
from bevdeploy.models.outputs import dense_outputs
from bevdeploy.runtime.contract import Contract
from bevdeploy.runtime.runner import Arrays, LayerTime, RunnerInfo


class TorchRunner:
    """A deploy graph in eager PyTorch, inputs and outputs as in its contract; a `frames` graph adds dense outputs."""

    def __init__(self, graph: FramesGraph | TensorGraph, contract: Contract, threads: int | None = None) -> None:
        """Threads None keeps torch's setting; a number sets it for the whole process."""
        if threads is not None:
            torch.set_num_threads(threads)
        self._graph = graph.eval()
        self.contract = contract
        names = opened_outputs if isinstance(graph, FramesGraph) else dense_outputs
        self._outputs = names(contract.tasks, bool(contract.state))
        self._names = [spec.name for spec in contract.inputs]

    def info(self) -> RunnerInfo:
        """Eager PyTorch on the CPU."""
        versions = {"torch": torch.__version__, "numpy": np.__version__}
        return RunnerInfo("pytorch", "cpu", torch.get_num_threads(), "fp32", versions)

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Outputs of one frame by name.

        Raises:
            ContractError: a feed's name, shape or dtype differs from the contract.
        """
        self.contract.check_inputs(feeds)
        arrays = [np.require(feeds[name], requirements=["C", "W"]) for name in self._names]  # copies read-only tables
        tensors = [torch.from_numpy(array) for array in arrays]
        with torch.inference_mode():
            outputs = self._graph(*tensors)
        return {name: output.numpy() for name, output in zip(self._outputs, outputs, strict=True)}

    def profile(self, feeds: Arrays, frames: int) -> list[LayerTime]:
        """Mean time of each operator of torch's profiler over `frames` runs after a warm-up run, longest first.

        Raises:
            ContractError: as `run`.
            EngineError: `frames` is less than 1.
        """
        if frames < 1:
            raise EngineError(f"a profile needs at least 1 frame, got {frames}")
        self.run(feeds)
        activities = [torch.profiler.ProfilerActivity.CPU]
        with torch.profiler.profile(activities=activities) as profiler:
            for _ in range(frames):
                self.run(feeds)
        layers = [
            LayerTime(event.key, event.key, event.self_cpu_time_total / 1e3 / frames)
            for event in profiler.key_averages()
            if event.self_cpu_time_total > 0
        ]
        return sorted(layers, key=lambda layer: -layer.mean_ms)
