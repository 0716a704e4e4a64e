"""Training with the frame before: its BEV is the student's own, without gradient, and first frames have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bevdeploy.data.sample import Sample, View
from bevdeploy.errors import TrainingError
from bevdeploy.geometry import CameraRig, camera_parameters_of_rig
from bevdeploy.geometry.frames import compose
from bevdeploy.models import Student
from bevdeploy.models.untrained import calibrate_norms, untrained_student
from bevdeploy.train import TaskObjective, TrainConfig, fabric_of, fit
from bevdeploy.train.batch import TrainBatch
from bevdeploy.train.loading import batches
from bevdeploy.train.objective import Handed, Trained
from bevdeploy.train.previous_bev import with_previous_bev

TINY = {"image_height_px": 64, "image_width_px": 192, "cell_m": 6.4, "depth_step_m": 4.0, "width": 8}
STEP_M = 8.0
"""The street's vehicle drives so far between two keyframes."""


class Drive:
    """The street's keyframes, each with the one before it; `SampleSource`."""

    def __init__(self, street: Any) -> None:
        self.samples = [street.samples[0]]
        self.tokens = street.tokens
        for before, sample in zip(street.samples, street.samples[1:], strict=False):
            bev_from_previous = compose(np.eye(3), [-STEP_M, 0, 0])
            self.samples.append(replace(sample, previous=before.view, bev_from_previous_bev=bev_from_previous))

    def sample(self, position: int, seed: int | None = None) -> Sample:
        return self.samples[position]


@pytest.fixture
def temporal(rig: CameraRig) -> Student:
    student = untrained_student("bevdepth_r50", TINY, 0)
    calibrate_norms(student, [torch.randn(6, 3, 64, 192, generator=torch.Generator().manual_seed(1))], rig)
    return student


@pytest.fixture
def source(temporal: Student, street_of: Callable[[Student, int], Any]) -> Drive:
    return Drive(street_of(temporal, 3))


def batch_of(student: Student, source: Any, count: int) -> TrainBatch:
    config = TrainConfig(steps=1)
    (batch,) = batches(source, student.spec, config.centres, batch=count, seed=0, steps=range(1))
    return batch


def test_the_earlier_bev_is_what_the_car_would_have_kept(temporal: Student, source: Drive) -> None:
    """Frame by frame through the whole student, whose `bev_state` is handed on, on the other side."""
    temporal.eval()
    batch = with_previous_bev(temporal, batch_of(temporal, source, 3))
    inputs = batch.inputs()
    assert inputs.previous_bev is not None and inputs.previous_from_current is not None
    for k, token in enumerate(batch.tokens):
        place = source.tokens.index(token)
        motion = inputs.previous_from_current[k].numpy()
        if place == 0:
            assert not inputs.previous_bev[k].any() and np.array_equal(motion, np.eye(3)[:2])
            continue
        row = batch.tokens.index(source.tokens[place - 1])
        with torch.no_grad():
            kept = temporal(inputs).bev_state[row]
        torch.testing.assert_close(inputs.previous_bev[k], kept, atol=1e-5, rtol=1e-4)
        np.testing.assert_allclose(motion, [[1, 0, STEP_M], [0, 1, 0]])  # what is here now was farther ahead then
    assert not inputs.previous_bev.requires_grad


def test_camera_parameters_are_those_of_the_rig(temporal: Student, source: Drive, rig: CameraRig) -> None:
    batch = batch_of(temporal, source, 2)
    want = camera_parameters_of_rig(rig, (64, 192))
    assert batch.camera_parameters is not None
    for row in batch.camera_parameters:
        np.testing.assert_allclose(row, want, rtol=1e-5)


def test_an_augmented_view_says_how(temporal: Student, source: Drive, rig: CameraRig) -> None:
    """A mirrored image: the parameters keep the camera and name the mirror."""
    mirror = np.broadcast_to([[-1.0, 0, 192], [0, 1, 0], [0, 0, 1]], (6, 3, 3))
    sample = source.samples[1]
    view: View = replace(sample.view, K=mirror @ sample.view.K, augmented_from_net=mirror)
    source.samples[:] = [replace(sample, view=view)] * 3
    batch = batch_of(temporal, source, 1)
    plain = camera_parameters_of_rig(rig, (64, 192))
    assert batch.camera_parameters is not None
    got = batch.camera_parameters[0].numpy()
    np.testing.assert_allclose(got[:, :4], plain[:, :4], rtol=1e-5)
    np.testing.assert_allclose(got[:, 4:10], np.tile([-1, 0, 192, 0, 1, 0], (6, 1)), rtol=1e-6)


def test_a_batch_of_first_frames_needs_none(temporal: Student, street_of: Callable[[Student, int], Any]) -> None:
    batch = batch_of(temporal, street_of(temporal, 2), 2)
    assert batch.previous is None and with_previous_bev(temporal, batch) is batch
    assert batch.inputs().previous_bev is None


def test_a_student_of_single_frames_gets_nothing(tiny: Student, street_of: Callable[[Student, int], Any]) -> None:
    batch = batch_of(tiny, Drive(street_of(tiny, 2)), 2)
    assert batch.previous is None and batch.previous_from_current is None and batch.camera_parameters is None


def test_a_forgotten_earlier_bev_is_an_error(temporal: Student, source: Drive) -> None:
    with pytest.raises(TrainingError, match="with_previous_bev"):
        batch_of(temporal, source, 3).inputs()


def test_data_without_the_frame_before_are_refused(temporal: Student, source: Drive) -> None:
    source.previous = False  # type: ignore[attr-defined]  # as `Samples` has it
    with pytest.raises(TrainingError, match="previous=True"):
        batch_of(temporal, source, 1)


def test_any_objective_sees_the_frame_before(temporal: Student, source: Drive) -> None:
    """The wrapper of training makes the earlier BEV: with it, other terms than on first frames alone."""
    config = TrainConfig(steps=1)
    temporal.eval()
    trained = Trained(temporal, TaskObjective(config.weights))
    batch = batch_of(temporal, source, 3)
    with torch.no_grad():
        moving = trained(Handed(batch))
        first = trained(Handed(batch._replace(previous=None)))
    assert moving.keys() == first.keys() == {"heatmap", "boxes", "depth"}
    assert abs(float(moving["heatmap"]) - float(first["heatmap"])) > 1e-4
    torch.testing.assert_close(moving["depth"], first["depth"])  # of this frame's images, not of the ones before


def test_some_steps_lower_the_loss(temporal: Student, source: Drive) -> None:
    from bevdeploy.train import Progress

    rows: list[Any] = []
    config = TrainConfig(steps=12, batch=2, learning_rate=2e-3, warmup_steps=2, log_every=1, ema_decay=0.0)
    before = {name: value.clone() for name, value in temporal.state_dict().items()}
    fit(
        fabric_of(config, "cpu"),
        temporal,
        TaskObjective(config.weights),
        source,
        config,
        progress=Progress(rows.append),
    )
    losses = [row.loss for row in rows]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    moved = {name for name, value in temporal.state_dict().items() if not torch.equal(value, before[name])}
    assert {"view_transform.depth_context.camera.norm.running_mean", "image_encoder.backbone.conv1.weight"} <= moved
