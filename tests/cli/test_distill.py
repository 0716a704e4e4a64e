"""`bevdeploy distill` as a user meets it: a checkpoint, the files beside it, going on, and what is refused."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("nuscenes") is None:
    pytest.skip("data are indexed with nuscenes-devkit, which is not installed", allow_module_level=True)

from bevdeploy.data.build_index import build_index
from bevdeploy.models import load_checkpoint
from bevdeploy.models.checkpoint import checkpoint_note
from bevdeploy.models.teachers import save_teacher
from bevdeploy.models.teachers.untrained import untrained_teacher
from bevdeploy.train.training_log import read_log

SIZES = ("--option", "image_height_px=64", "--option", "image_width_px=176", "--option", "cell_m=6.4")
TRAINING = "steps = 4\nbatch = 2\nwarmup_steps = 1\nsave_every = 2\nlog_every = 1\nema_decay = 0.5\n[augmentation]\n"


@pytest.fixture(scope="module")
def index(synthetic_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of a small made-up world, outside its root."""
    return build_index(synthetic_root, out=tmp_path_factory.mktemp("index") / "world")


@pytest.fixture
def distilled(bevdeploy_cli: Callable[..., Any], index: Path, tmp_path: Path) -> Callable[..., Any]:
    """`bevdeploy distill none` with a training of four steps; further arguments are appended."""
    config = tmp_path / "training.toml"
    config.write_text(TRAINING)

    def run(*arguments: str | Path) -> Any:
        return bevdeploy_cli(
            *("distill", "none", "--data", index, "--student", "tinybev_r18_small", "--config", config, *SIZES),
            *("--workers", "0", "-o", tmp_path / "out" / "s.pth", *arguments),
        )

    return run


def test_a_training_and_all_its_files(distilled: Callable[..., Any], tmp_path: Path) -> None:
    done = distilled("--json", tmp_path / "r.json", "--seed", "3")
    assert done.code == 0, done.err
    out, report = tmp_path / "out", json.loads((tmp_path / "r.json").read_text())
    assert report["steps"] == 4 and report["resumed_from"] == 0 and report["method"] == "none"
    assert f"{report['keyframes']} keyframes of {report['split']}" in done.out and "4 steps on" in done.out
    assert "4/4 loss" in done.err and "next: bevdeploy export" in done.out
    assert {"s.pth", "s.train.pt", "s.log.csv", "s.curves.png"} <= {path.name for path in out.iterdir()}
    assert [row["step"] for row in read_log(out / "s.log.csv")] == [1, 2, 3, 4]
    assert report["last"]["loss"] == pytest.approx(read_log(out / "s.log.csv")[-1]["loss"], rel=1e-4)
    assert (out / "s.curves.png").read_bytes().startswith(b"\x89PNG")
    student = load_checkpoint(out / "s.pth")
    assert sum(parameter.numel() for parameter in student.parameters()) == report["parameters"]
    assert "seed 3, 4 steps" in checkpoint_note(out / "s.pth")


def test_going_on_and_refusals(distilled: Callable[..., Any], tmp_path: Path) -> None:
    distilled("--resume").fails("TrainingError", "s.train.pt: no such file", "leave out --resume")
    assert distilled("--batch", "1").code == 0
    again = distilled("--batch", "1", "--resume")
    assert again.code == 0 and "4 steps, 4 of them before" in again.out
    distilled("--resume").fails("TrainingError", "was begun with config", "start anew without --resume")
    distilled("--batch", "1", "--resume", "--seed", "1").fails("TrainingError", "seed 0 (now 1)")
    start = distilled("--steps", "1", "--start", tmp_path / "out" / "s.pth")
    assert start.code == 0, start.err
    distilled("--start", tmp_path / "training.toml").fails("CheckpointError", "training.toml")
    distilled("--split", "nowhere").fails("DataSetError", "nowhere")
    distilled("--option", "cell_m=3.2", "--start", tmp_path / "out" / "s.pth").fails("TrainingError", "of other sizes")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher of the tiny student's sizes, as it comes out of its builder."""
    arguments = {"image_height_px": 64, "image_width_px": 176, "cell_m": 6.4, "width": 8, "ego_state": False}
    path = tmp_path_factory.mktemp("teacher") / "t.pth"
    save_teacher(path, untrained_teacher("planner_lc_small", arguments, 1), arguments, "untrained")
    return path


def test_a_teacher_beside_the_student_and_its_cache(
    bevdeploy_cli: Callable[..., Any], index: Path, teacher: Path, tmp_path: Path
) -> None:
    cache, config = tmp_path / "cache", tmp_path / "training.toml"
    assert bevdeploy_cli("teach", teacher, index, "-o", cache, "--sweeps", "2", "--workers", "0").code == 0
    settings, augmented = "[distill.bridgeta]\nwidth = 8\n", TRAINING.replace("steps = 4", "steps = 1")
    plain = augmented.replace("[augmentation]\n", "")
    config.write_text(plain + settings)

    def run(by: Path, *arguments: str | Path) -> Any:
        return bevdeploy_cli(
            *("distill", "bridgeta", "--data", index, "--student", "tinybev_r18_small", "--config", config, *SIZES),
            *("--workers", "0", "-o", tmp_path / "s.pth", "--teacher", by, *arguments),
        )

    for by in (teacher, cache):
        done = run(by, "--json", tmp_path / "r.json")
        assert done.code == 0, done.err
        report, rows = json.loads((tmp_path / "r.json").read_text()), read_log(tmp_path / "s.log.csv")
        assert report["method"] == "bridgeta" and report["teacher"].startswith("planner_lc_small")
        assert {"map_loss", "kd.low_loss", "kd.high_loss", "kd.output.map_logits_loss"} <= set(rows[-1])
        assert "bridgeta by planner_lc_small" in checkpoint_note(tmp_path / "s.pth")
    assert run(cache, "--resume").code == 0
    run(teacher, "--resume").fails("TrainingError", "start anew without --resume")
    config.write_text(plain + settings.replace("8", "16"))
    run(cache, "--resume").fails("TrainingError", "start anew without --resume")
    config.write_text(augmented + settings)
    run(cache).fails("TrainingError", "augments (bev_rotation_deg", "give the teacher's checkpoint as --teacher")
    assert run(teacher).code == 0, "a running teacher sees the augmented samples"
    config.write_text(plain + "[distill.bridgeta]\nwide = 8\n[distill.bridge]\n")
    run(cache).fails("RecipeError", "unknown setting distill.bridgeta.wide", "unknown key distill.bridge")
    (tmp_path / "s.pth").replace(tmp_path / "student.pth")
    config.write_text(plain)
    run(tmp_path / "student.pth").fails("CheckpointError", "student.pth")
    run(tmp_path / "nothing.pth").fails("CheckpointError", "nothing.pth")
    run(index).fails("DataSetError", "teacher.json")
    chunk = next(cache.glob("*.safetensors"))
    chunk.write_bytes(chunk.read_bytes()[:-3] + b"abc")
    run(cache).fails("DataSetError", chunk.name, "damaged chunk")


def test_wrong_words_are_refused_before_any_work(
    bevdeploy_cli: Callable[..., Any], index: Path, tmp_path: Path
) -> None:
    def distil(*arguments: str | Path) -> Any:
        return bevdeploy_cli("distill", *arguments, "--data", index, "-o", tmp_path / "s.pth")

    distil("nothing").fails("TrainingError", "unknown method 'nothing'", "none", "bridgeta")
    distil("direct").fails("TrainingError", "method direct needs a teacher", "bevdeploy teach")
    distil("none", "--teacher", tmp_path).fails("TrainingError", "method none has no teacher")
    distil("none", "--preset", "small").fails("RecipeError", "no training preset 'small'", "small-world")
    distil("none", "--student", "tiny").fails("CheckpointError", "unknown student 'tiny'")
    distil("none", "--option", "cells=1").fails("CheckpointError", "--option cells=1")
    missing = bevdeploy_cli("distill", "none", "--data", tmp_path / "no", "-o", tmp_path / "s.pth")
    missing.fails("DataSetError", "no such folder")
    bevdeploy_cli("distill", "none", "--data", index, "-o", tmp_path).fails("OutputError", "it is a folder")
    assert list(tmp_path.iterdir()) == []
