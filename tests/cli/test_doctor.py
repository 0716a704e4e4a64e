"""`bevdeploy doctor` on this machine: exit code, card, file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_the_card_and_the_file_agree(bevdeploy_cli: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "doctor.json"
    done = bevdeploy_cli("doctor", "--json", file)
    assert done.code == 0, done.err
    document = json.loads(file.read_text())
    words = " ".join(done.out.split())
    assert document["installation"]["libraries"]["numpy"] in words
    for job in document["jobs"]:
        assert set(job) == {"job", "possible", "reason", "mend"}
    assert done.out.count("✓") >= sum(job["possible"] for job in document["jobs"])


def test_no_heavy_library_is_imported() -> None:
    code = (
        "import sys\n"
        "from bevdeploy.jobs.doctor import doctor\n"
        "doctor()\n"
        "heavy = ('torch', 'onnx', 'onnxruntime', 'tensorrt', 'tensorrt_rtx', 'nuscenes')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert (shown.returncode, shown.stdout.strip()) == (0, "[]"), shown.stderr


def test_wrong_usage(bevdeploy_cli: Callable[..., Any]) -> None:
    assert bevdeploy_cli("doctor", "--deeper").code == 2
