"""Indices of the real frames: one built once, and roots that a test may damage."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import SampleIndex, open_index


@pytest.fixture(scope="session")
def devkit() -> None:
    # Not importorskip: its plotting libraries warn about themselves at import, which only the package silences.
    if importlib.util.find_spec("nuscenes") is None:
        pytest.skip("nuscenes-devkit is not installed")


@pytest.fixture(scope="session")
def mini_index(devkit: None, nuscenes_root: Path, tmp_path_factory: pytest.TempPathFactory) -> SampleIndex:
    """82 keyframes, 3 with images, 1 with lidar; no map expansion."""
    folder = build_index(nuscenes_root, out=tmp_path_factory.mktemp("index") / "mini")
    return open_index(folder, root=nuscenes_root)


@pytest.fixture
def own_root(devkit: None, nuscenes_root: Path, tmp_path: Path) -> Path:
    """A copy of the real root that may be changed; indexed nowhere."""
    root = tmp_path / "root"
    shutil.copytree(nuscenes_root, root, copy_function=shutil.copyfile)
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    return root
