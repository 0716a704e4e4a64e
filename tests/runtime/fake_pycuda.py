"""PyCUDA without a GPU, strict where CUDA would corrupt memory or stall: after the sources of PyCUDA 2026.1.

* Work on a stream is queued and done when the stream is waited for: what is read or changed too early is seen.
* Asynchronous copies are refused from and to memory that is not pinned, and beyond an allocation's end.
* Everything but `init` and `Device` needs a current context. Fresh and freed memory holds garbage.
* The GPU's clock advances by what was done: 1 ms per MB copied, `COMPUTE_MS` per run of a network.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

COMPUTE_MS = 5.0
BYTES_PER_MS = 1e6
GARBAGE = 0xCD


class FakeGpu:
    """One GPU: its memory, its clock, and everything that was asked of it."""

    def __init__(self, sm: tuple[int, int] = (8, 7), memory_bytes: int = 1 << 30) -> None:
        self.sm = sm
        self.memory_bytes = memory_bytes
        self.memory: dict[int, np.ndarray] = {}
        self.pinned: set[Any] = set()
        self.streams: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.events: weakref.WeakSet[Any] = weakref.WeakSet()
        self.contexts: list[Any] = []
        self.calls: list[str] = []
        self.clock_ms = 0.0
        self.fault: Exception | None = None
        """Raised by the next wait for a stream, once."""
        self._next_address = 1 << 20

    def allocate(self, size: int) -> int:
        address = self._next_address
        self._next_address += (size // 512 + 2) * 512  # CUDA aligns to 256 bytes at the least
        self.memory[address] = np.full(size, GARBAGE, np.uint8)
        return address

    def held(self) -> dict[str, int]:
        """What was not given back."""
        counts = {
            "device allocations": len(self.memory),
            "pinned allocations": len(self.pinned),
            "streams": len(self.streams),
            "events": len(self.events),
            "contexts": len(self.contexts),
        }
        return {name: count for name, count in counts.items() if count}

    def copies(self) -> list[str]:
        """`htod` and `dtoh` with their bytes, in the order they were queued."""
        return [call for call in self.calls if call.startswith(("htod", "dtoh"))]


def pycuda_modules(gpu: FakeGpu) -> dict[str, ModuleType]:
    """`pycuda` and `pycuda.driver` for `sys.modules`."""
    package, driver = ModuleType("pycuda"), ModuleType("pycuda.driver")
    package.VERSION_TEXT = "2026.1"
    package.driver = driver

    class Error(Exception):
        pass

    class LogicError(Error):
        pass

    class OutOfMemory(Error):
        pass

    initialised = False

    def init(flags: int = 0) -> None:
        nonlocal initialised
        initialised = True

    def need_context() -> None:
        if not gpu.contexts:
            raise LogicError("invalid device context - no currently active context?")

    class Device:
        def __init__(self, index: int) -> None:
            if not initialised:
                raise LogicError("cuDeviceGet failed: initialization error")
            if index != 0:
                raise LogicError("cuDeviceGet failed: invalid device ordinal")

        def name(self) -> str:
            return "Fake GPU"

        def compute_capability(self) -> tuple[int, int]:
            return gpu.sm

        def retain_primary_context(self) -> Context:
            return Context()

    class Context:
        def push(self) -> None:
            gpu.contexts.append(self)

        @staticmethod
        def pop() -> None:
            if not gpu.contexts:
                raise LogicError("context::pop failed: invalid device context - cannot pop non-current context")
            gpu.contexts.pop()

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            need_context()
            self.queue: list[Callable[[], None]] = []
            self.handle = 0x5000 + 16 * len(gpu.calls)
            gpu.streams[self.handle] = self

        def synchronize(self) -> None:
            need_context()
            gpu.calls.append("synchronize")
            if gpu.fault is not None:
                fault, gpu.fault = gpu.fault, None
                raise fault
            while self.queue:
                self.queue.pop(0)()

    class Event:
        def __init__(self, flags: int = 0) -> None:
            need_context()
            self.passed_ms: float | None = None
            gpu.events.add(self)

        def record(self, stream: Stream | None = None) -> Event:
            need_context()
            assert isinstance(stream, Stream), "an event on the default stream makes all streams wait"
            self.passed_ms = None

            def passed() -> None:
                self.passed_ms = gpu.clock_ms

            stream.queue.append(passed)
            return self

        def time_till(self, end: Event) -> float:
            need_context()
            if self.passed_ms is None or end.passed_ms is None:
                raise LogicError("cuEventElapsedTime failed: device not ready")
            return end.passed_ms - self.passed_ms

    class DeviceAllocation:
        def __init__(self, size: int) -> None:
            self._address = gpu.allocate(size)

        def __int__(self) -> int:
            return self._address

        __index__ = __int__

        def free(self) -> None:
            need_context()
            if self._address not in gpu.memory:
                raise LogicError("device_allocation::free failed: invalid resource handle")
            gpu.memory.pop(self._address)[:] = GARBAGE

    class PagelockedHostAllocation:
        def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
            self._memory = np.full(int(np.prod(shape)) * np.dtype(dtype).itemsize, GARBAGE, np.uint8)
            address = self._memory.__array_interface__["data"]
            typestr = np.dtype(dtype).str
            self.__array_interface__ = {"data": address, "shape": shape, "typestr": typestr, "version": 3}
            gpu.pinned.add(self)

        def free(self) -> None:
            need_context()
            if self not in gpu.pinned:
                raise LogicError("pagelocked_host_allocation::free failed: invalid resource handle")
            gpu.pinned.remove(self)
            self._memory[:] = GARBAGE

    def mem_alloc(size: int) -> DeviceAllocation:
        need_context()
        assert isinstance(size, int) and size > 0, f"mem_alloc({size!r})"
        if sum(len(memory) for memory in gpu.memory.values()) + size > gpu.memory_bytes:
            raise OutOfMemory("cuMemAlloc failed: out of memory")
        return DeviceAllocation(size)

    def pagelocked_empty(shape: int | Sequence[int], dtype: Any, order: str = "C", mem_flags: int = 0) -> np.ndarray:
        need_context()
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        assert min(sizes) > 0, f"pagelocked_empty({shape!r})"
        return np.asarray(PagelockedHostAllocation(sizes, dtype))  # its base is the allocation, as PyCUDA's

    def pinned_bytes(array: np.ndarray) -> np.ndarray:
        base: Any = array
        while isinstance(base, np.ndarray):
            base = base.base
        assert base in gpu.pinned, "an asynchronous copy from or to pageable or freed memory"
        assert array.flags.c_contiguous, "ndarray is not contiguous"
        return array.reshape(-1).view(np.uint8)

    def device_bytes(address: int, size: int) -> np.ndarray:
        memory = gpu.memory.get(address)
        assert memory is not None and len(memory) >= size, f"{size} bytes do not lie at {address:#x}"
        return memory[:size]

    def queue_copy(call: str, stream: Any, target: np.ndarray, source: np.ndarray) -> None:
        need_context()
        assert isinstance(stream, Stream), "an asynchronous copy without a stream"
        gpu.calls.append(f"{call} {len(source)}")

        def copy() -> None:
            target[:] = source
            gpu.clock_ms += len(source) / BYTES_PER_MS

        stream.queue.append(copy)

    def memcpy_htod_async(dest: Any, src: np.ndarray, stream: Any = None) -> None:
        source = pinned_bytes(src)
        queue_copy("htod", stream, device_bytes(int(dest), len(source)), source)

    def memcpy_dtoh_async(dest: np.ndarray, src: Any, stream: Any = None) -> None:
        target = pinned_bytes(dest)
        queue_copy("dtoh", stream, target, device_bytes(int(src), len(target)))

    def get_driver_version() -> int:
        return 12060

    made = (init, Device, Context, Stream, Event, DeviceAllocation, mem_alloc, pagelocked_empty)
    for each in (*made, memcpy_htod_async, memcpy_dtoh_async, get_driver_version, Error, LogicError):
        setattr(driver, each.__name__, each)
    driver.MemoryError = OutOfMemory
    return {"pycuda": package, "pycuda.driver": driver}
