from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from bevdeploy.errors import DataSetError, OutputError
from bevdeploy.evaluate import checked_results, read_results, write_results
from bevdeploy.evaluate.result_file import ATTRIBUTES, CLASSES, MAX_BOXES

BOX: dict[str, Any] = {
    "sample_token": "s",
    "translation": [1.0, 2.0, 3.0],
    "size": [1.9, 4.6, 1.7],
    "rotation": [1, 0, 0, 0],
    "velocity": [0.0, 0.0],
    "detection_name": "car",
    "detection_score": 0.5,
    "attribute_name": "vehicle.parked",
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    results = {"s": [BOX, {**BOX, "attribute_name": ""}], "empty": []}
    write_results(tmp_path / "out" / "results.json", results)
    read = read_results(tmp_path / "out" / "results.json", {"s", "empty"})
    assert read.results == results
    assert read.meta["use_camera"] is True and read.meta["use_lidar"] is False


def test_words_are_those_of_the_devkit(database: Any) -> None:
    from nuscenes.eval.detection.constants import ATTRIBUTE_NAMES, DETECTION_NAMES

    assert sorted(CLASSES) == sorted(DETECTION_NAMES)
    assert sorted(ATTRIBUTES) == sorted(ATTRIBUTE_NAMES)


def test_a_real_file_passes(real_detections: Path, database: Any) -> None:
    read = read_results(real_detections, {row["token"] for row in database.sample})
    assert sum(len(rows) for rows in read.results.values()) == 10335


@pytest.mark.parametrize("key", BOX)
def test_a_missing_key_is_named(key: str) -> None:
    row = {name: value for name, value in BOX.items() if name != key}
    with pytest.raises(DataSetError, match=f"sample s, box 1: {key} missing"):
        checked_results({"s": [BOX, row]}, "file")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("sample_token", "other", "'other'"),
        ("translation", [1.0, 2.0], "list of 3"),
        ("translation", [1.0, 2.0, math.nan], "finite"),
        ("translation", [1.0, 2.0, math.inf], "finite"),
        ("translation", [1.0, 2.0, 10**400], "finite"),
        ("translation", [1.0, 2.0, True], "finite"),
        ("translation", "abc", "list of 3"),
        ("size", [1.0, 0.0, 1.0], "positive"),
        ("rotation", [0, 0, 0, 0], "quaternion"),
        ("rotation", [1, 0, 0], "list of 4"),
        ("velocity", [math.nan, 0.0], "finite"),
        ("velocity", None, "list of 2"),
        ("detection_score", None, "finite"),
        ("detection_score", math.nan, "finite"),
        ("detection_name", "tank", "unknown class 'tank'"),
        ("detection_name", ["car"], "unknown class"),
        ("attribute_name", "vehicle.flying", "unknown attribute"),
    ],
)
def test_a_wrong_value_is_refused(key: str, value: Any, said: str) -> None:
    row = copy.deepcopy(BOX)
    row[key] = value
    with pytest.raises(DataSetError, match=said):
        checked_results({"s": [row]}, "file")


def test_five_hundred_boxes_are_allowed_and_one_more_is_not() -> None:
    checked_results({"s": [BOX] * MAX_BOXES}, "file")
    with pytest.raises(DataSetError, match="501 boxes, at most 500"):
        checked_results({"s": [BOX] * (MAX_BOXES + 1)}, "file")


def test_rows_must_be_lists_of_objects() -> None:
    with pytest.raises(DataSetError, match="a list of boxes, got dict"):
        checked_results({"s": BOX}, "file")  # type: ignore[dict-item]
    with pytest.raises(DataSetError, match="an object, got int"):
        checked_results({"s": [3]}, "file")  # type: ignore[list-item]


def test_unknown_samples_are_refused() -> None:
    with pytest.raises(DataSetError, match="'s' is not in the data set"):
        checked_results({"s": [BOX]}, "file", {"t"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a JSON file"),
        (b"\xff\xfe", "not a JSON file"),
        (b"[" * 100_000, "not a JSON file"),
        (b"[]", "no object 'results'"),
        (b'{"results": []}', "no object 'results'"),
        (b'{"results": {}}', "no object 'meta'"),
        (json.dumps({"meta": {}, "results": {"s": [{**BOX, "velocity": [math.nan, 0]}]}}).encode(), "finite"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(DataSetError, match=said) as raised:
        read_results(path)
    assert str(path) in str(raised.value)


def test_an_absent_file_and_a_place_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="cannot be read"):
        read_results(tmp_path / "none.json")
    with pytest.raises(OutputError, match="folder"):
        write_results(tmp_path, {"s": [BOX]})
    with pytest.raises(DataSetError, match="positive"):
        write_results(tmp_path / "bad.json", {"s": [{**BOX, "size": [0, 0, 0]}]})
    assert list(tmp_path.iterdir()) == []
