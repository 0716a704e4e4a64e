from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import checked_results, detection_rows
from bevdeploy.evaluate.result_file import CLASSES
from bevdeploy.evaluate.result_rows import (
    ATTRIBUTE_OF_MOVING,
    ATTRIBUTE_OF_STILL,
    attribute_of,
    quaternion_of_rotation,
)
from bevdeploy.geometry.frames import compose, invert, rotation_from_quaternion, transform
from bevdeploy.runtime.result import BevResult

# 90 degrees to the left of east, 100 m east and 50 m north of the map's origin.
TURN = compose([[0, -1, 0], [1, 0, 0], [0, 0, 1]], [100.0, 50.0, 2.0])


def test_a_box_ahead_of_a_turned_car_lies_north(car_result: Callable[..., BevResult]) -> None:
    ahead = [10.0, 2.0, 1.0, 1.9, 4.6, 1.7, 0.0, 3.0, 0.0]
    (row,) = detection_rows(car_result([ahead]), "s", TURN)
    assert row["translation"] == pytest.approx([98.0, 60.0, 3.0])
    assert row["size"] == pytest.approx([1.9, 4.6, 1.7])
    assert row["rotation"] == pytest.approx([math.sqrt(0.5), 0, 0, math.sqrt(0.5)])
    assert row["velocity"] == pytest.approx([0.0, 3.0], abs=1e-9)
    assert (row["detection_name"], row["attribute_name"], row["sample_token"]) == ("car", "vehicle.moving", "s")
    assert row["detection_score"] == pytest.approx(0.9)


@given(
    st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1),
    st.floats(-math.pi, math.pi),
)
def test_the_way_back_gives_the_box_again(quaternion: list[float], yaw: float) -> None:
    """Slow twin: rotation matrices instead of quaternion products, and any tilt of the vehicle."""
    rotation = rotation_from_quaternion(quaternion)
    assert rotation_from_quaternion(quaternion_of_rotation(rotation)) == pytest.approx(rotation, abs=1e-9)
    global_from_ego = compose(rotation, [3.0, -4.0, 5.0])
    box = np.array([[7.0, -2.0, 0.5, 2.0, 4.0, 1.5, yaw, 1.0, 2.0]], np.float32)
    result = BevResultOf(box)
    (row,) = detection_rows(result, "s", global_from_ego)
    assert transform(invert(global_from_ego), row["translation"]) == pytest.approx(box[0, :3], abs=1e-6)
    turned = rotation_from_quaternion(row["rotation"])
    spun = float(box[0, 6])
    flat = np.array([[math.cos(spun), -math.sin(spun), 0], [math.sin(spun), math.cos(spun), 0], [0, 0, 1]])
    assert turned == pytest.approx(rotation @ flat, abs=1e-9)
    assert row["velocity"] == pytest.approx((rotation @ [1.0, 2.0, 0.0])[:2], abs=1e-9)


def BevResultOf(boxes: np.ndarray) -> BevResult:
    from bevdeploy.tasks import TaskSpec

    tasks, n = TaskSpec(), len(boxes)
    return BevResult(
        boxes,
        np.full(n, 0.5, np.float32),
        np.zeros(n, np.int32),
        np.zeros((n, 6, 12, 2), np.float32),
        np.zeros((n, 6), np.float32),
        *(np.zeros((0, 0, 0), np.float32) for _ in range(3)),
        tasks,
    )


def test_the_best_five_hundred_are_kept_in_order_of_score(car_result: Callable[..., BevResult]) -> None:
    boxes = np.tile(np.array([1, 1, 1, 1, 1, 1, 0, 0, 0], np.float32), (510, 1))
    boxes[:, 0] = np.arange(510)
    scores = np.linspace(0.1, 0.9, 510, dtype=np.float32)  # rising: the order of the rows is turned round
    rows = detection_rows(car_result(boxes, scores=scores), "s", np.eye(4))
    assert [row["translation"][0] for row in rows] == list(range(509, 9, -1))
    checked_results({"s": rows}, "rows")


def test_no_boxes_make_no_rows(car_result: Callable[..., BevResult]) -> None:
    assert detection_rows(car_result([]), "s", np.eye(4)) == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_network_that_overflows_is_named(car_result: Callable[..., BevResult], value: float) -> None:
    with pytest.raises(DataSetError, match="sample s"):
        detection_rows(car_result([[value, 0, 0, 1, 1, 1, 0, 0, 0]]), "s", np.eye(4))
    with pytest.raises(DataSetError, match="sample s"):
        detection_rows(car_result([[0, 0, 0, 1, 1, 1, 0, 0, 0]], scores=np.array([value])), "s", np.eye(4))


@pytest.mark.parametrize(
    ("name", "speed", "attribute"),
    [
        ("car", 0.2, "vehicle.parked"),
        ("car", 0.21, "vehicle.moving"),
        ("bus", 0.0, "vehicle.stopped"),
        ("bicycle", 3.0, "cycle.with_rider"),
        ("motorcycle", 0.0, "cycle.without_rider"),
        ("pedestrian", 1.0, "pedestrian.moving"),
        ("pedestrian", 0.0, "pedestrian.standing"),
        ("barrier", 5.0, ""),
        ("traffic_cone", 0.0, ""),
    ],
)
def test_attributes_follow_class_and_speed(name: str, speed: float, attribute: str) -> None:
    assert attribute_of(name, speed) == attribute


def test_every_class_but_two_has_an_attribute() -> None:
    assert set(ATTRIBUTE_OF_MOVING) == set(ATTRIBUTE_OF_STILL) == set(CLASSES) - {"barrier", "traffic_cone"}


def test_annotations_come_back_through_the_car_frame(database: Any, car_result: Callable[..., BevResult]) -> None:
    """Real pose and boxes: global to ego by the devkit's pose, back by ours."""
    sample = database.sample[0]
    pose = database.get("ego_pose", database.get("sample_data", sample["data"]["LIDAR_TOP"])["ego_pose_token"])
    global_from_ego = compose(rotation_from_quaternion(pose["rotation"]), pose["translation"])
    ego_from_global = invert(global_from_ego)
    annotations = [database.get("sample_annotation", token) for token in sample["anns"]]
    boxes = []
    for annotation in annotations:
        forward = ego_from_global[:3, :3] @ rotation_from_quaternion(annotation["rotation"])[:, 0]
        centre = transform(ego_from_global, annotation["translation"])
        boxes.append([*centre, *annotation["size"], math.atan2(forward[1], forward[0]), 0, 0])
    rows = detection_rows(car_result(boxes), sample["token"], global_from_ego)
    for row, annotation in zip(rows, annotations, strict=True):
        assert row["translation"] == pytest.approx(annotation["translation"], abs=1e-5)
        ours, theirs = (rotation_from_quaternion(q)[:, 0] for q in (row["rotation"], annotation["rotation"]))
        # The car is tilted by up to two degrees, boxes of the BEV frame are upright in it.
        assert math.degrees(math.acos(min(1.0, float(ours @ theirs)))) < 2.5
