from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bevdeploy.evaluate import future_footprints
from bevdeploy.evaluate.footprints import EGO_CENTRE_M, EGO_LENGTH_M, EGO_WIDTH_M, ego_cells, meets

CAR = (1.9, 4.6)


def rectangle(x: float, y: float, yaw: float = 0.0, size: tuple[float, float] = CAR) -> np.ndarray:
    return np.array([[x, y, *size, yaw]])


def test_the_box_lies_ahead_of_the_rear_axle() -> None:
    """4.084 m around 1.44 m: centres from -0.25 to 3.25 m along x, -0.75 to 0.75 m along y."""
    cells = ego_cells(np.zeros(2))
    assert sorted(set(cells[:, 0])) == list(np.arange(-0.25, 3.5, 0.5))
    assert sorted(set(cells[:, 1])) == [-0.75, -0.25, 0.25, 0.75]
    centred = ego_cells(np.zeros(2), centre_m=0.0)
    assert centred[:, 0].min() == -centred[:, 0].max() == -1.75


@pytest.mark.parametrize(
    ("x", "hit"),
    [
        (6.0, False),  # the other's tail at 3.7 m, the last cell of ours is centred at 3.25 m
        (5.5, True),  # tail at 3.2 m
        (-2.5, True),  # nose at -0.2 m, our first cell is centred at -0.25 m
        (-2.6, False),  # nose at -0.3 m
    ],
)
def test_cars_in_a_row(x: float, hit: bool) -> None:
    assert meets(np.zeros(2), rectangle(x, 0.0)) is hit


def test_a_car_beside_is_met_once_it_is_turned() -> None:
    assert not meets(np.zeros(2), rectangle(1.44, 2.2))
    assert meets(np.zeros(2), rectangle(1.44, 2.2, math.pi / 2))


def test_nobody_is_not_met() -> None:
    assert not meets(np.zeros(2), np.zeros((0, 5)))


def slow_meets(position: np.ndarray, boxes: np.ndarray) -> bool:
    """Every cell of +-20 m, one after the other."""
    for i in range(-40, 40):
        for j in range(-40, 40):
            x, y = (i + 0.5) * 0.5, (j + 0.5) * 0.5
            ahead, aside = x - position[0] - EGO_CENTRE_M, y - position[1]
            if abs(ahead) > EGO_LENGTH_M / 2 or abs(aside) > EGO_WIDTH_M / 2:
                continue
            for cx, cy, width, length, yaw in boxes:
                dx, dy = x - cx, y - cy
                along = dx * math.cos(yaw) + dy * math.sin(yaw)
                across = -dx * math.sin(yaw) + dy * math.cos(yaw)
                if abs(along) <= length / 2 and abs(across) <= width / 2:
                    return True
    return False


place = st.floats(-8, 8)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(place, place),
    st.lists(st.tuples(place, place, st.floats(0.3, 3), st.floats(0.3, 9), st.floats(-4, 4)), max_size=3),
)
def test_equal_to_the_slow_twin(position: tuple[float, float], boxes: list[tuple[float, ...]]) -> None:
    ours = meets(np.array(position), np.array(boxes).reshape(-1, 5))
    assert ours == slow_meets(np.array(position), np.array(boxes).reshape(-1, 5))


def test_boxes_turn_into_their_way() -> None:
    boxes = np.array([[0, 0, 0, 2, 4, 1.5, 0.3, 0, 0]], np.float32)
    futures = np.array([[[0.1, 0.0], [0.1, 2.0], [0.1, 4.0], [9.0, 9.0]]], np.float32)
    valid = np.array([[True, True, False, True]])
    made = future_footprints(boxes, np.zeros(1, np.int32), futures, valid, 3)
    assert made.rectangles[0, 0] == pytest.approx([0.1, 0.0, 2.0, 4.0, 0.3])  # a decimetre is no direction
    assert made.rectangles[1, 0] == pytest.approx([0.1, 2.0, 2.0, 4.0, math.pi / 2])
    assert made.valid.tolist() == [[True], [True], [False]]


def test_futures_shorter_than_the_plan_leave_steps_empty() -> None:
    boxes = np.zeros((1, 9), np.float32)
    made = future_footprints(boxes, np.zeros(1, np.int32), np.zeros((1, 2, 2), np.float32), np.ones((1, 2), bool), 6)
    assert made.valid[:, 0].tolist() == [True, True, False, False, False, False]
    assert future_footprints(
        boxes[:0], np.zeros(0, np.int32), np.zeros((0, 6, 2)), np.zeros((0, 6), bool), 6
    ).valid.shape == (6, 0)
