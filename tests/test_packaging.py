"""The wheel holds one top-level package, its declarations, and nothing that was built or written beside them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import bevdeploy

ROOT = Path(__file__).resolve().parents[1]
DECLARED = ("export", "engines", "plugins")
STRAYS = ("engines/stray.plan", "export/stray.onnx", "plugins/libstray.so", "bevdeploy/stray.part")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built offline from a copy of what the wheel declares, with strays that `.gitignore` names."""
    source = tmp_path_factory.mktemp("source")
    tracked = ["bevdeploy", *DECLARED, "pyproject.toml", "README.md", "LICENSE", ".gitignore"]
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in tracked), str(source)], check=True)
    for stray in STRAYS:
        (source / stray).write_bytes(b"not for users")
    out = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_is_pure_python_of_this_version(wheel: Path) -> None:
    assert wheel.name == f"bevdeploy-{bevdeploy.__version__}-py3-none-any.whl"


def test_one_top_level_package(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} == {"bevdeploy", f"bevdeploy-{bevdeploy.__version__}.dist-info"}


@pytest.mark.parametrize("folder", DECLARED)
def test_declarations_travel_inside_the_package(folder: str, names: set[str]) -> None:
    here = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".toml", ".md", ".json")]
    assert here
    for path in here:
        assert f"bevdeploy/_data/{path.relative_to(ROOT).as_posix()}" in names


def test_all_code_and_templates_are_in(names: set[str]) -> None:
    for path in (ROOT / "bevdeploy").rglob("*"):
        if path.suffix in (".py", ".j2", ".typed", ".css"):
            assert path.relative_to(ROOT).as_posix() in names
    assert "bevdeploy/py.typed" in names


def test_nothing_built_and_no_tests_are_in(names: set[str]) -> None:
    built = (".onnx", ".plan", ".engine", ".so", ".pth", ".part", ".pyc")
    found = {name for name in names if name.endswith(built) or "/tests/" in name or "stray" in name}
    assert found == {"bevdeploy/_data/export/trained/tinybev_r18_small.pth"}, "the demo's student, and nothing else"


def test_licence_and_command_are_declared(wheel: Path) -> None:
    info = f"bevdeploy-{bevdeploy.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        assert "bevdeploy = bevdeploy.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
        assert "License-Expression: Apache-2.0" in archive.read(f"{info}/METADATA").decode()


def test_an_installed_wheel_finds_its_declarations(wheel: Path, tmp_path: Path) -> None:
    """Unpacked as pip would, away from the checkout: the data folders are those inside the package."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import bevdeploy.paths as p, sys; sys.path.clear()\n"
        "for name in ('export', 'engines', 'plugins'): print(p.data_dir(name))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}
    )
    assert shown.stdout.split() == [str(tmp_path / "bevdeploy" / "_data" / name) for name in DECLARED], shown.stderr
