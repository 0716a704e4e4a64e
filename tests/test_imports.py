"""What runs in a car imports without PyTorch, without any optional library, and under Python 3.10 (JetPack 6)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

OPTIONAL = (
    "av",
    "pycuda",
    "tensorrt",
    "tensorrt_rtx",
    "torch",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "PIL",
    "jinja2",
    "nuscenes",
    "cv2",
    "matplotlib",
    "pyquaternion",
)
WITHOUT_TORCH = ("geometry", "runtime", "engines", "plugins", "report", "data", "evaluate", "cli")

IMPORT_ALL = """
import importlib, json, pkgutil, sys
blocked, rooms = json.loads(sys.argv[1])

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Block())
import bevdeploy
done = []
for room in rooms:
    try:
        package = importlib.import_module(f"bevdeploy.{room}")
    except ModuleNotFoundError as error:
        if error.name == f"bevdeploy.{room}":
            continue  # a room of a later issue
        raise
    done.append(package.__name__)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
        done.append(module.name)
print(json.dumps({"done": done, "loaded": sorted({name.split(".")[0] for name in sys.modules})}))
"""

TABLES = """
import hashlib, json, sys
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry, surround_rig, tables_from_rig
view = ViewGeometry(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)), DepthBins(1.0, 60.0, 1.0), (256, 704), (16, 44))
digest = hashlib.sha256()
for name, table in sorted(tables_from_rig(surround_rig(), view).arrays().items()):
    digest.update(name.encode() + table.tobytes())
print(json.dumps([sys.version_info[:2], digest.hexdigest()]))
"""


def run(python: str | Path, *arguments: str, **environment: str) -> str:
    finished = subprocess.run(
        [str(python), *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_car_side_imports_without_any_optional_library() -> None:
    report = json.loads(run(sys.executable, "-c", IMPORT_ALL, json.dumps([OPTIONAL, WITHOUT_TORCH])))
    assert {"bevdeploy.geometry.rig", "bevdeploy.runtime.pipeline", "bevdeploy.cli"} <= set(report["done"])
    assert not set(OPTIONAL) & set(report["loaded"])


def test_a_blocked_library_is_really_blocked() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, json.dumps([["numpy"], ["geometry"]])],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert finished.returncode != 0
    assert "blocked: numpy" in finished.stderr


def test_importing_touches_no_accelerator_and_starts_nothing() -> None:
    """The rooms that need torch import it, and that is all: no CUDA context, no change of threads or seeds."""
    report = run(
        sys.executable,
        "-c",
        "import torch; threads, state = torch.get_num_threads(), torch.random.get_rng_state()\n"
        "import bevdeploy.models, bevdeploy.ops, bevdeploy.export\n"
        "assert not torch.cuda.is_initialized()\n"
        "assert torch.get_num_threads() == threads and torch.equal(torch.random.get_rng_state(), state)\n"
        "print('quiet')",
    )
    assert report.strip() == "quiet"


def python_310() -> str | None:
    """A Python 3.10 that really starts: a pyenv shim on PATH answers only for the versions that are switched on."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which("python3.10"), *sorted(map(str, pyenv.glob("3.10.*/bin/python")))]
    if sys.version_info[:2] == (3, 10):
        candidates.insert(0, sys.executable)
    for candidate in filter(None, candidates):
        answer = subprocess.run(
            [candidate, "-c", "import sys, venv, ensurepip; print(*sys.version_info[:2])"],
            capture_output=True,
            text=True,
        )
        if answer.returncode == 0 and answer.stdout.split() == ["3", "10"]:
            return candidate
    return None


@pytest.mark.slow
def test_the_car_side_runs_under_python_310_with_the_base_alone(tmp_path: Path) -> None:
    python = python_310()
    if python is None:
        pytest.skip("no Python 3.10 on this machine")
    run(python, "-m", "venv", str(tmp_path / "venv"))
    new = tmp_path / "venv" / "bin" / "python"
    install = subprocess.run(
        [new, "-m", "pip", "install", "--quiet", "-c", "constraints.txt", "numpy", "typer", "rich", "tomli"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if install.returncode != 0:
        pytest.skip(f"the base cannot be installed for Python 3.10 here: {install.stderr.strip().splitlines()[-1]}")
    report = json.loads(
        run(new, "-W", "error", "-c", IMPORT_ALL, json.dumps([OPTIONAL, WITHOUT_TORCH]), PYTHONPATH=str(ROOT))
    )
    assert {"bevdeploy.geometry.rig", "bevdeploy.runtime.pipeline", "bevdeploy.cli"} <= set(report["done"])

    old_version, old_digest = json.loads(run(new, "-c", TABLES, PYTHONPATH=str(ROOT)))
    assert old_version == [3, 10]
    assert old_digest == json.loads(run(sys.executable, "-c", TABLES))[1], "the index tables depend on the Python"

    usage = run(new, "-m", "bevdeploy", "--help", PYTHONPATH=str(ROOT))
    assert "Exit codes" in usage
