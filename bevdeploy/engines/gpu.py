"""The GPU of this machine, asked of NVIDIA's driver library, which is there wherever a plan can be run."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""
_NAME_BYTES = 256


@dataclass(frozen=True)
class Gpu:
    """The first device that the driver shows to this process."""

    name: str
    sm: int
    """Compute capability, 87 for 8.7."""
    cuda_version: str
    """Highest CUDA that the driver serves."""


@cache
def gpu() -> Gpu | None:
    """The GPU, or None without a driver or a device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    count, device, version = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    major, minor = ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    answers: tuple[Callable[[], int], ...] = (
        lambda: driver.cuInit(0),
        lambda: driver.cuDeviceGetCount(ctypes.byref(count)),
        lambda: driver.cuDeviceGet(ctypes.byref(device), 0),
        lambda: driver.cuDeviceGetName(name, _NAME_BYTES, device),
        lambda: driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device),
        lambda: driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device),
        lambda: driver.cuDriverGetVersion(ctypes.byref(version)),
    )
    if any(answer() != 0 for answer in answers):
        return None
    cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return Gpu(name.value.decode(errors="replace"), major.value * 10 + minor.value, cuda)
