"""The proof of unchanged cost: a student of every method, and its ONNX file, against the baseline's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("nuscenes") is None:
    pytest.skip("data are indexed with nuscenes-devkit, which is not installed", allow_module_level=True)
pytest.importorskip("onnxruntime")
pytest.importorskip("lightning_fabric")

from bevdeploy.data.build_index import build_index
from bevdeploy.distill.methods import DISTILLERS
from bevdeploy.jobs.compare import CompareOptions, compare
from bevdeploy.jobs.export_checkpoint import ExportOptions, export_checkpoint
from bevdeploy.jobs.train_student import train_student
from bevdeploy.models import load_checkpoint
from bevdeploy.models.teachers import save_teacher
from bevdeploy.models.teachers.untrained import untrained_teacher
from bevdeploy.train import TrainConfig

TAUGHT = [name for name in DISTILLERS if name != "none"]
SIZES: dict[str, Any] = {"image_height_px": 64, "image_width_px": 176, "cell_m": 6.4}
PAIRS = ["bev_s0", "bev_s1", "bev_neck"]
CONFIG = TrainConfig(
    steps=3,  # all stages of tinybev; weights that one step left equal would be one constant in the ONNX file
    batch=2,
    warmup_steps=1,
    ema_decay=0.0,
    distill={"distillbev": {"pairs": PAIRS}, "dualdistill": {"masked": {"pairs": PAIRS}}},
)


@pytest.fixture(scope="module")
def students(synthetic_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of every method after three steps, by the job behind `bevdeploy distill`."""
    folder = tmp_path_factory.mktemp("students")
    index = build_index(synthetic_root, out=folder / "index")
    arguments = {**SIZES, "width": 8, "ego_state": False}
    save_teacher(folder / "teacher.pth", untrained_teacher("planner_lc_small", arguments, 1), arguments)
    made = {}
    for method in DISTILLERS:
        made[method] = folder / f"{method}.pth"
        teacher = None if method == "none" else folder / "teacher.pth"
        train_student(method, index, "tinybev_r18_small", made[method], CONFIG, SIZES, teacher=teacher, seed=2)
    return made


@pytest.fixture(scope="module")
def exported(students: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The ONNX file of every student, as `bevdeploy export` writes it."""
    folder = tmp_path_factory.mktemp("exported")
    files = {}
    for method, checkpoint in students.items():
        files[method] = export_checkpoint(
            checkpoint, folder / f"{method}.onnx", options=ExportOptions(data_frames=1)
        ).onnx
    return files


@pytest.mark.parametrize("method", TAUGHT)
def test_a_distilled_checkpoint_has_the_parameters_of_the_baseline(method: str, students: dict[str, Path]) -> None:
    ours, theirs = (load_checkpoint(students[name]).state_dict() for name in ("none", method))
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in theirs.items()}
    assert any(not value.equal(theirs[name]) for name, value in ours.items()), "it learned something else"


@pytest.mark.slow
@pytest.mark.parametrize("method", TAUGHT)
def test_a_distilled_onnx_file_costs_what_the_baselines_costs(method: str, exported: dict[str, Path]) -> None:
    result = compare(exported["none"], exported[method], options=CompareOptions(cost_only=True))
    assert result.passed and not result.contract
    assert result.a.cost == result.b.cost and result.a.cost.parameters > 1_000_000 and result.a.cost.macs > 1e6
