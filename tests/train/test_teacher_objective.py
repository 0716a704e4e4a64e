"""Teachers in training: each kind learns the street, goes on to the bit, and says what its batch lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bevdeploy.errors import TrainingError
from bevdeploy.models.teachers import Teacher, lidar_points
from bevdeploy.models.teachers.untrained import untrained_teacher
from bevdeploy.ops import pool_ranks
from bevdeploy.train import Progress, RunFiles, TrainConfig, fabric_of, fit
from bevdeploy.train.detection_targets import CentreRule
from bevdeploy.train.loading import batches
from bevdeploy.train.teacher_inputs import teacher_inputs
from bevdeploy.train.teacher_objective import TeacherObjective

CONFIG = TrainConfig(steps=4, batch=2, warmup_steps=2, save_every=2, log_every=1, ema_decay=0.9)
TERMS = {
    "centerpoint_pillar_small": {"heatmap", "boxes"},
    "bevfusion_lc_small": {"map", "depth"},
    "planner_lc_small": {"heatmap", "boxes", "map", "occupancy", "motion", "modes", "plan", "depth"},
}
StreetOf = Callable[[Any, int], Any]


def tiny(name: str, **options: Any) -> Teacher:
    """8 channels, 16 x 16 cells, images of 64 x 176 px: the sizes of the tiny student."""
    arguments = {"cell_m": 6.4, "width": 8, **options}
    if "centerpoint" not in name:
        arguments |= {"image_height_px": 64, "image_width_px": 176}
    return untrained_teacher(name, arguments, 0)


def first_batch(teacher: Teacher, source: Any, count: int = 2) -> Any:
    (batch,) = batches(source, teacher.spec, CentreRule(), batch=count, seed=0, steps=range(1))
    return batch


def fitted(teacher: Teacher, source: Any, config: TrainConfig = CONFIG, **options: Any) -> Any:
    return fit(fabric_of(config, "cpu"), teacher, TeacherObjective(config.weights), source, config, **options)


@pytest.mark.parametrize("name", list(TERMS))
def test_a_batch_is_learnt(name: str, street_of: StreetOf) -> None:
    teacher, rows = tiny(name), []
    config = TrainConfig(steps=24, batch=2, learning_rate=4e-3, warmup_steps=4, log_every=1, ema_decay=0.0)
    fitted(teacher, street_of(teacher, 2), config, progress=Progress(on_row=rows.append))
    assert set(rows[0].terms) == TERMS[name]
    assert rows[-1].loss < 0.6 * rows[0].loss, [row.loss for row in rows]


def test_a_broken_training_goes_on_to_the_bit(street_of: StreetOf, tmp_path: Path) -> None:
    name = "centerpoint_pillar_small"
    source = street_of(tiny(name), 3)
    whole = fitted(tiny(name), source).weights
    files = RunFiles(tmp_path / "t.train.pt", tmp_path / "t.log.csv")
    broken = tiny(name)

    class Stopped(Exception):
        pass

    def stop(step: int, weights: Any) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        fitted(broken, source, files=files, progress=Progress(on_save=stop))
    resumed = fitted(tiny(name), source, files=files, resume=True)
    assert resumed.first_step == 2
    assert all(torch.equal(resumed.weights[key], value) for key, value in whole.items())


def test_mixed_precision_trains(street_of: StreetOf) -> None:
    teacher, rows = tiny("planner_lc_small"), []
    config = replace(CONFIG, precision="bf16-mixed", steps=2)
    fitted(teacher, street_of(teacher, 2), config, progress=Progress(on_row=rows.append))
    assert all(np.isfinite(row.loss) for row in rows)


def test_inputs_are_the_samples(street_of: StreetOf) -> None:
    teacher = tiny("planner_lc_small")
    batch = first_batch(teacher, street_of(teacher, 3), 3)
    inputs = teacher_inputs(batch, teacher)
    want = lidar_points([sample.points for sample in batch.samples])
    assert all(torch.equal(got, each) for got, each in zip(inputs.lidar[:2], want[:2], strict=True))
    assert inputs.cameras is not None and inputs.cameras.ego_state is not None
    assert torch.equal(inputs.cameras.images, batch.inputs().images)
    assert all(torch.equal(got, each) for got, each in zip(inputs.cameras.pool[:7], batch.pool[:7], strict=True))
    alone = tiny("centerpoint_pillar_small")
    assert teacher_inputs(batch, alone).cameras is None


def test_a_teacher_of_another_grid_gets_tables_of_its_own(street_of: StreetOf) -> None:
    """The student's batch has 16 x 16 cells of 30 depths; the teacher 32 x 32 of 59."""
    student_like, teacher = tiny("planner_lc_small"), tiny("planner_lc_small", cell_m=3.2, depth_step_m=1.0)
    batch = first_batch(student_like, street_of(student_like, 2))
    inputs, own = teacher_inputs(batch, teacher), first_batch(teacher, street_of(teacher, 2))
    assert inputs.cameras is not None and inputs.cameras.pool.grid == (2, 1, 32, 32)
    by_token = {sample.token: sample.view.indices for sample in own.samples}
    want = pool_ranks([by_token[token] for token in batch.tokens], teacher.spec.geometry, 6)
    assert all(torch.equal(got, each) for got, each in zip(inputs.cameras.pool[:7], want[:7], strict=True))
    assert teacher(inputs).bev.shape[2:] == (32, 32)


def test_what_a_batch_lacks_is_said(street_of: StreetOf) -> None:
    teacher = tiny("planner_lc_small")
    batch = first_batch(teacher, street_of(teacher, 2))
    blind = replace(batch.samples[1], points=np.zeros((0, 5), np.float32))
    with pytest.raises(TrainingError, match=rf"1 of 2 samples have no lidar points, the first is {blind.token}"):
        teacher_inputs(batch._replace(samples=(batch.samples[0], blind)), teacher)
    with pytest.raises(TrainingError, match="takes images of 128 x 352 px, this batch has 64 x 176"):
        teacher_inputs(batch, untrained_teacher("planner_lc_small", {"cell_m": 6.4, "width": 8}, 0))
    with pytest.raises(TrainingError, match=r"takes 17 numbers per lidar point.*--virtual-points"):
        teacher_inputs(batch, tiny("centerpoint_pillar_small", virtual_points=True))


def test_virtual_points_are_taken_where_the_teacher_was_built_for_them(street_of: StreetOf) -> None:
    with_virtual, without = (tiny("centerpoint_pillar_small", virtual_points=virtual) for virtual in (True, False))
    batch = first_batch(without, street_of(without, 2))
    rng = np.random.default_rng(0)
    painted = tuple(
        replace(sample, points_and_virtual=rng.normal(size=(5, 17)).astype(np.float32)) for sample in batch.samples
    )
    batch = batch._replace(samples=painted)
    assert teacher_inputs(batch, with_virtual).lidar.values.shape == (10, 17)
    assert teacher_inputs(batch, without).lidar.values.shape[1] == 5
