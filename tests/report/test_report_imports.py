"""Importing the room costs no picture library; drawing without one names the extra."""

from __future__ import annotations

import subprocess
import sys

import pytest

_BLOCK = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"PIL", "jinja2", "torch", "onnxruntime"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import numpy as np
import bevdeploy.report as report
from bevdeploy.errors import MissingDependencyError
from bevdeploy.geometry import surround_rig
"""

_CALLS = {
    "page": ("report.html_from_page(report.Page('t', 's', ()))", "Jinja2"),
    "bev": ("report.bev_picture(None, None)", "Pillow"),
    "camera": (
        "report.camera_picture(np.zeros((90, 160, 3), np.uint8), surround_rig(160, 90).cameras[0], None)",
        "Pillow",
    ),
    "frame": ("report.frame_picture([], surround_rig(), None, None, report.FrameTitle('f', 's', 'e'))", "Pillow"),
}


@pytest.mark.parametrize("name", _CALLS)
def test_without_the_libraries(name: str) -> None:
    call, library = _CALLS[name]
    script = f"{_BLOCK}\ntry:\n    {call}\nexcept MissingDependencyError as error:\n    print(error)\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert library in done.stdout
    assert "pip install 'bevdeploy[media]'" in done.stdout


def test_importing_the_room_imports_no_picture_library() -> None:
    script = "import sys, bevdeploy.report; print(sorted({'PIL', 'jinja2', 'torch', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
