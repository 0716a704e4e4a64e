"""`bevdeploy data synth`: what a user sees, and what a killed run leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PIL")

SMALL = ("--scenes", "2", "--keyframes", "5", "--width", "176", "--height", "64", "--workers", "2")


def test_a_small_world(tmp_path: Path, bevdeploy_cli: Any) -> None:
    out = tmp_path / "world of mine"
    done = bevdeploy_cli("data", "synth", out, *SMALL, "--json", tmp_path / "report.json")
    assert done.code == 0, done.err
    assert re.search(r"10 keyframes, about \d+ MB to write, .* are free", done.err)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["scenes"], report["keyframes"], report["rendered"]) == (2, 10, 10)
    assert report["root"] == str(out)
    assert report["seconds"] > 0
    boxes = json.loads((out / "v1.0-mini" / "sample_annotation.json").read_text())
    assert sum(report["boxes"].values()) == len(boxes)
    assert f"{out}: 2 scenes, 10 keyframes, {len(boxes)} boxes" in done.out.replace("\n", "")
    assert "next: bevdeploy " in done.out

    again = bevdeploy_cli("data", "synth", out, *SMALL)
    assert again.code == 0, again.err
    assert "complete, nothing to do" in again.out
    assert again.err == ""
    bevdeploy_cli("data", "synth", out, *SMALL, "--seed", "5").fails(
        "OutputError", "another synthetic world", "--seed 0"
    )


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (("--version", "v1.0-test"), "DataSetError", ["v1.0-test", "v1.0-mini"]),
        (("--scenes", "11"), "DataSetError", ["--scenes 11", "2 to 10"]),
        (("--sweeps", "99"), "DataSetError", ["--sweeps 99"]),
        (("--width", "99999"), "DataSetError", ["--width 99999"]),
    ],
)
def test_impossible_options(
    options: tuple[str, ...], kind: str, words: list[str], tmp_path: Path, bevdeploy_cli: Any
) -> None:
    bevdeploy_cli("data", "synth", tmp_path / "w", *options).fails(kind, *words)
    assert not (tmp_path / "w").exists()


def test_somebody_elses_folder_is_left_alone(
    tmp_path: Path, bevdeploy_cli: Any, snapshot: Callable[[Path], dict[str, bytes]]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    bevdeploy_cli("data", "synth", tmp_path, *SMALL).fails("OutputError", "name a new folder")
    bevdeploy_cli("data", "synth", tmp_path / "mine.txt", *SMALL).fails("OutputError", "not a folder")
    bevdeploy_cli("data", "synth", tmp_path / "mine.txt" / "w", *SMALL).fails("OutputError", "not a folder")
    assert snapshot(tmp_path) == {"mine.txt": b"mine"}


@pytest.mark.slow
def test_kill_9_and_go_on(
    tmp_path: Path,
    bevdeploy_cli: Any,
    subprocess_environment: dict[str, str],
    snapshot: Callable[[Path], dict[str, bytes]],
) -> None:
    assert bevdeploy_cli("data", "synth", tmp_path / "whole", *SMALL).code == 0
    command = [sys.executable, "-m", "bevdeploy", "data", "synth", str(tmp_path / "w"), *SMALL]
    run = subprocess.Popen(command, env=subprocess_environment, stderr=subprocess.DEVNULL)
    parts = tmp_path / "w" / ".world" / "parts"
    until = time.monotonic() + 120
    while run.poll() is None and not list(parts.glob("*.json")) and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    assert list(parts.glob("*.json"))
    until = time.monotonic() + 30
    while (done := bevdeploy_cli("data", "synth", tmp_path / "w", *SMALL)).code and time.monotonic() < until:
        done.fails("OutputError", "another process")
        time.sleep(0.2)
    assert done.code == 0, done.err
    assert snapshot(tmp_path / "w") == snapshot(tmp_path / "whole")
