"""The pairs that the papers trained, small: each method on its own student by its own teacher, through the job."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("nuscenes") is None:
    pytest.skip("data are indexed with nuscenes-devkit, which is not installed", allow_module_level=True)
pytest.importorskip("lightning_fabric")

from bevdeploy.data.build_index import build_index
from bevdeploy.errors import TrainingError
from bevdeploy.jobs.train_student import train_student
from bevdeploy.models import load_checkpoint
from bevdeploy.models.teachers import save_teacher
from bevdeploy.models.teachers.untrained import untrained_teacher
from bevdeploy.train import TrainConfig

SIZES: dict[str, Any] = {"image_height_px": 64, "image_width_px": 160, "cell_m": 3.2, "width": 8}
MAP: dict[str, Any] = {**SIZES, "map_cell_m": 2.0}
CONFIG = TrainConfig(steps=1, batch=2, warmup_steps=1, ema_decay=0.0)
TEACHERS: dict[str, dict[str, Any]] = {
    "centerpoint_pillar_small": {"cell_m": 3.2, "width": 8},
    "bevfusion_lc_small": {**SIZES, "student_classes": False},
}


@pytest.fixture(scope="module")
def index(synthetic_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_index(synthetic_root, out=tmp_path_factory.mktemp("index") / "world")


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Teachers as they come out of their builders."""
    folder = tmp_path_factory.mktemp("teachers")
    for name, arguments in TEACHERS.items():
        save_teacher(folder / f"{name}.pth", untrained_teacher(name, arguments, 0), arguments, "untrained", sweeps=2)
    return {name: folder / f"{name}.pth" for name in TEACHERS}


@pytest.mark.parametrize(
    ("method", "student", "arguments", "teacher", "term"),
    [
        ("dualdistill", "bevdepth_r50", SIZES, "centerpoint_pillar_small", "kd.response.heatmap_loss"),
        ("distillbev", "bevdepth_r50", SIZES, "centerpoint_pillar_small", "kd.foreground.bev_s2_loss"),
        ("bridgeta", "bevfusion_camera", MAP, "bevfusion_lc_small", "kd.output.map_logits_loss"),
        ("bridgeta", "bevfusion_camera_r50", MAP, "bevfusion_lc_small", "kd.high_loss"),
    ],
)
def test_a_step_of_a_published_pair(
    method: str,
    student: str,
    arguments: dict[str, Any],
    teacher: str,
    term: str,
    index: Path,
    teachers: dict[str, Path],
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.pth"
    report = train_student(method, index, student, path, CONFIG, arguments, teacher=teachers[teacher])
    losses = {name: value for name, value in report.last.items() if name.endswith("_loss")}
    assert all(math.isfinite(value) for value in losses.values()) and term in losses
    assert load_checkpoint(path).spec.name == student and report.teacher.startswith(teacher)


def test_a_pair_that_has_no_task_in_common(index: Path, teachers: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="reads map_logits of the student"):
        train_student(
            "bridgeta", index, "bevdepth_r50", tmp_path / "s.pth", CONFIG, SIZES, teacher=teachers["bevfusion_lc_small"]
        )
    with pytest.raises(TrainingError, match="reads heatmap, box_codes of the student"):
        train_student(
            *("dualdistill", index, "bevfusion_camera", tmp_path / "s.pth", CONFIG, MAP),
            teacher=teachers["centerpoint_pillar_small"],
        )
