"""Rows of the index: what the devkit's tables say about one keyframe after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.index_arrays import ATTRIBUTES, CLASSES, DTYPES, SWEEPS
from bevdeploy.data.nuscenes import CAMERAS, key_channel, pose_of_reading, rigid_of_row, velocity_of_annotation
from bevdeploy.errors import DataSetError
from bevdeploy.geometry.frames import Float64, invert

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

LIDAR = "LIDAR_TOP"
FARTHEST_M = 1e9
"""Beyond all maps: a box there is damage."""


class KeyframeRows:
    """Columns that grow by one keyframe at a time."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = defaultdict(list)
        self.lidar_first, self.box_first = [0], [0]
        self.instances: dict[str, int] = {}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The columns as arrays of the index; empty ones have their full rank.

        Raises:
            ValueError: a whole number that its column does not hold.
        """
        widths: dict[str, tuple[int, ...]] = {
            "box_centre_m": (3,), "box_size_m": (3,), "box_rotation": (4,), "box_velocity_mps": (3,),
            "ego_from_lidar": (4, 4),
        }  # fmt: skip
        arrays: dict[str, NDArray[Any]] = {
            "lidar_first": np.array(self.lidar_first),
            "box_first": np.array(self.box_first),
        }
        for name, kind in DTYPES.items():
            if name in self.columns or name.startswith(("box_", "lidar_", "ego_from_lidar")):
                if name not in arrays and name != "box_following":
                    column = _column(name, self.columns[name], kind)
                    arrays[name] = column.reshape(len(column), *widths[name]) if name in widths else column
        return arrays


def keyframe_rows(database: NuScenes, token: str, rows: KeyframeRows) -> None:
    """Append what is known of one keyframe.

    Raises:
        DataSetError: a camera of the keyframe has no row, or an object has an impossible box.
        KeyError: a row is missing (dangling token).
    """
    sample = database.get("sample", token)
    key_reading = sample["data"].get(key_channel(sample["data"]))
    if key_reading is None or any(name not in sample["data"] for name in CAMERAS):
        lacking = [name for name in CAMERAS if name not in sample["data"]]
        raise DataSetError(
            f"{database.table_root}: keyframe {token} has no {', '.join(lacking)}; unpack the metadata archive again"
        )
    global_from_ego = pose_of_reading(database, key_reading)
    columns = rows.columns
    columns["timestamp_us"].append(int(sample["timestamp"]))
    columns["global_from_ego"].append(global_from_ego)
    _camera_rows(database, sample, columns)
    _lidar_rows(database, sample, invert(global_from_ego), columns)
    rows.lidar_first.append(len(columns["lidar_path"]))
    _box_rows(database, sample, rows)
    rows.box_first.append(len(columns["box_class"]))


def following_boxes(rows: KeyframeRows, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """[m] the same instance's box in the next keyframe; -1 for none."""
    following = np.full(len(arrays["box_instance"]), -1, np.int64)
    first = arrays["box_first"]
    for n, after in enumerate(arrays["following"]):
        if after < 0:
            continue
        later = {
            int(i): first[after] + k for k, i in enumerate(arrays["box_instance"][first[after] : first[after + 1]])
        }
        for k in range(first[n], first[n + 1]):
            following[k] = later.get(int(arrays["box_instance"][k]), -1)
    return following


def _camera_rows(database: NuScenes, sample: Mapping[str, Any], columns: dict[str, list[Any]]) -> None:
    paths, sizes, present, intrinsics, extrinsics, poses = [], [], [], [], [], []
    for name in CAMERAS:
        reading = database.get("sample_data", sample["data"][name])
        sensor = database.get("calibrated_sensor", reading["calibrated_sensor_token"])
        paths.append(_relative(reading["filename"]))
        sizes.append((int(reading["height"]), int(reading["width"])))
        present.append(Path(database.dataroot, reading["filename"]).is_file())
        intrinsics.append(np.asarray(sensor["camera_intrinsic"], np.float64).reshape(3, 3))
        extrinsics.append(rigid_of_row(sensor))
        poses.append(pose_of_reading(database, reading["token"]))
    columns["image_path"].append(paths)
    columns["image_hw"].append(sizes)
    columns["image_present"].append(present)
    columns["K"].append(intrinsics)
    columns["ego_from_cam"].append(extrinsics)
    columns["global_from_egocam"].append(poses)


def _lidar_rows(
    database: NuScenes, sample: Mapping[str, Any], ego_from_global: Float64, columns: dict[str, list[Any]]
) -> None:
    """The keyframe's own reading and up to `SWEEPS` before it."""
    token = sample["data"].get(LIDAR, "")
    key_us = None
    for _ in range(SWEEPS + 1):
        if not token:
            return
        reading = database.get("sample_data", token)
        key_us = int(reading["timestamp"]) if key_us is None else key_us
        sensor = database.get("calibrated_sensor", reading["calibrated_sensor_token"])
        global_from_lidar = pose_of_reading(database, token) @ rigid_of_row(sensor)
        columns["lidar_path"].append(_relative(reading["filename"]))
        columns["lidar_present"].append(Path(database.dataroot, reading["filename"]).is_file())
        columns["ego_from_lidar"].append(ego_from_global @ global_from_lidar)
        columns["lidar_age_s"].append((key_us - int(reading["timestamp"])) * 1e-6)
        token = reading["prev"]


def _box_rows(database: NuScenes, sample: Mapping[str, Any], rows: KeyframeRows) -> None:
    from nuscenes.eval.detection.utils import category_to_detection_name

    columns = rows.columns
    for token in sample["anns"]:
        row = database.get("sample_annotation", token)
        name = category_to_detection_name(row["category_name"])
        if name is None:
            continue
        attributes = [database.get("attribute", key)["name"] for key in row["attribute_tokens"]]
        attribute = next((ATTRIBUTES.index(known) for known in attributes if known in ATTRIBUTES), -1)
        box = np.array([*row["translation"], *row["size"], *row["rotation"]], np.float64)
        impossible = box.shape != (10,) or not (np.abs(box) < FARTHEST_M).all()  # NaN neither
        if impossible or box[3:6].min() <= 0 or np.linalg.norm(box[6:]) < 1e-6:
            raise DataSetError(
                f"{database.table_root}: annotation {token} has an impossible box {box.tolist()}; "
                "unpack the metadata archive again"
            )
        columns["box_centre_m"].append(box[:3])
        columns["box_size_m"].append(box[3:6])
        columns["box_rotation"].append(box[6:])
        columns["box_velocity_mps"].append(velocity_of_annotation(database, token))
        columns["box_class"].append(CLASSES.index(name))
        columns["box_attribute"].append(attribute)
        columns["box_instance"].append(rows.instances.setdefault(row["instance_token"], len(rows.instances)))
        columns["box_points"].append(int(row["num_lidar_pts"]) + int(row["num_radar_pts"]))
        columns["box_visibility"].append(int(row["visibility_token"] or 4))


def _column(name: str, values: list[Any], kind: str) -> NDArray[Any]:
    if kind[0] != "i":
        return np.array(values, "S1" if kind == "S" and not values else kind)
    wide, limits = np.array(values, np.int64), np.iinfo(kind)
    beyond = wide[(wide < limits.min) | (wide > limits.max)]
    if len(beyond):
        raise ValueError(f"{name} of {beyond[0]}")
    return wide.astype(kind)


def _relative(name: str) -> bytes:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataSetError(f"{name}: a file name of the tables leaves the root; unpack the metadata archive again")
    return name.encode()
