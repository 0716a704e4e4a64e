"""Rules of CONTRIBUTING that a machine can hold: declarations, pins, sizes, names, licence."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for path in (ROOT / "bevdeploy").rglob("*.py") if "_data" not in path.parts)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

DISTRIBUTION = {"PIL": "pillow", "nuscenes": "nuscenes-devkit", "pyquaternion": "nuscenes-devkit"}
"""Import names that differ from the name of the distribution that brings them."""

OTHER_INDEX = {"onnxruntime-gpu", "pycuda", "tensorrt"}
"""Declared for users, never installed by CI, so not pinned."""


def source_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_files() -> list[Path]:
    """What belongs to the repository: tracked files, or those that git would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, cwd=ROOT
    )
    if listed.returncode != 0:  # an unpacked archive
        made = re.compile(r"(^|/)(\.(?!ci/)[^/]+|__pycache__|build|dist|out)/")
        files = [path for path in ROOT.rglob("*") if path.is_file()]
        return [path for path in files if not made.search(source_id(path))]
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_the_licence_is_the_plain_apache_text() -> None:
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert (
        digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    )  # apache.org/licenses/LICENSE-2.0.txt


def test_every_declared_requirement_is_pinned_for_ci() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for pin in pins:
        assert [specifier.operator for specifier in pin.specifier] == ["=="], f"{pin} is not one exact version"
    pinned = {canonicalize_name(pin.name): pin for pin in pins if pin.marker is None or pin.marker.evaluate()}
    for line in [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name in OTHER_INDEX or (requirement.marker and not requirement.marker.evaluate()):
            continue
        assert name in pinned, f"{line}: no pin in constraints.txt"
        (version,) = (specifier.version for specifier in pinned[name].specifier)
        assert requirement.specifier.contains(version), f"{line}: the pin is {version}"


def test_every_imported_library_is_declared() -> None:
    declared = {
        canonicalize_name(Requirement(line).name)
        for line in [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    }
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules: list[str] = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            for module in modules:
                name = module.split(".")[0]
                if name == "bevdeploy" or name in sys.stdlib_module_names or name == "tomllib":
                    continue
                distribution = canonicalize_name(DISTRIBUTION.get(name, name))
                assert distribution in declared, f"{source_id(path)}, line {node.lineno}: {name} is in no extra"


def test_every_extra_that_is_named_exists() -> None:
    named: dict[str, str] = {}
    for path in [*SOURCES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "Makefile"]:
        for match in re.finditer(r"(?:bevdeploy|\.)\[([a-z,]+)\]", path.read_text(encoding="utf-8")):
            named.update(dict.fromkeys(match[1].split(","), source_id(path)))
    assert {"cpu", "gpu", "export", "media"} <= set(named)
    assert {name: where for name, where in named.items() if name not in EXTRAS} == {}


def test_cpu_and_gpu_runtimes_are_never_installed_together() -> None:
    for name, lines in EXTRAS.items():
        names = {Requirement(line).name for line in lines}
        assert not {"onnxruntime", "onnxruntime-gpu"} <= names, name


@pytest.mark.parametrize("path", SOURCES, ids=source_id)
def test_sources_stay_readable_and_run_on_python_310(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400, "one concept per file; 400 lines is where a file is split"
    assert path.stem not in {"utils", "util", "common", "core", "helpers", "misc"}, "a name that says nothing"
    tree = ast.parse(text, feature_version=(3, 10))
    assert path.name == "py.typed" or ast.get_docstring(tree), "a module says what it holds"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("typing", "enum", "datetime"):
            newer = {alias.name for alias in node.names} & {
                "Self",
                "StrEnum",
                "UTC",
                "override",
                "assert_never",
                "Never",
            }
            assert not newer, f"line {node.lineno}: {newer} came after Python 3.10"


def test_the_repository_holds_no_large_and_no_built_files() -> None:
    for path in text_files():
        trained = path.parent == ROOT / "export" / "trained" and path.suffix == ".pth"
        most = 8_000_000 if trained else 512 * 1024
        assert path.stat().st_size <= most, f"{source_id(path)} is {path.stat().st_size / 1024:.0f} KiB"
        assert trained or path.suffix not in (".onnx", ".plan", ".engine", ".so", ".pth"), source_id(path)


def test_no_machine_and_no_package_index_is_named() -> None:
    """Paths of one machine and index hosts belong into variables (`TORCH_INDEX`, `BEVDEPLOY_TEST_DATA`)."""
    machine = re.compile(
        r"(?<![\w.])/(?:root|work|home|opt)/\w|https?://[\w.]*(?:pypi|pytorch|whl|pythonhosted|ngc)\.\w+/\S*(?:simple|whl)"
    )
    for path in text_files():
        if path.suffix in (".md", ".py", ".toml", ".txt", ".j2", ".yaml", "") and path != Path(__file__).resolve():
            found = machine.search(path.read_text(encoding="utf-8", errors="replace"))
            assert found is None, f"{source_id(path)}: {found and found[0]!r}"


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").rstrip().endswith("exec make test </dev/null")


@pytest.mark.parametrize("goal", ["demo", "test", "lint"])
def test_make_knows_its_goals(goal: str) -> None:
    planned = subprocess.run(["make", "--dry-run", goal], capture_output=True, text=True, cwd=ROOT)
    assert planned.returncode == 0, planned.stderr
    expected = {"demo": "bevdeploy demo", "test": "-m pytest", "lint": "ruff format --check"}[goal]
    assert expected in planned.stdout


def test_make_refuses_a_python_that_is_too_old(tmp_path: Path) -> None:
    """With the message that says what to do, before anything is made."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    old = tmp_path / "old-python"
    old.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -c "import sys; sys.version_info = (3, 8, 1); $1"\n')
    old.chmod(0o755)
    made = subprocess.run(["make", "demo", f"PYTHON={old}"], capture_output=True, text=True, cwd=tmp_path)
    assert made.returncode != 0
    assert "is Python 3.8; name a Python of 3.10 to 3.12" in made.stderr
    assert not (tmp_path / ".venv").exists()
