"""The tiny student's checkpoint and export, made once, and the modules beside this file; tests are no package."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bevdeploy.geometry import CameraRig, surround_rig

BUILDER = "tiny_student:tiny"


@dataclass(frozen=True)
class Export:
    """One traced student; tests must not change it."""

    graph: Any
    """A `StudentGraph`."""
    report: Any
    """Its `ParityReport`."""
    onnx: Path
    """The files in a folder of their own, read only."""


def module_beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def mutation() -> Iterator[ModuleType]:
    """The module mutation.py."""
    yield module_beside("mutation")
    del sys.modules["mutation"]


@pytest.fixture(scope="session")
def rig() -> CameraRig:
    """Six cameras of 128 x 64 px."""
    return surround_rig(128, 64)


@pytest.fixture(scope="session")
def tiny() -> Iterator[Callable[[int], Any]]:
    """The tiny student by a seed; its module can be named as a builder."""
    torch = pytest.importorskip("torch")
    module = module_beside("tiny_student")
    from bevdeploy.geometry import surround_rig
    from bevdeploy.models.untrained import calibrate_norms

    def student(seed: int) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = module.tiny()
            noise = torch.randn(2, 6, 3, 32, 64)  # [sets, N, 3, H, W]
        calibrate_norms(made, list(noise), surround_rig(128, 64))
        return made.eval()

    yield student
    del sys.modules["tiny_student"]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[int], Any]) -> tuple[Path, Path]:
    """Two checkpoints of the tiny student with different weights; read only."""
    from bevdeploy.models import save_checkpoint

    folder = tmp_path_factory.mktemp("checkpoints")
    for seed in (0, 1):
        save_checkpoint(folder / f"tiny{seed}.pth", tiny(seed), {}, "for tests")
    return folder / "tiny0.pth", folder / "tiny1.pth"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[int], Any], rig: CameraRig) -> Export:
    """The tiny student as `bevdeploy export` writes it; some ten seconds of tracing."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from bevdeploy.export import graph_of_student, load_recipe, parity_of_graph, write_export
    from bevdeploy.jobs.export_checkpoint import ExportOptions, parity_cases

    recipe = load_recipe("tinybev_r18_small")
    graph = graph_of_student(tiny(0), recipe, rig, "frames", "runtime")
    report = parity_of_graph(graph, recipe, parity_cases(rig, ExportOptions())[1:2], "s.onnx")
    path = tmp_path_factory.mktemp("exported") / "s.onnx"
    write_export(graph, report, path)
    return Export(graph, report, path)
