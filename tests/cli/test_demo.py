"""`bevdeploy demo`: everything of the main job in one folder, and a page over all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")
pytest.importorskip("PIL")


@pytest.mark.slow
def test_demo_without_any_data(tmp_path: Path, bevdeploy_cli: Any) -> None:
    out = tmp_path / "my demo"
    done = bevdeploy_cli("demo", "-o", out, "--seconds", "1", "--frames", "2", "--keyframes", "5")
    assert done.code == 0, done.err + done.out
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    student = "tinybev_r18_small"
    assert names >= {f"{student}{end}" for end in (".pth", ".fp32.onnx", ".contract.json", ".parity.json")}
    assert names >= {"index.html", "bench.json", "frames/results.jsonl", "frames/index.html"}
    assert names >= {"world/v1.0-mini/sample.json", "eval/index.html", "eval/scores.json", "eval/results_nusc.json"}
    assert not [name for name in names if name.endswith(".part")]
    assert done.out.replace("\n", "").rstrip().endswith(str(out / "index.html"))

    assert json.loads((out / f"{student}.parity.json").read_text())["passed"] is True
    bench = json.loads((out / "bench.json").read_text())
    assert json.dumps(bench).count(f"{student}.fp32.onnx") >= 1
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "https://" not in page and "http://" not in page
    assert page.count("data:image/jpeg;base64,") == 2
    assert "on the synthetic world" in page and "untrained" not in page
    for command in ("data synth", "export", "bench", "run", "eval"):
        assert f"bevdeploy {command}" in page
    seen = [json.loads(line)["token"] for line in (out / "frames" / "results.jsonl").read_text().splitlines()]
    keyframes = json.loads((out / "world" / "v1.0-mini" / "sample.json").read_text())
    scene = next(
        row for row in json.loads((out / "world" / "v1.0-mini" / "scene.json").read_text()) if "0103" in row["name"]
    )
    times = sorted((row["timestamp"], row["token"]) for row in keyframes if row["scene_token"] == scene["token"])
    assert seen == [times[0][1], times[2][1]], "spread over the validation scene"


@pytest.mark.slow
def test_demo_of_an_untrained_student_on_frames_of_ones_own(
    tmp_path: Path, bevdeploy_cli: Any, monkeypatch: pytest.MonkeyPatch, synthetic_root: Path
) -> None:
    monkeypatch.setattr("bevdeploy.jobs.demo.shipped_checkpoint", lambda student: None)
    done = bevdeploy_cli("demo", "-o", tmp_path, "--data", synthetic_root, "--seconds", "1", "--frames", "1")
    assert done.code == 0, done.err + done.out
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "untrained" in page and "bevdeploy init" in page and "bevdeploy data synth" not in page
    assert not (tmp_path / "eval").exists() and not (tmp_path / "world").exists()


def test_what_cannot_be_demonstrated_leaves_nothing(tmp_path: Path, bevdeploy_cli: Any, snapshot: Any) -> None:
    (tmp_path / "file").write_text("mine")
    before = snapshot(tmp_path)
    done = bevdeploy_cli("demo", "-o", tmp_path / "file")
    done.fails("OutputError", str(tmp_path / "file"), "not a folder")
    done = bevdeploy_cli("demo", "-o", tmp_path / "out", "--student", "tinybev_r81")
    done.fails("CheckpointError", "tinybev_r81", "tinybev_r18")
    assert bevdeploy_cli("demo", "-o", tmp_path / "out", "--frames", "0").code == 2
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "out").exists()
