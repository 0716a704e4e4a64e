"""The examples of docs/rig.md and docs/frames.md, run as they stand."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from bevdeploy.data import rig_of_folder
from bevdeploy.geometry import load_rig

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BEVDEPLOY_TEST_DATA", REPOSITORY.parent / "shared" / "data")) / "nuscenes_mini"


def blocks(page: str, language: str) -> list[str]:
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run_page(page: str) -> dict[str, Any]:
    """Names that the page's Python blocks define, run in order as one program."""
    names: dict[str, Any] = {}
    found = blocks(page, "python")
    assert found
    for number, source in enumerate(found):
        exec(compile(source, f"{page}, block {number + 1}", "exec"), names)
    return names


def test_rig_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("rig.md", "json")
    (tmp_path / "rig.json").write_text(example)
    document = json.loads(example)
    assert all(f"`{key}`" in (REPOSITORY / "docs" / "rig.md").read_text() for key in document["cameras"][0])
    names = run_page("rig.md")
    assert load_rig(tmp_path / "front.json").names == ("front",)
    if DATA.is_dir() and importlib.util.find_spec("nuscenes"):
        names["save_rig_of_first_keyframe"](DATA, tmp_path / "real.json")
        assert len(load_rig(tmp_path / "real.json").cameras) == 6


def test_frames_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("PIL", reason="Pillow is not installed")
    monkeypatch.chdir(tmp_path)
    names = run_page("frames.md")
    assert rig_of_folder(tmp_path / "drive").image_hw == (90, 160)
    if DATA.is_dir() and importlib.util.find_spec("nuscenes"):
        assert len(names["tokens_of_scene"](DATA, "scene-0103")) == 2
        assert "2 keyframes, 38 skipped" in capsys.readouterr().out
