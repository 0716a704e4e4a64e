"""The camera rig and its file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.errors import GeometryError, OutputError
from bevdeploy.geometry import Camera, CameraRig, load_rig, surround_rig

Document = dict[str, Any]


def document() -> Document:
    camera = {
        "name": "FRONT",
        "width_px": 64,
        "height_px": 36,
        "K": [[50, 0, 32], [0, 50, 18], [0, 0, 1]],
        "ego_from_cam": [[0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.6], [0, 0, 0, 1]],
    }
    return {"format": "bevdeploy.rig/1", "cameras": [camera, {**camera, "name": "REAR"}]}


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_file_round_trips(tmp_path: Path) -> None:
    rig = surround_rig()
    rig.save(tmp_path / "rig.json")
    again = load_rig(tmp_path / "rig.json")
    assert again.names == rig.names
    assert again.image_hw == (900, 1600)
    assert again.digest() == rig.digest()  # bit for bit: JSON carries every digit of a float64


def test_rotation_as_a_quaternion(tmp_path: Path) -> None:
    """(0.5, -0.5, 0.5, -0.5) turns z forward into x, x right into -y, y down into -z: the matrix above."""
    content = document()
    content["cameras"][1]["ego_from_cam"] = {"rotation_wxyz": [0.5, -0.5, 0.5, -0.5], "translation_m": [1.5, 0, 1.6]}
    front, rear = load_rig(written(tmp_path / "rig.json", content)).cameras
    assert np.allclose(front.ego_from_cam, rear.ego_from_cam)


def test_the_digest_sees_order_and_numbers() -> None:
    rig = surround_rig()
    first, *rest = rig.cameras
    moved = first.ego_from_cam.copy()
    moved[0, 3] += 1e-9
    others = [
        CameraRig((*rest, first)),
        CameraRig((Camera(first.name, first.width_px, first.height_px, first.K, moved), *rest)),
        CameraRig((Camera(first.name, first.width_px + 1, first.height_px, first.K, first.ego_from_cam), *rest)),
        CameraRig((Camera("X", first.width_px, first.height_px, first.K, first.ego_from_cam), *rest)),
    ]
    assert len({rig.digest(), *(other.digest() for other in others)}) == 5


def test_unlike_images_have_no_common_size() -> None:
    first, second, *_ = surround_rig().cameras
    smaller = Camera(second.name, 800, 450, second.K, second.ego_from_cam)
    with pytest.raises(GeometryError, match=r"CAM_FRONT 800x450.*Resize them"):
        _ = CameraRig((first, smaller)).image_hw


def drop(*path: Any) -> Callable[[Document], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


def put(value: Any, *path: Any) -> Callable[[Document], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


FIRST = ("cameras", 0)
LEFT_HANDED = [[0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("format"), "format"),
        (put("bevdeploy.rig/2", "format"), "format"),
        (drop("cameras"), "must be a list"),
        (put({}, "cameras"), "must be a list"),
        (put([], "cameras"), "without cameras"),
        (put(["FRONT"], "cameras"), "must be an object"),
        (drop(*FIRST, "name"), "missing keys"),
        (drop(*FIRST, "K"), r"missing keys \['K'\]"),
        (put(1, *FIRST, "skew"), r"unknown keys \['skew'\]"),
        (put(7, *FIRST, "name"), "camera 7"),
        (put("", *FIRST, "name"), "without a name"),
        (put("REAR", *FIRST, "name"), "must differ"),
        (put("64", *FIRST, "width_px"), "whole numbers"),
        (put(64.5, *FIRST, "width_px"), "whole numbers"),
        (put(True, *FIRST, "width_px"), "whole numbers"),
        (put(0, *FIRST, "height_px"), "64 x 0 px"),
        (put([50, 50, 32, 18], *FIRST, "K"), "nine finite numbers"),
        (put([[50, 0], [0, 50, 18], [0, 0, 1]], *FIRST, "K"), "not an array of numbers"),
        (put("wide", *FIRST, "K"), "not an array of numbers"),
        (put([[10**400, 0, 0], [0, 1, 0], [0, 0, 1]], *FIRST, "K"), "not an array of numbers"),
        (put({"fx": 50}, *FIRST, "K"), "not an array of numbers"),
        (put([[float("nan"), 0, 32], [0, 50, 18], [0, 0, 1]], *FIRST, "K"), "finite"),
        (put([[0, 0, 32], [0, 50, 18], [0, 0, 1]], *FIRST, "K"), "positive focal"),
        (put([[50, 0, 32], [0, 50, 18], [0, 0, 2]], *FIRST, "K"), "last row"),
        (put([[1, 0, 0], [0, 1, 0], [0, 0, 1]], *FIRST, "ego_from_cam"), "sixteen finite"),
        (put(LEFT_HANDED, *FIRST, "ego_from_cam"), "not a rotation"),
        (put(np.diag([2, 2, 2, 1]).tolist(), *FIRST, "ego_from_cam"), "not a rotation"),
        (put(np.diag([1, 1, 1, 2]).tolist(), *FIRST, "ego_from_cam"), "not a rotation"),
        (put({"rotation_wxyz": [1, 0, 0, 0]}, *FIRST, "ego_from_cam"), "rotation_wxyz and translation_m"),
        (put({"rotation_wxyz": [0, 0, 0, 0], "translation_m": [0, 0, 0]}, *FIRST, "ego_from_cam"), "quaternion"),
        (put({"rotation_wxyz": [1, 0, 0, 0], "translation_m": [0, 0]}, *FIRST, "ego_from_cam"), "three numbers"),
        (put({"rotation_wxyz": [1, 0, 0, 0], "translation_m": "here"}, *FIRST, "ego_from_cam"), "not an array"),
    ],
)
def test_impossible_rigs(tmp_path: Path, change: Callable[[Document], None], message: str) -> None:
    content = document()
    change(content)
    path = written(tmp_path / "rig.json", content)
    with pytest.raises(GeometryError, match=message) as caught:
        load_rig(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": ' + b"9" * 5000 + b"}"]
)
def test_files_that_are_no_rig(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rig.json"
    path.write_bytes(content)
    with pytest.raises(GeometryError, match="rig"):
        load_rig(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(GeometryError, match="cannot read"):
            load_rig(path)


def test_an_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        surround_rig().save(tmp_path / "file" / "rig.json")
