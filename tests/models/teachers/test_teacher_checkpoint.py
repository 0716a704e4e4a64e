"""Teachers' checkpoints: what was saved is what is loaded, and none is taken for a student's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bevdeploy.errors import CheckpointError
from bevdeploy.models import build_student, load_checkpoint, save_checkpoint
from bevdeploy.models.checkpoint import checkpoint_note
from bevdeploy.models.teachers import Teacher, build_teacher, load_teacher, save_teacher
from bevdeploy.models.teachers.checkpoint import SWEEPS, saved_teacher
from bevdeploy.models.teachers.untrained import untrained_teacher

ARGUMENTS = {"cell_m": 6.4, "width": 4, "detections": 20}
NAME = "centerpoint_pillar_small"


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return untrained_teacher(NAME, ARGUMENTS, 3)


@pytest.fixture
def saved(teacher: Teacher, tmp_path: Path) -> Path:
    path = tmp_path / "teacher.pth"
    save_teacher(path, teacher, ARGUMENTS, "for tests", 4)
    return path


def test_round_trip(saved: Path, teacher: Teacher) -> None:
    loaded = load_teacher(saved)
    want, got = teacher.state_dict(), loaded.state_dict()
    assert loaded.spec == teacher.spec and not loaded.training
    assert list(got) == list(want) and all(torch.equal(got[key], want[key]) for key in want)
    every = saved_teacher(saved)
    assert (every.arguments, every.note, every.sweeps) == (ARGUMENTS, "for tests", 4)
    assert checkpoint_note(saved) == "for tests"


def test_seeds_make_weights() -> None:
    """Equal seeds the same ones, others others; torch's own generator is left alone."""
    before = torch.get_rng_state()
    one, same, other = (untrained_teacher(NAME, ARGUMENTS, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    key = "backbone.stages.0.0.0.weight"
    assert torch.equal(one[key], same[key]) and not torch.equal(one[key], other[key])


def test_neither_is_taken_for_the_other(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"a teacher's checkpoint \({NAME}\), where a student's is needed"):
        load_checkpoint(saved)
    student = tmp_path / "student.pth"
    save_checkpoint(student, build_student("tinybev_r18_small", {"cell_m": 6.4}), {"cell_m": 6.4})
    with pytest.raises(CheckpointError, match=r"a student's checkpoint \(tinybev_r18_small\), where a teacher's is"):
        load_teacher(student)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "not a bevdeploy teacher's checkpoint"),
        ({"teacher": "uniad"}, "unknown teacher 'uniad'; known are centerpoint_pillar"),
        ({"teacher": None}, "damaged checkpoint: teacher, arguments or weights are missing"),
        ({"arguments": {"depth": 3}}, "takes no option 'depth'"),
        ({"arguments": {"cell_m": 6.4}}, "expected"),
        ({"sweeps": 0}, "sweeps must be from 1 to 11, got 0"),
        ({"sweeps": "ten"}, "sweeps must be"),
    ],
)
def test_documents_that_do_not_fit(saved: Path, change: dict[str, Any], words: str) -> None:
    document = torch.load(saved, weights_only=True)
    torch.save(document | change, saved)
    with pytest.raises(CheckpointError, match=words) as refused:
        load_teacher(saved)
    assert str(refused.value).startswith(f"{saved}: ")


def test_a_file_that_does_not_tell_its_sweeps(saved: Path) -> None:
    document = torch.load(saved, weights_only=True)
    del document["sweeps"]
    torch.save(document, saved)
    assert saved_teacher(saved).sweeps == SWEEPS


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        (NAME, {"pillars_per_cell": 3}, "power of two"),
        (NAME, {"cell_m": 51.2 / 9}, "a multiple of 4"),
        ("planner_lc_small", {"cell_m": 51.2 / 4.5}, "a multiple of 2"),
        (NAME, {"half_extent_m": 0.5}, "reaches 1 to 200 m"),
        (NAME, {"width": 6}, "multiple of 4"),
        (NAME, {"cell_m": 12.8, "detections": 65}, "detections must be from 1 to the number of cells, 64"),
        ("planner_lc_small", {"depth_step_m": 0.0}, "depth_step_m must be"),
    ],
)
def test_sizes_that_cannot_be_built(name: str, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        build_teacher(name, arguments)
