"""Keyframes of the made-up street, with all truth that a student trains on, and a student small enough for tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from PIL import Image

from bevdeploy.data import FrameSet, synthetic_frame_sets, synthetic_scene
from bevdeploy.data.sample import Sample, Truth, View
from bevdeploy.geometry import CameraRig, ImageTransform, indices_from_rig, surround_rig
from bevdeploy.models import Student
from bevdeploy.models.untrained import untrained_student
from bevdeploy.tasks import TaskSpec

STREET = 5
"""Keyframes of the street."""


def truth_of(
    boxes: np.ndarray, labels: np.ndarray, tasks: TaskSpec, cells: tuple[int, int], **changed: object
) -> Truth:
    """Truth with these boxes, driving on at their velocities; nothing on the map, an ego vehicle that stands still."""
    n, steps = len(boxes), tasks.motion_steps
    times_s = tasks.step_s * np.arange(1, steps + 1, dtype=np.float32)
    velocity = np.nan_to_num(boxes[:, None, 7:9])
    values: dict[str, object] = {
        "boxes": boxes.astype(np.float32),
        "labels": labels.astype(np.int32),
        "instances": np.arange(n, dtype=np.int32),
        "attributes": np.full(n, -1, np.int32),
        "points": np.full(n, 5, np.int32),
        "visibility": np.full(n, 4, np.int32),
        "futures_m": (boxes[:, None, :2] + velocity * times_s[:, None]).astype(np.float32),
        "futures_valid": np.ones((n, steps), bool),
        "map_masks": np.zeros((len(tasks.map_classes), *cells), bool),
        "occupancy": np.zeros((len(tasks.occupancy_steps_s), tasks.occupancy_side, tasks.occupancy_side), bool),
        "occupancy_valid": np.ones(len(tasks.occupancy_steps_s), bool),
        "plan_m": np.zeros((tasks.plan_steps, 2), np.float32),
        "plan_valid": np.ones(tasks.plan_steps, bool),
        "command": 2,
    }
    return Truth(**{**values, **changed})  # type: ignore[arg-type]


@cache
def _frames(count: int) -> tuple[FrameSet, ...]:
    """The first keyframes of the street."""
    return tuple(synthetic_frame_sets(surround_rig(400, 225), count))


class Street:
    """`SampleSource` of consecutive keyframes of the made-up street."""

    def __init__(self, student: Student, count: int) -> None:
        rig = surround_rig(400, 225)
        spec, grid = student.spec, student.spec.geometry.grid
        indices = indices_from_rig(rig, spec.geometry)
        height_px, width_px = spec.geometry.net_hw
        fit = ImageTransform.fit((225, 400), spec.geometry.net_hw)
        K = np.stack([fit.net_from_image @ camera.K for camera in rig.cameras])
        extrinsics = np.stack([camera.ego_from_cam for camera in rig.cameras])
        x_m, y_m = np.meshgrid(grid.centres_m(0), grid.centres_m(1))
        side = spec.tasks.occupancy_side
        occupancy_m = (np.arange(side) + 0.5) * spec.tasks.occupancy_cell_m - spec.tasks.occupancy_half_extent_m
        self.samples = []
        for index, frames in enumerate(_frames(STREET)[:count]):
            truth = synthetic_scene(index)
            labels = truth.labels(spec.tasks)
            masks = np.stack([abs(y_m) < 1.6, abs(x_m - 8 * index) < 3, abs(y_m) > 9, abs(y_m) < 6.1])
            occupied = np.zeros((side, side), bool)
            for x, y in truth.boxes[labels < 5, :2]:
                occupied |= np.hypot(occupancy_m[None] - x, occupancy_m[:, None] - y) < 2
            plan_m = np.stack([3.5 * np.arange(1, spec.tasks.plan_steps + 1), np.zeros(spec.tasks.plan_steps)], -1)
            resized = [Image.fromarray(image).resize(fit.resized_hw[::-1]) for image in frames.frames]
            top, left = fit.crop_yx
            images = np.stack([np.asarray(image)[top : top + height_px, left : left + width_px] for image in resized])
            points = np.concatenate([truth.boxes[:, :3], np.tile(np.float32([1, 0]), (len(labels), 1))], 1)
            self.samples.append(
                Sample(
                    token=f"street-{index}",
                    timestamp_us=500_000 * index,
                    view=View(images, indices, K, extrinsics),
                    previous=None,
                    bev_from_previous_bev=None,
                    points=points.astype(np.float32),
                    ego_state=np.zeros(9, np.float32),
                    bev_from_ego=np.eye(4),
                    global_from_ego=np.eye(4),
                    truth=truth_of(
                        truth.boxes,
                        labels,
                        spec.tasks,
                        grid.shape_zyx[1:],
                        map_masks=masks,
                        occupancy=np.repeat(occupied[None], len(spec.tasks.occupancy_steps_s), 0),
                        plan_m=plan_m.astype(np.float32),
                    ),
                )
            )
        self.tokens = tuple(sample.token for sample in self.samples)

    def sample(self, position: int, seed: int | None = None) -> Sample:
        return self.samples[position]


@pytest.fixture(scope="session")
def made_truth() -> Callable[..., Truth]:
    """Truth of some boxes [n, 9] and labels [n] on [Y, X] cells; any field may be given."""
    return truth_of


@pytest.fixture
def tiny() -> Student:
    """The small student's code at 64 x 176 px and 16 x 16 cells: a step takes a twentieth of a second."""
    return untrained_student("tinybev_r18_small", {"image_height_px": 64, "image_width_px": 176, "cell_m": 6.4}, 0)


@pytest.fixture(scope="session")
def street_of() -> Callable[[Student, int], Street]:
    """Consecutive keyframes of the street for a student."""
    return Street


@pytest.fixture
def rig() -> CameraRig:
    """Six cameras of 400 x 225 px."""
    return surround_rig(400, 225)
