"""Instances of a user's own detector: the same mask in each of its forms, one file or many, and what is refused."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.data.annotated_instances import annotated_instances
from bevdeploy.data.index import SampleIndex
from bevdeploy.data.instance_file import INSTANCES_FORMAT, check_instances, instances_of_file
from bevdeploy.data.samples import Samples
from bevdeploy.data.virtual_points import LABEL_CLASSES
from bevdeploy.errors import DataSetError
from bevdeploy.geometry import BEVGrid, CameraRig, DepthBins, ViewGeometry, surround_rig
from bevdeploy.tasks import TaskSpec

GEOMETRY = ViewGeometry(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)), DepthBins(1.0, 60.0, 1.0), (64, 176), (4, 11))
REPOSITORY = Path(__file__).resolve().parents[2]


def runs_of(mask: np.ndarray) -> list[int]:
    flat = np.concatenate([[False], mask.T.reshape(-1)])
    return np.diff([0, *np.flatnonzero(flat[1:] != flat[:-1]), mask.size]).tolist()


def written(path: Path, keyframes: Any, kind: str = INSTANCES_FORMAT) -> Path:
    path.write_text(json.dumps({"format": kind, "keyframes": keyframes}))
    return path


def test_all_forms_give_the_same_mask(small_rig: CameraRig, tmp_path: Path) -> None:
    mask = np.zeros((36, 64), bool)
    mask[5:11, 20:50] = True
    corners = [[20, 5], [50, 5], [50, 11], [20, 11]]
    forms: list[dict[str, Any]] = [
        {"polygon": corners},
        {"polygon": [float(value) for corner in corners for value in corner]},
        {"polygons": [corners[:3], [corners[0], corners[2], corners[3]]]},
        {"box": [20, 5, 50, 11]},
        {"rle": {"size": [36, 64], "counts": runs_of(mask)}},
    ]
    rows = [{"class": "bus", "score": 0.25, **form} for form in forms]
    path = written(tmp_path / "all.json", {"a": {"CAM_BACK": rows}, "b": {}})
    found = instances_of_file(path, "a", small_rig.cameras)
    assert [len(masks) for masks in found] == [5 if name == "CAM_BACK" else 0 for name in small_rig.names]
    for instance in found[small_rig.names.index("CAM_BACK")]:
        full = np.zeros((36, 64), bool)
        (left, top), (h, w) = instance.corner_px, instance.mask.shape
        full[top : top + h, left : left + w] = instance.mask
        np.testing.assert_array_equal(full, mask)
        assert (instance.class_name, instance.score) == ("bus", 0.25)
    assert instances_of_file(path, "b", small_rig.cameras) == ((),) * 6
    outside = written(tmp_path / "out.json", {"a": {"CAM_BACK": [{"class": "bus", "score": 1, "box": [70, 5, 90, 9]}]}})
    assert instances_of_file(outside, "a", small_rig.cameras) == ((),) * 6, "nothing of it is in the image"


def test_the_pages_example_is_read(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "all.json").write_text(example)
    (token,) = json.loads(example)["keyframes"]
    found = instances_of_file(tmp_path / "all.json", token, surround_rig(1600, 900).cameras)
    (masks,) = (some for some in found if some)
    assert [(instance.class_name, instance.score) for instance in masks] == [
        ("truck", 0.93),
        ("pedestrian", 0.71),
        ("car", 0.55),
    ]
    assert [int(instance.mask.sum()) for instance in masks[1:]] == [40 * 14, 43 * 28]
    for name in LABEL_CLASSES:
        assert name in page


def test_a_file_that_changes_is_read_again(small_rig: CameraRig, tmp_path: Path) -> None:
    path = written(tmp_path / "all.json", {"a": {}})
    check_instances(path, ["a"])
    written(path, {"b": {}})
    os.utime(path, ns=(1, 1))
    check_instances(path, ["b"])
    with pytest.raises(DataSetError, match=r"1 of 2 keyframes are not in it, the first is a; run the detector"):
        check_instances(path, ["b", "a"])
    with pytest.raises(DataSetError, match="no keyframe a; run the detector on it"):
        instances_of_file(path, "a", small_rig.cameras)


BUS = {"class": "bus", "score": 0.5}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**BUS, "class": "tram", "box": [0, 0, 5, 5]}, "class 'tram'; there are car, truck"),
        ({**BUS, "class": ["car"], "box": [0, 0, 5, 5]}, r"class \['car'\]"),
        ({**BUS, "score": 1.5, "box": [0, 0, 5, 5]}, "score 1.5 of a bus; scores are from 0 to 1"),
        ({**BUS, "score": float("nan"), "box": [0, 0, 5, 5]}, "score nan"),
        (BUS, "give class, score and one of"),
        ({**BUS, "box": [0, 0, 5, 5], "rle": {}}, "give class, score and one of"),
        ({**BUS, "box": [0, 0, 5, 5], "colour": 1}, "keys box, class, colour, score"),
        ({**BUS, "box": [0, 0, 5]}, "corners|reshape"),
        ({**BUS, "box": "wide"}, "could not convert"),
        ({**BUS, "polygon": [[0, 0], [float("inf"), 0], [5, 5]]}, "not finite"),
        ({**BUS, "polygon": [1, 2, 3]}, "reshape"),
        ({**BUS, "polygon": []}, "corners of shape"),
        ({**BUS, "polygon": [[0, 0, 1], [5, 5, 1]]}, "corners of shape"),
        ({**BUS, "polygon": [[0, 0], [5]]}, "inhomogeneous|sequence"),
        ({**BUS, "polygons": 7}, "iterable"),
        ({**BUS, "rle": {"size": [36, 60], "counts": []}}, r"size \[36, 60\], the camera's raw images are \[36, 64\]"),
        ({**BUS, "rle": {"size": [36, 64], "counts": [5]}}, "run lengths sum to 5"),
        ({**BUS, "rle": {"size": [36, 64], "counts": [0.5]}}, "neither whole numbers nor COCO's text"),
        ({**BUS, "rle": {"size": [36, 64], "counts": "~"}}, "in compressed run lengths"),
        ({**BUS, "rle": {"size": [36, 64], "counts": [10**40]}}, "large|big"),
        ({**BUS, "rle": 3}, "run lengths of size None"),
        ("bus", "an instance that is no object"),
    ],
)
def test_impossible_instances_are_refused(row: Any, message: str, small_rig: CameraRig, tmp_path: Path) -> None:
    path = written(tmp_path / "all.json", {"a": {"CAM_FRONT": [row]}})
    with pytest.raises(DataSetError, match=message) as caught:
        instances_of_file(path, "a", small_rig.cameras)
    assert "all.json: keyframe a, CAM_FRONT: " in str(caught.value) and "see docs/data.md" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a JSON instance file"),
        ("[]", '"format" must be "bevdeploy.instances/1"'),
        ('{"format": "bevdeploy.rig/1", "keyframes": {}}', '"format" must be'),
        ('{"format": "bevdeploy.instances/1", "keyframes": []}', '"keyframes" an object'),
        ("[" * 100_000, "not a JSON instance file"),
        (
            '{"format": "bevdeploy.instances/1", "keyframes": {"a": []}}',
            "keyframe a is no object; its keys are cameras",
        ),
        ('{"format": "bevdeploy.instances/1", "keyframes": {"a": {"CAM_TOP": []}}}', "keyframe a has cameras CAM_TOP"),
        (
            '{"format": "bevdeploy.instances/1", "keyframes": {"a": {"CAM_BACK": 1}}}',
            "CAM_BACK: not a list of instances",
        ),
    ],
)
def test_other_files_are_refused(content: str, message: str, small_rig: CameraRig, tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text(content)
    with pytest.raises(DataSetError, match=message):
        instances_of_file(path, "a", small_rig.cameras)


def test_a_file_of_the_annotations_is_the_annotations(mini_index: SampleIndex, tmp_path: Path) -> None:
    samples = Samples(mini_index, TaskSpec(), GEOMETRY, lidar_sweeps=1, virtual_points="annotations")
    (token,) = samples.tokens
    cameras = [samples._camera(samples.keyframes[0], column) for column in range(6)]
    rows: dict[str, list[dict[str, Any]]] = {}
    for camera, masks in zip(cameras, annotated_instances(mini_index, samples.keyframes[0], cameras), strict=True):
        for instance in masks:
            full = np.zeros((camera.height_px, camera.width_px), bool)
            (left, top), (h, w) = instance.corner_px, instance.mask.shape
            full[top : top + h, left : left + w] = instance.mask
            rle = {"size": [camera.height_px, camera.width_px], "counts": runs_of(full)}
            rows.setdefault(camera.name, []).append({"class": instance.class_name, "score": 1, "rle": rle})
    written(tmp_path / f"{token}.json", {token: rows})
    expected = samples[0].lidar
    for place in (tmp_path, tmp_path / f"{token}.json"):
        np.testing.assert_array_equal(replace(samples, virtual_points=place)[0].lidar, expected)
    assert len(expected) > 28_000
