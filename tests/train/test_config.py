"""Trainings as files: every preset loads, every mistake is named, all mistakes of a file in one message."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from bevdeploy.data.augment import Augmentation
from bevdeploy.errors import RecipeError
from bevdeploy.paths import data_dir
from bevdeploy.train import TaskWeights, TrainConfig, load_train_config, preset_names
from bevdeploy.train.config import with_overrides
from bevdeploy.train.detection_targets import CentreRule

FOLDER = data_dir("export") / "training"


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads(name: str) -> None:
    config = load_train_config(name)
    assert config == load_train_config(FOLDER / f"{name}.toml") and config.steps > 100
    assert len({config.digest(), replace(config, batch=3).digest()}) == 2
    assert config.digest() == replace(config, log_every=77, save_every=5).digest()


def test_the_readme_lists_every_key_and_every_preset() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    names = {field.name for kind in (TrainConfig, TaskWeights, CentreRule, Augmentation) for field in fields(kind)}
    tables = {"weights", "centres", "augmentation"}
    for name in (names - tables) | {f"[{name}]" for name in tables} | set(preset_names()):
        assert f"| `{name}` |" in text, name


def test_the_readme_s_defaults_are_the_real_ones() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    tables = ("weights", "centres", "augmentation", "distill")
    defaults = asdict(TrainConfig(steps=1, augmentation=Augmentation()))
    flat = {**defaults, **defaults["weights"], **defaults["centres"], **defaults["augmentation"]}
    for line in text.splitlines():
        name, default = line.split(" | ")[0].strip("| `"), line.rstrip(" |").split(" | ")[-1].strip("`")
        if line.startswith("| `") and name in flat and name not in ("steps", *tables):
            shown = (
                str(flat[name]).replace("(", "[").replace(")", "]").replace("True", "true").replace("False", "false")
            )
            assert default == shown or float(default) == float(flat[name]), line


def test_a_file_of_one_line_takes_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("steps = 7\n")
    assert load_train_config(path) == TrainConfig(steps=7)
    path.write_text("steps = 7\nbatch = 2\n[weights]\ncollision = 1\n[centres]\noverlap = 0.2\n[augmentation]\n")
    assert load_train_config(path) == TrainConfig(
        steps=7,
        batch=2,
        weights=TaskWeights(collision=1),
        centres=CentreRule(overlap=0.2),
        augmentation=Augmentation(),
    )


def test_all_mistakes_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        "stepps = 7\nbatch = 0\nema_decay = 1.0\nprecision = 'half'\n"
        "[weights]\nheatmaps = 1.0\nmap = -1\n[centres]\noverlap = 2\n[augmentation]\nbev_scale = [2, 1]\n"
    )
    with pytest.raises(RecipeError) as caught:
        load_train_config(path)
    message = str(caught.value)
    for part in (
        "bad.toml: not a usable training:",
        "unknown key stepps (did you mean steps?)",
        "missing key steps",
        "batch: expected a whole number above 0, got 0",
        "ema_decay: expected a number from 0 to below 1, got 1.0",
        "precision: expected 32-true or bf16-mixed or 16-mixed, got 'half'",
        "unknown key weights.heatmaps (did you mean heatmap?)",
        "weights.map: expected a weight, 0 or more, got -1",
        "centres.overlap: expected a number from 0 to 1, got 2",
        "augmentation.bev_scale: expected two factors, low then high, got [2, 1]",
        "export/training/README.md",
    ):
        assert part in message, message


def test_an_unknown_preset_and_a_bad_override() -> None:
    with pytest.raises(RecipeError, match=r"no training preset 'small-wrld' \(did you mean small-world\?\)"):
        load_train_config("small-wrld")
    with pytest.raises(RecipeError, match="batch: expected a whole number above 0, got -1"):
        with_overrides(TrainConfig(steps=1), batch=-1)
