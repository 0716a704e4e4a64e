"""Installation: which libraries, tools and devices this machine has. Versions are read, nothing heavy is imported."""

from __future__ import annotations

import json
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from bevdeploy.engines.gpu import Gpu, gpu
from bevdeploy.engines.machine import MachineState, Tool, machine_state, output_of
from bevdeploy.paths import data_dir

LIBRARIES: dict[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "torch": ("torch",),
    "onnx": ("onnx",),
    "onnxscript": ("onnxscript",),
    "onnxruntime": ("onnxruntime",),
    "onnxruntime-gpu": ("onnxruntime-gpu",),
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
    "tensorrt_rtx": ("tensorrt_rtx", "tensorrt_rtx_cu13", "tensorrt_rtx_cu12"),
    "pycuda": ("pycuda",),
    "cuda-bindings": ("cuda-bindings",),
    "pillow": ("pillow",),
    "jinja2": ("jinja2",),
    "safetensors": ("safetensors",),
    "nuscenes-devkit": ("nuscenes-devkit",),
    "av": ("av",),
}
"""Distributions that bring each library, the first found counts."""

IMPORT_NAMES = {
    "onnxruntime-gpu": "onnxruntime",
    "pillow": "PIL",
    "cuda-bindings": "cuda.bindings.driver",
    "nuscenes-devkit": "nuscenes",
    "pycuda": "pycuda.driver",
}
"""What is imported, where it is not the library's name; of PyCUDA the part that needs the driver."""

IMPORT_SECONDS = 60.0
"""Longest time a library may take to import."""

_HEADERS = (
    "usr/include/aarch64-linux-gnu",
    "usr/include/x86_64-linux-gnu",
    "usr/include",
    "usr/local/tensorrt/include",
)
_DLA_CORES = (
    "import tensorrt as trt\nprint(trt.Builder(trt.Logger(trt.Logger.ERROR)).num_DLA_cores)"  # 0 where there is none
)


def _version_of(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _answer_of_python(code: str) -> str | None:
    return output_of((sys.executable, "-c", code), IMPORT_SECONDS)


def _free_disk_gib() -> float | None:
    try:
        return shutil.disk_usage(Path.cwd()).free / 2**30
    except OSError:
        return None


@dataclass(frozen=True)
class Probe:
    """How a machine is asked; a test replaces the parts to describe another one."""

    version_of: Callable[[str], str | None] = _version_of
    """Version of an installed distribution."""
    tool: Tool = output_of
    python_answer: Callable[[str], str | None] = _answer_of_python
    """What a program prints that runs in a process of its own; None where it fails."""
    root: Path = Path("/")
    """Where `proc`, `etc` and `usr` are looked up."""
    gpu: Callable[[], Gpu | None] = gpu
    python: str = platform.python_version()
    architecture: str = platform.machine()
    free_disk_gib: Callable[[], float | None] = _free_disk_gib


@dataclass(frozen=True)
class Installation:
    """What is there; None where it is not, or cannot be read."""

    python: str
    architecture: str
    machine: MachineState
    libraries: dict[str, str | None]
    """Version by the names of `LIBRARIES`."""
    import_errors: dict[str, str]
    """Installed libraries that do not import, and why; filled by a deep look only."""
    providers: tuple[str, ...] | None
    """Execution providers of ONNX Runtime; by a deep look only."""
    system_tensorrt: str | None
    """Version of the system's TensorRT package, whether this Python sees it or not."""
    tensorrt_headers: bool
    gpu: Gpu | None
    nvcc: str | None
    cmake: str | None
    plugin_sources: bool
    """This bevdeploy comes with the sources of its TensorRT plugin."""
    l4t: str | None
    """Jetson Linux, 36.4.3; None on anything but a Jetson."""
    dla_cores: int | None
    """As TensorRT counts them; by a deep look only."""
    free_disk_gib: float | None
    """Where the command was called."""
    deep: bool

    @property
    def jetson(self) -> bool:
        """A Tegra board, whose CUDA and TensorRT come with JetPack and never from a wheel."""
        return self.l4t is not None

    @property
    def sm(self) -> int | None:
        """Compute capability, from the driver; on a Jetson whose driver is silent, by its board."""
        if self.gpu is not None:
            return self.gpu.sm
        board = self.machine.board or ""
        return next((sm for name, sm in (("Orin", 87), ("Thor", 110)) if self.jetson and name in board), None)

    def has(self, *names: str) -> bool:
        """All of these libraries are installed and, as far as was looked, import."""
        return all(self.libraries[name] is not None and name not in self.import_errors for name in names)

    def missing(self, *names: str) -> tuple[str, ...]:
        """Those of the libraries that `has` does not find."""
        return tuple(name for name in names if not self.has(name))

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {**asdict(self), "sm": self.sm, "jetson": self.jetson}


def installation(probe: Probe, deep: bool = False) -> Installation:
    """Look at the machine. Never fails: what cannot be read is None.

    A deep look imports every installed library in a process of its own, which takes seconds and may start the driver.
    """
    libraries = {name: _first(probe.version_of, distributions) for name, distributions in LIBRARIES.items()}
    import_errors = {}
    if deep:
        for name in (name for name, version in libraries.items() if version is not None):
            problem = _import_problem(probe.python_answer, IMPORT_NAMES.get(name, name))
            if problem is not None:
                import_errors[name] = problem
    return Installation(
        python=probe.python,
        architecture=probe.architecture,
        machine=machine_state(probe.root, probe.tool),
        libraries=libraries,
        import_errors=import_errors,
        providers=_providers(probe.python_answer)
        if deep and _any(libraries, "onnxruntime", "onnxruntime-gpu")
        else None,
        system_tensorrt=_system_tensorrt(probe.tool),
        tensorrt_headers=any((probe.root / folder / "NvInfer.h").is_file() for folder in _HEADERS),
        gpu=probe.gpu(),
        nvcc=_match(r"release (\d+\.\d+)", _nvcc(probe)),
        cmake=_match(r"version (\S+)", probe.tool(("cmake", "--version"))),
        plugin_sources=(data_dir("plugins") / "CMakeLists.txt").is_file(),
        l4t=_l4t(probe.root),
        dla_cores=_dla_cores(probe.python_answer) if deep and libraries["tensorrt"] is not None else None,
        free_disk_gib=probe.free_disk_gib(),
        deep=deep,
    )


def _first(version_of: Callable[[str], str | None], distributions: tuple[str, ...]) -> str | None:
    return next((version for name in distributions if (version := version_of(name)) is not None), None)


def _any(libraries: dict[str, str | None], *names: str) -> bool:
    return any(libraries[name] is not None for name in names)


def _import_problem(answer: Callable[[str], str | None], module: str) -> str | None:
    """What goes wrong when a module is imported in a process of its own; None when nothing does."""
    code = (
        "try:\n"
        f"    import {module}\n"
        "    print('fine')\n"
        "except BaseException as error:\n"
        "    print(type(error).__name__ + ': ' + (str(error).strip().splitlines() or [''])[0])\n"
    )
    lines = (answer(code) or "the process ended without an answer").strip().splitlines()
    return None if lines and lines[-1] == "fine" else lines[-1]


def _providers(answer: Callable[[str], str | None]) -> tuple[str, ...] | None:
    code = "import json, onnxruntime\nprint(json.dumps(onnxruntime.get_available_providers()))"
    try:
        names = json.loads((answer(code) or "").strip().splitlines()[-1])
    except (ValueError, IndexError):
        return None
    return tuple(str(name).removesuffix("ExecutionProvider") for name in names) if isinstance(names, list) else None


def _dla_cores(answer: Callable[[str], str | None]) -> int | None:
    last = (answer(_DLA_CORES) or "").strip().splitlines()[-1:]
    return int(last[0]) if last and last[0].isdigit() else None


def _system_tensorrt(tool: Tool) -> str | None:
    """Of Debian's package database: libnvinfer10 10.3.0.30-1+cuda12.5."""
    for package in ("libnvinfer11", "libnvinfer10", "libnvinfer8"):
        version = _match(r"^(\d+(?:\.\d+)+)", tool(("dpkg-query", "--showformat=${Version}", "--show", package)))
        if version is not None:
            return version
    return None


def _nvcc(probe: Probe) -> str | None:
    return probe.tool(("nvcc", "--version")) or probe.tool((str(probe.root / "usr/local/cuda/bin/nvcc"), "--version"))


def _l4t(root: Path) -> str | None:
    """`# R36 (release), REVISION: 4.3, ...` is 36.4.3."""
    try:
        text = (root / "etc/nv_tegra_release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else "of an unknown release"


def _match(pattern: str, text: str | None) -> str | None:
    found = re.search(pattern, text or "")
    return found.group(1) if found else None
