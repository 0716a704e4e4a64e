"""One checkpoint and its four graphs, each traced once for all tests of export (some ten seconds a graph)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from bevdeploy.export import ExportRecipe, ParityCase, StudentGraph, graph_of_student, load_recipe
from bevdeploy.geometry import CameraRig, surround_rig
from bevdeploy.jobs.export_checkpoint import ExportOptions, parity_cases
from bevdeploy.jobs.init_checkpoint import init_checkpoint
from bevdeploy.models import Student, load_checkpoint

GraphOf = Callable[[str, str], StudentGraph]


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Student:
    """The small student as `bevdeploy init` writes it."""
    path = tmp_path_factory.mktemp("export") / "small.pt"
    init_checkpoint("tinybev_r18_small", path, {})
    return load_checkpoint(path)


@pytest.fixture(scope="session")
def recipe() -> ExportRecipe:
    return load_recipe("tinybev_r18_small")


@pytest.fixture(scope="session")
def rig() -> CameraRig:
    """Raw images of 1600 x 900 px, as those of nuScenes."""
    return surround_rig()


@pytest.fixture(scope="session")
def graph_of(student: Student, recipe: ExportRecipe, rig: CameraRig) -> GraphOf:
    """The graph of an io mode and a geometry mode; tests must not change it."""
    traced: dict[tuple[str, str], StudentGraph] = {}

    def graph(io: str, geometry_mode: str) -> StudentGraph:
        key = (io, geometry_mode)
        if key not in traced:
            traced[key] = graph_of_student(student, recipe, rig, io, geometry_mode)  # type: ignore[arg-type]
        return traced[key]

    return graph


@pytest.fixture(scope="session")
def cases(rig: CameraRig) -> list[ParityCase]:
    """What `bevdeploy export` checks: a synthetic frame, noise, a rig after a knock."""
    return parity_cases(rig, ExportOptions())


@pytest.fixture(scope="session")
def mutants() -> ModuleType:
    """The module beside this file; tests are no package."""
    spec = importlib.util.spec_from_file_location("mutants", Path(__file__).with_name("mutants.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
