"""Finding TensorRT or TensorRT-RTX: one Python interface under two names, from a wheel or from JetPack."""

from __future__ import annotations

import importlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bevdeploy.errors import MissingDependencyError
from bevdeploy.runtime.manifest import LIBRARY_NAMES, PlanBackend

EXTRAS: dict[PlanBackend, str] = {"tensorrt": "tensorrt", "tensorrt_rtx": "rtx"}


@dataclass(frozen=True)
class TensorRTLibrary:
    """An imported library."""

    backend: PlanBackend
    version: str
    module: Any
    """`tensorrt` or `tensorrt_rtx`."""

    @property
    def name(self) -> str:
        """As NVIDIA writes it."""
        return LIBRARY_NAMES[self.backend]


def tensorrt_library(backend: PlanBackend, root: Path = Path("/")) -> TensorRTLibrary:
    """The library of a backend; `root` is where `etc/nv_tegra_release` tells a Jetson.

    Raises:
        MissingDependencyError: it is not installed; the message names the extra, or the JetPack packages.
    """
    try:
        module = importlib.import_module(backend)
    except (ImportError, OSError, RuntimeError) as error:  # a wheel without its shared libraries is any of these
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingDependencyError(
            f"{LIBRARY_NAMES[backend]} cannot be imported ({reason}); {_mend(backend, root)}"
        ) from error
    return TensorRTLibrary(backend, str(module.__version__), module)


def is_jetson(root: Path = Path("/")) -> bool:
    """An NVIDIA Tegra board, whose libraries come with JetPack and never from a wheel."""
    return platform.machine() == "aarch64" and (root / "etc/nv_tegra_release").is_file()


def _mend(backend: PlanBackend, root: Path) -> str:
    if not is_jetson(root):
        return f"pip install 'bevdeploy[{EXTRAS[backend]}]'"
    if backend == "tensorrt_rtx":
        return "it serves desktop RTX cards and no Jetson; build for one of the orin targets"
    return (
        "on a Jetson it comes with JetPack: sudo apt-get install tensorrt python3-libnvinfer, "
        "in a virtual environment made with --system-site-packages"
    )
