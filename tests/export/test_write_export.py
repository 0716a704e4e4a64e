"""Writing an export: three whole files, or the three that were there before."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bevdeploy.errors import OutputError
from bevdeploy.export import StudentGraph, write_export
from bevdeploy.export import onnx_export as module
from bevdeploy.runtime import OnnxRunner
from bevdeploy.runtime.parity import Check, ParityReport

REPORT = ParityReport("small.fp32.onnx", "PyTorch", (Check("noise", "bev", "relative L2", float("inf"), 1e-4),))
NAMES = ["small.contract.json", "small.fp32.onnx", "small.parity.json"]


@pytest.fixture
def graph(graph_of: Callable[[str, str], StudentGraph]) -> StudentGraph:
    return graph_of("tensor", "runtime")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_three_files_that_open(graph: StudentGraph, tmp_path: Path) -> None:
    written = write_export(graph, REPORT, tmp_path / "new folder" / "small.fp32.onnx")
    assert sorted(path.name for path in written) == NAMES == names(tmp_path / "new folder")
    runner = OnnxRunner.open(written[0])
    assert runner.contract is not None and runner.contract.digest() == graph.contract.digest()
    document = json.loads(written[2].read_text())
    assert document["format"] == "bevdeploy.parity/1" and document["passed"] is False
    assert document["checks"][0]["value"] == "inf"
    assert all(path.stat().st_mode & 0o777 == written[0].stat().st_mode & 0o777 for path in written)


@pytest.mark.parametrize("failing", [1, 2, 3])
@pytest.mark.parametrize("crash", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_crash_leaves_the_files_before_and_no_part(
    graph: StudentGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, crash: BaseException
) -> None:
    """The first, second or third file is half written when it happens."""
    for name in NAMES:
        (tmp_path / name).write_text(f"{name} of the export before")
    whole, count = Path.write_bytes, 0

    def half(path: Path, content: Any, *_: Any, **__: Any) -> int:
        nonlocal count
        count += 1
        data = content.encode() if isinstance(content, str) else content
        if count == failing:
            whole(path, data[: len(data) // 2])
            raise crash
        return whole(path, data)

    monkeypatch.setattr(Path, "write_bytes", half)
    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OutputError if isinstance(crash, OSError) else KeyboardInterrupt) as caught:
        write_export(graph, REPORT, tmp_path / "small.fp32.onnx")
    if isinstance(crash, OSError):
        assert "No space left on device" in str(caught.value) and len(str(caught.value).splitlines()) == 1
    monkeypatch.undo()
    assert count == failing and names(tmp_path) == NAMES
    for name in NAMES:
        assert (tmp_path / name).read_text() == f"{name} of the export before"


def test_a_model_larger_than_a_file_may_be_is_refused(
    graph: StudentGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ONNX_BYTES", 1000)
    with pytest.raises(OutputError, match=r"bytes, an ONNX file holds at most 1000"):
        write_export(graph, REPORT, tmp_path / "small.fp32.onnx")
    assert names(tmp_path) == []


def test_a_folder_that_is_a_file_is_refused(graph: StudentGraph, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_export(graph, REPORT, tmp_path / "file" / "small.fp32.onnx")
