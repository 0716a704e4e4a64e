"""Records a stretch of a scene: images, sweeps and what the tables will say of them.

The document of a part is JSON: `{"scene", "description", "keyframes": [{"index", "time_us", "readings", "boxes"}],
"tracks": {index: {"category", "class", "size"}}, "extra": {file: bytes}}`. A reading is one sensor's:
`{"channel", "time_us", "key", "file", "bytes", "pose": [x, y, yaw]}`, with the ego pose at its own time.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.annotations import annotations_at
from bevdeploy.data.world.can_bus import has_can_bus, pose_messages
from bevdeploy.data.world.options import WorldOptions
from bevdeploy.data.world.scene import STEP_S, Scene
from bevdeploy.data.world.sensor_rig import LIDAR, ego_from_lidar, fire_offset_s, world_rig
from bevdeploy.data.world.timeline import Log, log_of
from bevdeploy.data.world.town_files import ground, town
from bevdeploy.errors import MissingDependencyError, OutputError
from bevdeploy.geometry.rig import CameraRig

JPEG_QUALITY = 90
PART_KEYFRAMES = 4
"""Keyframes of one part: what a killed run loses, and what one worker does at a time."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Keyframes `first` to `first + count - 1` of a scene."""

    scene: str
    location: str
    first: int
    count: int

    @property
    def name(self) -> str:
        """Unique in a world; sorts by scene, then time."""
        return f"{self.scene}.{self.first:04d}"


def parts_of(scenes: tuple[tuple[str, str], ...], keyframes: int) -> list[Part]:
    """The parts of all scenes (name and location), in order."""
    return [
        Part(name, location, first, min(PART_KEYFRAMES, keyframes - first))
        for name, location in scenes
        for first in range(0, keyframes, PART_KEYFRAMES)
    ]


def record_part(root: Path, work: Path, options: WorldOptions, part: Part) -> Document:
    """Render a part and write its files below the root; an earlier attempt's files are written over.

    The work folder holds the ground of the part's town (`town_files.write_town`).

    Raises:
        OutputError: a file cannot be written.
        MissingDependencyError: Pillow is not installed.
    """
    scene, log = drive(options, part.scene, part.location), log_of(part.scene, part.location)
    keyframes = [
        _keyframe(root, work, options, scene, log, index) for index in range(part.first, part.first + part.count)
    ]
    seen = sorted({box["track"] for keyframe in keyframes for box in keyframe["boxes"]})
    extra = {}
    if part.first == 0 and has_can_bus(part.scene):
        messages = json.dumps(pose_messages(scene, log.start_us), separators=(",", ":"))
        extra = write_file(root, f"can_bus/{part.scene}_pose.json", messages.encode())
    return {
        "scene": part.scene,
        "description": scene.description,
        "keyframes": keyframes,
        "tracks": {
            str(index): {
                "category": scene.tracks[index].category,
                "class": scene.tracks[index].class_name,
                "size": list(scene.tracks[index].size_wlh_m),
            }
            for index in seen
        },
        "extra": extra,
    }


def files_of(document: Document) -> dict[str, int]:
    """Bytes of every file of a part, by path below the root."""
    readings = [reading for keyframe in document["keyframes"] for reading in keyframe["readings"]]
    return {**{reading["file"]: reading["bytes"] for reading in readings}, **document["extra"]}


@lru_cache(maxsize=2)
def _scene(location: str, name: str, seed: int, keyframes: int) -> Scene:
    from bevdeploy.data.world.scene_of import scene_of

    return scene_of(town(location, seed), name, seed, keyframes)


@lru_cache(maxsize=1)
def _rig(width_px: int, height_px: int) -> CameraRig:
    return world_rig(width_px, height_px)


def drive(options: WorldOptions, name: str, location: str) -> Scene:
    """A scene of the world, kept while it is recorded."""
    return _scene(location, name, options.seed, options.keyframes)


def _keyframe(root: Path, work: Path, options: WorldOptions, scene: Scene, log: Log, index: int) -> Document:
    from bevdeploy.data.world.camera_image import camera_view
    from bevdeploy.data.world.lidar_sweep import lidar_sweep

    key_us = log.start_us + round(index * STEP_S * 1e6)
    ground_raster = ground(work, scene.town.location)
    readings = []
    if index > 0:
        for step in range(1, options.sweeps):
            time_us = key_us - round((1 - step / options.sweeps) * STEP_S * 1e6)
            sweep = lidar_sweep(scene, ego_from_lidar(), _seconds(time_us, log))
            readings.append(_reading(root, scene, log, LIDAR, time_us, False, _point_bytes(sweep.points)))
    sweep = lidar_sweep(scene, ego_from_lidar(), _seconds(key_us, log))
    readings.append(_reading(root, scene, log, LIDAR, key_us, True, _point_bytes(sweep.points)))
    visible, unoccluded = np.zeros(len(scene.tracks)), np.zeros(len(scene.tracks))
    for camera in _rig(options.width_px, options.height_px).cameras:
        time_us = key_us + round(fire_offset_s(camera) * 1e6)
        view = camera_view(scene, ground_raster, camera, _seconds(time_us, log))
        visible += view.visible
        unoccluded += view.unoccluded
        readings.append(_reading(root, scene, log, camera.name, time_us, True, _jpeg(view.rgbx)))
    return {
        "index": index,
        "time_us": key_us,
        "readings": readings,
        "boxes": annotations_at(scene, _seconds(key_us, log), visible, unoccluded, sweep.counts),
    }


def _seconds(time_us: int, log: Log) -> float:
    """Scene time of a time stamp."""
    return (time_us - log.start_us) / 1e6


def _reading(root: Path, scene: Scene, log: Log, channel: str, time_us: int, key: bool, content: bytes) -> Document:
    ending = "pcd.bin" if channel == LIDAR else "jpg"
    file = f"{'samples' if key else 'sweeps'}/{channel}/{log.logfile}__{channel}__{time_us}.{ending}"
    written = write_file(root, file, content)
    return {
        "channel": channel,
        "time_us": time_us,
        "key": key,
        "file": file,
        "bytes": written[file],
        "pose": list(scene.ego.pose_at(_seconds(time_us, log))),
    }


def write_file(root: Path, file: str, content: bytes) -> dict[str, int]:
    """Write a file and say its bytes: one that was torn is shorter than its part's document says, and written again.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content)
    except OSError as error:
        raise OutputError(
            f"{root / file}: not written ({error.strerror or error}); finished parts are kept: mend it and run the "
            "same command again"
        ) from error
    return {file: len(content)}


def _point_bytes(points: NDArray[np.float32]) -> bytes:
    """x, y, z, intensity, ring of each point as little-endian float32 [n, 5]."""
    return np.ascontiguousarray(points, "<f4").tobytes()


def _jpeg(rgbx: NDArray[np.uint8]) -> bytes:
    """An image [H, W, 4] of which the fourth byte is left out."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError("writing images needs Pillow: pip install 'bevdeploy[media]'") from error
    stream = io.BytesIO()
    height_px, width_px, _ = rgbx.shape
    image = Image.frombuffer("RGB", (width_px, height_px), rgbx, "raw", "RGBX", 0, 1)
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()
