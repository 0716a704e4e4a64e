"""The training state file: whole or refused, and never executed."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from bevdeploy.errors import TrainingError
from bevdeploy.train.training_state import TrainingState, check_continues, load_state, save_state, state_path

STATE = TrainingState(
    step=3,
    config="c",
    data="d",
    student="s",
    seed=0,
    processes=1,
    trained={"w": torch.arange(4.0)},
    optimiser={"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    average=None,
    random=torch.get_rng_state(),
    random_gpu=None,
    scaler=None,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = state_path(tmp_path / "out" / "s.pth")
    assert path == tmp_path / "out" / "s.train.pt"
    save_state(path, STATE)
    read = load_state(path)
    for field in fields(STATE):
        ours, theirs = getattr(STATE, field.name), getattr(read, field.name)
        assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else str(ours) == str(theirs), field.name
    assert [file.name for file in path.parent.iterdir()] == ["s.train.pt"]


def test_a_missing_a_cut_and_a_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "s.train.pt"
    with pytest.raises(TrainingError, match="no such file"):
        load_state(path)
    save_state(path, STATE)
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:size])
        with pytest.raises(TrainingError, match=r"s\.train\.pt: .*start anew without --resume"):
            load_state(path)
    torch.save({"format": "bevdeploy.checkpoint/1"}, path)
    with pytest.raises(TrainingError, match="not a training state of this version"):
        load_state(path)
    torch.save({"format": "bevdeploy.training/1", "step": 1}, path)
    with pytest.raises(TrainingError, match="damaged training state"):
        load_state(path)


class Bomb:
    """Would run code where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def test_code_in_a_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.train.pt"
    torch.save({"format": "bevdeploy.training/1", "step": Bomb()}, path)
    with pytest.raises(TrainingError, match="refused: reading it would need more than numbers and names"):
        load_state(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(TrainingError):
        load_state(path)


def test_everything_that_differs_is_named(tmp_path: Path) -> None:
    check_continues(tmp_path, STATE, config="c", seed=0)
    with pytest.raises(TrainingError, match=r"was begun with config c \(now x\), seed 0 \(now 4\); give the same"):
        check_continues(tmp_path, STATE, config="x", seed=4, data="d")
    with pytest.raises(TrainingError, match="data e"):
        check_continues(tmp_path, replace(STATE, data="e"), data="d")
