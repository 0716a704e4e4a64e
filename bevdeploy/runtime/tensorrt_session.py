"""A plan on a GPU: the engine, its execution context, buffers of all tensors, one stream.

Every name of TensorRT that is called here is in the sources of its Python bindings of 10.3.0 and of 11.1 (`pyCore.cpp`)
and in TensorRT-RTX 1.7. What is left out for that: `device_memory_size` and `all_shape_inputs_specified` (gone in 11),
`IRuntimeConfig` (not in 10.3). Its documented rules that are kept here: addresses on 256 bytes, which CUDA's allocator
gives; a stream that is not the default one; no change to an input before the stream has passed it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import ContractError, EngineError
from bevdeploy.geometry.pool_tables import TABLE_NAMES
from bevdeploy.runtime.contract import Contract, TensorSpec
from bevdeploy.runtime.cuda_memory import CudaDevice, StageMarks, TensorBuffer
from bevdeploy.runtime.manifest import EngineManifest
from bevdeploy.runtime.runner import Arrays, LayerTime
from bevdeploy.runtime.tensorrt_library import TensorRTLibrary

STAGES = ("upload", "compute", "download")
"""What the GPU does for a frame, in this order; `staging` is the host's part, into pinned memory and out of it."""
WARMUP_RUNS = 3
"""Runs of a fresh execution context that a profile leaves out."""


class TensorRTSession:
    """Everything that a plan holds on the GPU, from loading to `release`; made in an active context."""

    def __init__(
        self,
        path: Path,
        content: bytes,
        manifest: EngineManifest,
        contract: Contract,
        library: TensorRTLibrary,
        device: CudaDevice,
    ) -> None:
        self.path, self.manifest, self.contract = path, manifest, contract
        self.library, self.device = library, device
        self._log = _error_log(library.module)
        try:
            runtime = library.module.Runtime(self._log)
        except TypeError as error:  # the binding's way to say that there is none
            raise EngineError(
                f"{path}: {library.name} {library.version} does not start ({self._log.last()})"
            ) from error
        self._engine = runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise EngineError(
                f"{path}: {library.name} {library.version} does not load it ({self._log.last()}); "
                f"build it again: {manifest.rebuild_command(path)}"
            )
        _check_engine(library.module, self._engine, path, contract)
        self._uploaded: dict[str, NDArray[Any]] = {}
        self._buffers: dict[str, TensorBuffer] = {}
        with ExitStack() as kept:
            for spec in (*contract.inputs, *contract.outputs):
                buffer = TensorBuffer(device.driver, spec.shape, spec.dtype)
                kept.callback(buffer.free)
                self._buffers[spec.name] = buffer
            self._stream = device.driver.Stream()
            self._marks = StageMarks(device.driver, STAGES)
            self._context = self._execution_context()
            self._kept = kept.pop_all()

    def frame(self, feeds: Arrays) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        """Outputs and stage times, ms; `feeds` fit the contract."""
        began = time.perf_counter()
        changed = [name for name in feeds if not self._is_on_device(name, feeds[name])]
        for name in changed:
            self._uploaded.pop(name, None)
            self._buffers[name].host[...] = feeds[name]
        staged = time.perf_counter()
        with self.device.active(f"{self.path}: cannot be run"):
            try:
                self._enqueue(changed)
            except BaseException:
                with suppress(self.device.driver.Error):
                    self._stream.synchronize()  # copies that are queued still read the pinned memory
                raise
            self._stream.synchronize()
            stages_ms = self._marks.elapsed_ms()
        self._uploaded.update({name: feeds[name] for name in changed if name in TABLE_NAMES})
        done = time.perf_counter()
        outputs = {spec.name: self._buffers[spec.name].host.copy() for spec in self.contract.outputs}
        staging_ms = (staged - began + time.perf_counter() - done) * 1e3
        return outputs, {"staging": staging_ms, **stages_ms}

    def layers(self, frames: int) -> list[LayerTime]:
        """Layer times on the last inputs, in an execution context of their own: with a profiler, every run waits."""
        profiler = _profiler(self.library.module)
        with self.device.active(f"{self.path}: cannot be profiled"):
            context = self._execution_context()
            context.profiler = profiler
            for n in range(WARMUP_RUNS + frames):
                if n == WARMUP_RUNS:
                    profiler.total_ms.clear()
                self._execute(context)
                self._stream.synchronize()
            kinds = self._kinds()
            del context  # its memory is freed while the device's context is active
        layers = [LayerTime(name, kinds.get(name, "layer"), ms / frames) for name, ms in profiler.total_ms.items()]
        return sorted(layers, key=lambda layer: -layer.mean_ms)

    def release(self) -> None:
        """Give back the engine and all memory."""
        with self.device.active(f"{self.path}: cannot be closed"):
            del self._context, self._engine, self._stream, self._marks
            self._kept.close()

    def _is_on_device(self, name: str, array: NDArray[Any]) -> bool:
        uploaded = self._uploaded.get(name)
        if uploaded is None:
            return False
        if uploaded is array and not array.flags.writeable and array.flags.owndata:
            return True
        same = np.array_equal(self._buffers[name].host, array)
        if same:
            self._uploaded[name] = array
        return same

    def _enqueue(self, changed: list[str]) -> None:
        """Queue one frame: copies in, the network, copies out."""
        stream, marks = self._stream, self._marks
        marks.start(stream)
        for name in changed:
            self._buffers[name].upload(stream)
        marks.end("upload", stream)
        self._execute(self._context)
        marks.end("compute", stream)
        for spec in self.contract.outputs:
            self._buffers[spec.name].download(stream)
        marks.end("download", stream)

    def _execute(self, context: Any) -> None:
        if not context.execute_async_v3(self._stream.handle):
            raise EngineError(f"{self.path}: {self.library.name} could not run it ({self._log.last()})")

    def _execution_context(self) -> Any:
        context = self._engine.create_execution_context()
        if context is None:
            raise EngineError(
                f"{self.path}: no execution context ({self._log.last()}); free memory of the GPU, or build for less"
            )
        for name, buffer in self._buffers.items():
            if not context.set_tensor_address(name, buffer.address):
                raise EngineError(f"{self.path}: {name} cannot be bound ({self._log.last()})")
        return context

    def _kinds(self) -> dict[str, str]:
        trt = self.library.module
        text = self._engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
        try:
            layers = json.loads(text)["Layers"]
        except (ValueError, TypeError, KeyError):
            return {}
        detailed = [layer for layer in layers if isinstance(layer, Mapping)]  # names alone without detailed verbosity
        return {str(layer.get("Name")): str(layer.get("LayerType", "layer")) for layer in detailed}


def _check_engine(trt: Any, engine: Any, path: Path, contract: Contract) -> None:
    """Compare a plan's tensors with the contract's, before memory of the contract's sizes is handed to it."""
    found: dict[Any, dict[str, tuple[str, tuple[int, ...]]]] = {trt.TensorIOMode.INPUT: {}, trt.TensorIOMode.OUTPUT: {}}
    for n in range(engine.num_io_tensors):
        name = engine.get_tensor_name(n)
        dtype = engine.get_tensor_dtype(name)
        found[engine.get_tensor_mode(name)][name] = (_dtype_name(trt, dtype), tuple(engine.get_tensor_shape(name)))
        if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
            raise ContractError(f"{path}: {name} is a shape tensor on the host, the contract has data; export again")
    _check_tensors(f"{path}: input", found[trt.TensorIOMode.INPUT], contract.inputs)
    _check_tensors(f"{path}: output", found[trt.TensorIOMode.OUTPUT], contract.outputs)


def _check_tensors(what: str, found: Mapping[str, tuple[str, tuple[int, ...]]], specs: tuple[TensorSpec, ...]) -> None:
    names = {spec.name for spec in specs}
    if set(found) != names:
        raise ContractError(f"{what} names are {sorted(found)}, the contract has {sorted(names)}; build again")
    for spec in specs:
        dtype, shape = found[spec.name]
        if (dtype, shape) != (spec.dtype, spec.shape):
            raise ContractError(
                f"{what} {spec.name} is {dtype} {shape}, the contract has {spec.dtype} {spec.shape}; build again"
            )


def _dtype_name(trt: Any, dtype: Any) -> str:
    try:
        return str(np.dtype(trt.nptype(dtype)))
    except TypeError:  # bfloat16 and smaller types have no equivalent in NumPy
        return str(dtype)


def _error_log(trt: Any) -> Any:
    class ErrorLog(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity <= trt.ILogger.ERROR:  # the smaller, the graver
                self.errors = [*self.errors[-9:], " ".join(msg.split())]

        def last(self) -> str:
            return self.errors[-1] if self.errors else "no reason given"

    return ErrorLog()


def _profiler(trt: Any) -> Any:
    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.total_ms: dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.total_ms[layer_name] = self.total_ms.get(layer_name, 0.0) + ms

    return Profiler()
