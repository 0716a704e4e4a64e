"""Rows of one scene: samples, sensor readings, poses, annotations and instances, linked as in nuScenes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bevdeploy.data.world.fixed_tables import attribute_token, calibration_token, category_token, yaw_quaternion
from bevdeploy.data.world.map_files import MAP_NAMES
from bevdeploy.data.world.options import WorldOptions
from bevdeploy.data.world.sensor_rig import LIDAR
from bevdeploy.data.world.timeline import log_of
from bevdeploy.data.world.tokens import token_of

Row = dict[str, Any]


@dataclass(frozen=True)
class SceneTables:
    """Rows by table, and what is in them."""

    rows: dict[str, list[Row]]
    map_token: str
    boxes: Counter[str]
    """Annotations by detection class."""
    bytes: int
    """Of the scene's files."""


def scene_tables(options: WorldOptions, name: str, location: str, documents: Sequence[Row]) -> SceneTables:
    """The rows of a scene from the documents of its parts, in order (see `recording`)."""
    keyframes = [keyframe for document in documents for keyframe in document["keyframes"]]
    tracks = {index: track for document in documents for index, track in document["tracks"].items()}

    def token(*names: object) -> str:
        return token_of(options.seed, name, *names)

    log = log_of(name, location)
    samples = [token("sample", keyframe["index"]) for keyframe in keyframes]
    rows: dict[str, list[Row]] = {
        "log": [
            {
                "token": token("log"),
                "logfile": log.logfile,
                "vehicle": log.vehicle,
                "date_captured": log.date_captured,
                "location": location,
            }
        ],
        "scene": [
            {
                "token": token("scene"),
                "log_token": token("log"),
                "nbr_samples": len(samples),
                "first_sample_token": samples[0],
                "last_sample_token": samples[-1],
                "name": name,
                "description": documents[0]["description"],
            }
        ],
        "sample": [
            {
                "token": sample,
                "timestamp": keyframe["time_us"],
                "prev": "",
                "next": "",
                "scene_token": token("scene"),
            }
            for sample, keyframe in zip(samples, keyframes, strict=True)
        ],
        "sample_data": [],
        "ego_pose": [],
    }
    _link(rows["sample"])
    for sample, keyframe in zip(samples, keyframes, strict=True):
        for reading in keyframe["readings"]:
            reading_token = token(reading["channel"], reading["time_us"])
            rows["sample_data"].append(_reading_row(options, sample, reading, reading_token))
            rows["ego_pose"].append(_pose_row(reading, reading_token))
    by_channel: dict[str, list[Row]] = defaultdict(list)
    for row in rows["sample_data"]:
        by_channel[row["filename"].split("/")[1]].append(row)
    for channel in by_channel.values():
        _link(channel)
    rows["sample_annotation"], rows["instance"] = _annotations(keyframes, samples, tracks, token)
    return SceneTables(
        rows,
        MAP_NAMES[location],
        Counter(tracks[str(box["track"])]["class"] for keyframe in keyframes for box in keyframe["boxes"]),
        sum(reading["bytes"] for keyframe in keyframes for reading in keyframe["readings"])
        + sum(sum(document["extra"].values()) for document in documents),
    )


def _reading_row(options: WorldOptions, sample: str, reading: Row, token: str) -> Row:
    lidar = reading["channel"] == LIDAR
    return {
        "token": token,
        "sample_token": sample,
        "ego_pose_token": token,
        "calibrated_sensor_token": calibration_token(reading["channel"], options),
        "timestamp": reading["time_us"],
        "fileformat": "pcd" if lidar else "jpg",
        "is_key_frame": reading["key"],
        "height": 0 if lidar else options.height_px,
        "width": 0 if lidar else options.width_px,
        "filename": reading["file"],
        "prev": "",
        "next": "",
    }


def _pose_row(reading: Row, token: str) -> Row:
    x, y, yaw = reading["pose"]
    return {
        "token": token,
        "timestamp": reading["time_us"],
        "rotation": yaw_quaternion(yaw),
        "translation": [x, y, 0.0],
    }


def _annotations(
    keyframes: list[Row], samples: list[str], tracks: dict[str, Row], token: Any
) -> tuple[list[Row], list[Row]]:
    """Rows of sample_annotation and instance; an object out of sight for a while stays one instance."""
    rows: list[Row] = []
    by_track: dict[str, list[Row]] = defaultdict(list)
    for sample, keyframe in zip(samples, keyframes, strict=True):
        for box in keyframe["boxes"]:
            track = str(box["track"])
            x, y, yaw = box["pose"]
            size = tracks[track]["size"]
            row = {
                "token": token("annotation", track, keyframe["index"]),
                "sample_token": sample,
                "instance_token": token("instance", track),
                "visibility_token": str(box["visibility"]),
                "attribute_tokens": [attribute_token(box["attribute"])] if box["attribute"] else [],
                "translation": [x, y, size[2] / 2],
                "size": size,
                "rotation": yaw_quaternion(yaw),
                "prev": "",
                "next": "",
                "num_lidar_pts": box["lidar_points"],
                "num_radar_pts": 0,
            }
            rows.append(row)
            by_track[track].append(row)
    instances = []
    for track, seen in by_track.items():
        _link(seen)
        instances.append(
            {
                "token": token("instance", track),
                "category_token": category_token(tracks[track]["category"]),
                "nbr_annotations": len(seen),
                "first_annotation_token": seen[0]["token"],
                "last_annotation_token": seen[-1]["token"],
            }
        )
    return rows, instances


def _link(rows: list[Row]) -> None:
    for before, after in pairwise(rows):
        before["next"], after["prev"] = after["token"], before["token"]
