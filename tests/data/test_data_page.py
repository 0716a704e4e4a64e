"""The examples of docs/data.md, run as one program as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_examples_run(devkit: None, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(found) >= 2
    script = tmp_path / "page.py"
    script.write_text("\n".join(found))
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert "1 keyframes, 0 without their files" in done.stdout, done.stderr
    assert "torch.Size([1, 6, 3," in done.stdout
