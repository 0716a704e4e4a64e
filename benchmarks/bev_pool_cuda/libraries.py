"""The contenders' libraries: compiled when the benchmark runs, for this GPU, and called through one structure."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bevdeploy.paths import data_dir

HERE = Path(__file__).resolve().parent


class ContenderCall(ctypes.Structure):
    """As contender.h has it; pointers are addresses."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("half", "cameras", "bins", "height", "width", "channels")),
        *((name, ctypes.c_int32) for name in ("rows", "columns")),
        *((name, ctypes.c_void_p) for name in ("depth", "feat", "out", "ranks_depth", "ranks_feat", "ranks_bev")),
        *((name, ctypes.c_void_p) for name in ("interval_starts", "interval_lengths", "interval_triples")),
        *((name, ctypes.c_int32) for name in ("points", "intervals", "kernel", "channels_last", "line_cells")),
        *((name, ctypes.c_void_p) for name in ("row_depth", "row_feat", "sum1", "sum2", "cell_row")),
        *((name, ctypes.c_int32) for name in ("row_count", "sum1_count", "sum2_count")),
        *((name, ctypes.c_void_p) for name in ("words", "slot_start", "slot_info")),
        *((name, ctypes.c_int32) for name in ("groups", "slots")),
    )


def compiled(name: str, sources: Sequence[Path], folder: Path, nvcc: str, sm: str, *options: str) -> ctypes.CDLL:
    """A shared library of CUDA and C++ sources.

    Raises:
        RuntimeError: nvcc fails; the message is its own.
    """
    library = folder / f"lib{name}.so"
    command = [nvcc, "-std=c++17", "-O3", f"-arch=sm_{sm}", "-shared", "-Xcompiler=-fPIC", f"-I{HERE}", *options]
    done = subprocess.run([*command, *map(str, sources), "-o", str(library)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {nvcc} failed\n{done.stderr[-4000:]}")
    return ctypes.CDLL(str(library))


def ours(folder: Path, nvcc: str, sm: str) -> ctypes.CDLL:
    """The kernels of plugins/bev_pool."""
    plugin = data_dir("plugins") / "bev_pool"
    kernels = [plugin / "kernels" / name for name in ("launch.cu", "call_shape.cpp", "pack_runs.cpp")]
    library = compiled("ours", [HERE / "ours.cpp", *kernels], folder, nvcc, sm, f"-I{plugin}")
    library.pack.restype = ctypes.c_char_p
    return library


def public(name: str, source: Path, folder: Path, nvcc: str, sm: str, include: Sequence[Path]) -> ctypes.CDLL:
    """A public kernel: the adapter `name`.cu around the user's copy of its source."""
    options = [f'-DCONTENDER_SOURCE="{source.resolve()}"', f"-I{source.resolve().parent}", "-w"]
    options += [f"-I{folder_of_headers}" for folder_of_headers in include]
    return compiled(name, [HERE / f"{name}.cu"], folder, nvcc, sm, *options)


def version_of(nvcc: str) -> str:
    """As `nvcc 13.0`."""
    said = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    return "nvcc " + said.partition("release ")[2].partition(",")[0]
