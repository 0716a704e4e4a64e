"""Detection targets: peaks and codes by hand, and back to boxes through the runtime's own decoder."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from bevdeploy.data.sample import Truth
from bevdeploy.geometry import BEVGrid
from bevdeploy.runtime.postprocess import BOX_CODES, boxes_from_codes
from bevdeploy.tasks import TaskSpec
from bevdeploy.train.detection_targets import CentreRule, box_codes, detection_targets, drawn_boxes, peak_radius

GRID = BEVGrid((-16.0, -8.0, -5.0), (2.0, 1.0, 8.0), (16, 16, 1))
TASKS = TaskSpec()
CAR, TRUCK, DIGGER, CONE = (
    TASKS.classes.index(name) for name in ("car", "truck", "construction_vehicle", "traffic_cone")
)
Made = Callable[..., Truth]


def boxes_at(*centres_m: tuple[float, float]) -> np.ndarray:
    box = [0.0, 0.0, -0.5, 1.0, 3.0, 1.5, 0.6, 3.0, -1.0]
    return np.array([[x, y, *box[2:]] for x, y in centres_m], np.float32)


def test_a_box_by_hand(made_truth: Made) -> None:
    truth = made_truth(boxes_at((1.5, -2.25)), np.array([CAR]), TASKS, (16, 16))
    targets = detection_targets(truth, GRID, TASKS, CentreRule(min_radius_cells=1, code_radius_cells=0))
    # x: (1.5 + 16) / 2 = 8.75, y: (-2.25 + 8) / 1 = 5.75; group 0 is the cars
    assert targets.cells.tolist() == [5 * 16 + 8]
    np.testing.assert_allclose(
        targets.codes,
        [[0.75, 0.75, -0.5, math.log(1), math.log(3), math.log(1.5), math.sin(0.6), math.cos(0.6), 3, -1]],
        rtol=1e-6,
        atol=1e-7,
    )
    assert targets.weights.tolist() == [1]
    assert targets.heatmap[CAR, 5, 8] == 1 and targets.heatmap[TRUCK].max() == 0
    # radius 1, standard deviation (2 * 1 + 1) / 6 = 0.5
    np.testing.assert_allclose(targets.heatmap[CAR, 5, 7:10], [math.exp(-2), 1, math.exp(-2)], rtol=1e-6)
    np.testing.assert_allclose(targets.heatmap[CAR, 4, 7], math.exp(-4), rtol=1e-6)
    assert np.count_nonzero(targets.heatmap) == 9


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_every_trained_cell_decodes_to_its_box(made_truth: Made, rng: np.random.Generator, reach: int) -> None:
    centres = rng.uniform((-16, -8), (16, 8), (12, 2))
    boxes = boxes_at(*map(tuple, centres))
    boxes[:, 3:6] = rng.uniform(0.3, 12, (12, 3))
    boxes[:, 6] = rng.uniform(-np.pi, np.pi, 12)
    truth = made_truth(boxes, rng.integers(0, 10, 12), TASKS, (16, 16))
    targets = detection_targets(truth, GRID, TASKS, CentreRule(code_radius_cells=reach))
    assert len(set(targets.cells.tolist())) == len(targets.cells) >= 8
    rows, columns = np.divmod(targets.cells % 256, 16)
    decoded = boxes_from_codes(targets.codes, rows, columns, GRID)
    distance = np.linalg.norm(decoded[:, None, :3] - boxes[None, :, :3], axis=-1)  # [M, n]
    np.testing.assert_allclose(decoded, boxes[distance.argmin(1)], atol=1e-4)
    groups = targets.cells // 256
    assert (groups == np.array(TASKS.group_of_class)[truth.labels[distance.argmin(1)]]).all()


def test_the_heat_map_is_the_highest_peak_of_each_class(made_truth: Made, rng: np.random.Generator) -> None:
    boxes = boxes_at(*map(tuple, rng.uniform((-16, -8), (16, 8), (20, 2))))
    labels = rng.integers(0, 10, 20)
    rule = CentreRule(min_radius_cells=1.5)
    targets = detection_targets(made_truth(boxes, labels, TASKS, (16, 16)), GRID, TASKS, rule)
    slow = np.zeros((10, 16, 16))
    for box, label in zip(boxes, labels, strict=True):
        radius = max(peak_radius(box[4] / 2.0, box[3] / 1.0, rule.overlap), 1.5)
        column, row = math.floor((box[0] + 16) / 2), math.floor(box[1] + 8)
        for y in range(16):
            for x in range(16):
                if max(abs(y - row), abs(x - column)) <= math.ceil(radius):
                    value = math.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * ((2 * radius + 1) / 6) ** 2))
                    slow[label, y, x] = max(slow[label, y, x], value)
    np.testing.assert_allclose(targets.heatmap, slow, rtol=1e-5)


def test_boxes_that_do_not_count_are_left_out(made_truth: Made) -> None:
    boxes = boxes_at((0, 0), (5, 5), (-5, -5), (16.0, 0), (3, -3))
    truth = made_truth(
        boxes,
        np.array([CAR, CAR, CONE, CAR, -1]),
        TASKS,
        (16, 16),
        points=np.array([0, 3, 1, 9, 9], np.int32),
        visibility=np.array([4, 1, 2, 4, 4], np.int32),
    )
    assert drawn_boxes(truth, GRID, CentreRule()).tolist() == [1, 2]
    assert drawn_boxes(truth, GRID, CentreRule(min_visibility=2)).tolist() == [2]
    assert drawn_boxes(truth, GRID, CentreRule(min_points=0)).tolist() == [0, 1, 2]
    assert detection_targets(truth, GRID, TASKS, CentreRule()).heatmap.max((1, 2)).sum() == 2


def test_a_shared_cell_belongs_to_the_box_with_more_points(made_truth: Made) -> None:
    boxes = boxes_at((0.5, 0.5), (0.7, 0.4))
    boxes[:, 2] = 1, 2
    for points in ((8, 3), (3, 8)):
        labels = np.array([TRUCK, DIGGER])
        truth = made_truth(boxes, labels, TASKS, (16, 16), points=np.array(points, np.int32))
        targets = detection_targets(truth, GRID, TASKS, CentreRule(code_radius_cells=0))
        assert targets.codes[:, 2].tolist() == [1.0 if points[0] > points[1] else 2.0]
        assert targets.heatmap[TRUCK].max() == targets.heatmap[DIGGER].max() == 1


def test_nothing_to_draw(made_truth: Made) -> None:
    truth = made_truth(np.zeros((0, 9), np.float32), np.zeros(0, int), TASKS, (16, 16))
    targets = detection_targets(truth, GRID, TASKS, CentreRule())
    assert targets.heatmap.shape == (10, 16, 16) and targets.heatmap.max() == 0
    assert targets.cells.shape == (0,) and targets.codes.shape == (0, 10) and targets.weights.shape == (0,)


def test_codes_stand_in_the_decoder_s_order() -> None:
    codes = box_codes(boxes_at((0, 0)), np.array([[0.25, 0.5]]))[0]
    named = dict(zip(BOX_CODES, codes.tolist(), strict=True))
    assert named["offset_x"] == 0.25 and named["offset_y"] == 0.5 and named["vx_mps"] == 3 and named["vy_mps"] == -1
    assert named["log_length"] == pytest.approx(math.log(3)) and named["sin_yaw"] == pytest.approx(math.sin(0.6))


@pytest.mark.parametrize("overlap", [0.1, 0.5, 0.9])
def test_a_box_shifted_by_the_radius_overlaps_itself_as_the_rule_says(overlap: float) -> None:
    length, width = 6.25, 1.75
    r = peak_radius(length, width, overlap)
    shared = (length - r) * (width - r)
    assert 0 < r < width
    assert shared / (2 * length * width - shared) == pytest.approx(overlap)
