"""GPU memory through PyCUDA: tensors on both sides of the bus, a stream, and the time between marks on it.

TensorRT calls CUDA's runtime interface, which works in a device's primary context, and so does this module. The context
is made current for the length of a call and taken off again: PyCUDA aborts a process that ends while one is current. It
is kept for the life of the process, as CUDA's own runtime keeps it: PyCUDA's release leaves it on the thread's stack.

Written after the sources of PyCUDA 2026.1, tried with a fake of them, and not run on a device.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import EngineError, MissingDependencyError


@dataclass(frozen=True, eq=False)
class CudaDevice:
    """A GPU and its primary context."""

    name: str
    sm: int
    """Compute capability, 87 for 8.7."""
    versions: dict[str, str]
    """PyCUDA, and the CUDA that the driver serves."""
    driver: Any
    """`pycuda.driver`."""
    context: Any

    @contextmanager
    def active(self, what: str) -> Iterator[None]:
        """Run a block in this device's context.

        Raises:
            EngineError: `what`, and CUDA's own message.
        """
        try:
            self.context.push()
            try:
                yield
            finally:
                self.context.pop()
        except self.driver.Error as error:
            raise EngineError(f"{what} ({_first_line(error)})") from error


def cuda_device(index: int = 0) -> CudaDevice:
    """A GPU of this machine.

    Raises:
        MissingDependencyError: PyCUDA is not installed.
        EngineError: there is no NVIDIA driver, or no such GPU.
    """
    try:
        version = str(importlib.import_module("pycuda").VERSION_TEXT)
    except ImportError as error:
        raise MissingDependencyError(
            f"running a plan needs PyCUDA, which is not installed ({error}), and an NVIDIA GPU; "
            "on a machine with one: pip install 'bevdeploy[pycuda]' (it is compiled, with nvcc on the PATH)"
        ) from error
    try:
        driver = importlib.import_module("pycuda.driver")
    except ImportError as error:  # libcuda.so.1 belongs to the driver
        raise EngineError(
            f"running a plan needs NVIDIA's driver, which does not load ({_first_line(error)})"
        ) from error
    try:
        return _device(driver, index, version)
    except driver.Error as error:
        raise EngineError(f"running a plan needs an NVIDIA GPU; CUDA finds none here ({_first_line(error)})") from error


@cache
def _device(driver: Any, index: int, version: str) -> CudaDevice:
    driver.init()
    device = driver.Device(index)
    major, minor = device.compute_capability()
    cuda = driver.get_driver_version()  # 12060 is 12.6
    versions = {"pycuda": version, "cuda_driver": f"{cuda // 1000}.{cuda % 1000 // 10}"}
    return CudaDevice(device.name(), 10 * major + minor, versions, driver, device.retain_primary_context())


class TensorBuffer:
    """One tensor twice: in pinned host memory, from which the GPU copies on its own, and in device memory.

    To be made, copied and freed in an active context.
    """

    def __init__(self, driver: Any, shape: tuple[int, ...], dtype: str) -> None:
        self._driver = driver
        self._pinned: Any = driver.pagelocked_empty(math.prod(shape), np.dtype(dtype))  # its base is the allocation
        self._device = driver.mem_alloc(self._pinned.nbytes)
        self.host: NDArray[Any] = self._pinned.reshape(shape)
        self.address = int(self._device)

    def upload(self, stream: Any) -> None:
        """Queue the copy to the device; `host` must not change until the stream has passed it."""
        self._driver.memcpy_htod_async(self._device, self._pinned, stream)

    def download(self, stream: Any) -> None:
        """Queue the copy to the host; `host` is complete when the stream has passed it."""
        self._driver.memcpy_dtoh_async(self._pinned, self._device, stream)

    def free(self) -> None:
        """Give both back; the buffer is of no use afterwards."""
        self._device.free()
        self._pinned.base.free()
        self._pinned = self.host = np.empty(0, self.host.dtype)


class StageMarks:
    """Events on a stream around named stages, which tell the GPU's time of each."""

    def __init__(self, driver: Any, stages: Sequence[str]) -> None:
        self._stages = tuple(stages)
        self._events = [driver.Event() for _ in range(len(self._stages) + 1)]

    def start(self, stream: Any) -> None:
        """Queue the mark before the first stage."""
        self._events[0].record(stream)

    def end(self, stage: str, stream: Any) -> None:
        """Queue the mark after a stage, which is the one before the next."""
        self._events[self._stages.index(stage) + 1].record(stream)

    def elapsed_ms(self) -> dict[str, float]:
        """Time of each stage, once the stream has passed the last mark."""
        pairs = zip(self._events, self._events[1:], strict=False)
        return {stage: float(start.time_till(end)) for stage, (start, end) in zip(self._stages, pairs, strict=True)}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
