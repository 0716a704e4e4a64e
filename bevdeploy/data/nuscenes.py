"""Keyframes of a nuScenes root through the devkit: frame sets, rigs and annotated boxes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bevdeploy.data.frame_set import FrameSet
from bevdeploy.data.image_file import frame_from_image
from bevdeploy.data.true_boxes import TrueBoxes
from bevdeploy.errors import FrameSourceError, MissingDependencyError
from bevdeploy.geometry.frames import Float64, compose, invert, rotation_from_quaternion, transform
from bevdeploy.geometry.rig import Camera, CameraRig

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

CAMERAS = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
"""Network order of the six cameras."""

_KEY_SENSORS = ("LIDAR_TOP", "CAM_FRONT")
"""Whose ego pose is the key time's; the second where the first has no row."""


@dataclass(frozen=True, eq=False)
class NuScenesFrames:
    """Keyframes whose six images are on disk, by scene then time; images are decoded while iterating."""

    database: NuScenes
    tokens: tuple[str, ...]
    """Sample tokens, in the order of iteration."""
    skipped: int
    """Keyframes passed over because an image file is absent."""
    ego_motion: bool
    """Whether rigs carry the motion between a camera's time and the key time."""

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[FrameSet]:
        for token in self.tokens:
            rig = rig_of_sample(self.database, token, self.ego_motion)
            paths = image_paths_of_sample(self.database, token)
            frames = tuple(frame_from_image(path, camera) for path, camera in zip(paths, rig.cameras, strict=True))
            with tables_of(self.database):
                sample = self.database.get("sample", token)
                timestamp_us, scene = int(sample["timestamp"]), str(sample["scene_token"])
                pose = pose_of_reading(self.database, sample["data"][key_channel(sample["data"])])
            yield FrameSet(token, timestamp_us, frames, rig, global_from_ego=pose, scene=scene)

    def boxes(self, token: str) -> TrueBoxes:
        """Annotated boxes of one of `tokens`."""
        return boxes_of_sample(self.database, token)


def is_nuscenes_root(path: Path) -> bool:
    """Whether the folder holds tables of a nuScenes version (`v1.0-mini`, `v1.0-trainval`, ...)."""
    return bool(_versions(path))


def frame_sets_from_nuscenes(
    root: Path,
    version: str | None = None,
    scene: str | None = None,
    ego_motion: bool = False,
    limit: int | None = None,
    strict: bool = False,
) -> NuScenesFrames:
    """The keyframes of a nuScenes root, ordered by scene name, then time.

    Args:
        root: folder with `v1.0-*`, `samples` and `maps`.
        version: name of the tables' folder; None takes the only one there is.
        scene: name (`scene-0061`) or token of the only scene wanted.
        ego_motion: fold the motion between each camera's time and the key time into the extrinsics.
        limit: at most this many keyframes with images.
        strict: refuse a keyframe without its images instead of skipping it.

    Raises:
        FrameSourceError: the root, version or scene is missing, tables are damaged, no keyframe has its images, or
            (strict) one lacks an image; while iterating: an image is unreadable or has another size than its table row.
        MissingDependencyError: nuscenes-devkit is not installed.
    """
    if limit is not None and limit < 1:
        raise FrameSourceError(f"limit must be at least 1 keyframe, got {limit}")
    database = open_tables(Path(root), version)
    tokens: list[str] = []
    skipped = 0
    for token in sample_tokens(database, scene):
        missing = [path for path in image_paths_of_sample(database, token) if not path.is_file()]
        if missing and strict:
            raise FrameSourceError(
                f"{missing[0]}: the image of keyframe {token} is missing; unpack its part of the data set"
            )
        if missing:
            skipped += 1
            continue
        tokens.append(token)
        if limit is not None and len(tokens) == limit:
            break
    if not tokens:
        raise FrameSourceError(
            f"{root}: none of {skipped} keyframes has its {len(CAMERAS)} images under samples/; "
            f"unpack the images of {database.version}"
        )
    return NuScenesFrames(database, tuple(tokens), skipped, ego_motion)


def image_paths_of_sample(database: NuScenes, token: str) -> list[Path]:
    """Image files of a keyframe in the order of `CAMERAS`; they need not exist.

    Raises:
        FrameSourceError: the tables have no such sample, or no row for a camera.
    """
    with tables_of(database):
        channels = database.get("sample", token)["data"]
        rows = [database.get("sample_data", channels[name]) for name in CAMERAS]
        return [Path(database.dataroot, row["filename"]) for row in rows]


def rig_of_sample(database: NuScenes, token: str, ego_motion: bool = False) -> CameraRig:
    """The rig of a keyframe, cameras in the order of `CAMERAS`.

    Args:
        database: the devkit's tables.
        token: sample token.
        ego_motion: False gives the calibration; True places each camera where it was at its own time, in the ego frame
            of the key time (LIDAR_TOP's pose).

    Raises:
        FrameSourceError: the tables have no such sample, or lack a row of a camera.
        GeometryError: a calibration in the tables is impossible.
    """
    with tables_of(database):
        channels = database.get("sample", token)["data"]
        egokey_from_global = invert(pose_of_reading(database, channels[key_channel(channels)]))
        cameras = []
        for name in CAMERAS:
            row = database.get("sample_data", channels[name])
            sensor = database.get("calibrated_sensor", row["calibrated_sensor_token"])
            ego_from_cam = rigid_of_row(sensor)
            if ego_motion:
                egocam_from_cam, global_from_egocam = ego_from_cam, pose_of_reading(database, channels[name])
                ego_from_cam = egokey_from_global @ global_from_egocam @ egocam_from_cam
            K = np.asarray(sensor["camera_intrinsic"], np.float64)
            cameras.append(Camera(name, int(row["width"]), int(row["height"]), K, ego_from_cam))
    return CameraRig(tuple(cameras))


def boxes_of_sample(database: NuScenes, token: str) -> TrueBoxes:
    """Annotations of a keyframe in the ego frame of its key time, for the ten detection classes.

    Velocities are those over ground, in ego axes; NaN where an instance is annotated only once.

    Raises:
        FrameSourceError: the tables have no such sample, or are damaged.
    """
    from nuscenes.eval.detection.utils import category_to_detection_name

    rows: list[Float64] = []
    names: list[str] = []
    with tables_of(database):
        sample = database.get("sample", token)
        ego_from_global = invert(pose_of_reading(database, sample["data"][key_channel(sample["data"])]))
        for annotation_token in sample["anns"]:
            annotation = database.get("sample_annotation", annotation_token)
            name = category_to_detection_name(annotation["category_name"])
            if name is None:
                continue
            centre = transform(ego_from_global, annotation["translation"])
            forward = ego_from_global[:3, :3] @ rotation_from_quaternion(annotation["rotation"])[:, 0]
            velocity = ego_from_global[:3, :3] @ velocity_of_annotation(database, annotation_token)
            yaw = np.arctan2(forward[1], forward[0])
            rows.append(np.array([*centre, *annotation["size"], yaw, *velocity[:2]], np.float64))  # [9]
            names.append(name)
    boxes = np.array(rows, np.float32).reshape(-1, 9)  # [n, 9]
    return TrueBoxes(boxes, tuple(names))


def _versions(root: Path) -> list[str]:
    try:
        return sorted(path.name for path in Path(root).glob("v1.0-*") if path.is_dir())
    except OSError:
        return []


def open_tables(root: Path, version: str | None = None) -> NuScenes:
    """The devkit's tables of one version, loaded without a word on the screen.

    Raises:
        FrameSourceError: the root or version is missing, several versions and none named, or damaged tables.
        MissingDependencyError: nuscenes-devkit is not installed.
    """
    if not root.is_dir():
        raise FrameSourceError(f"{root}: no such nuScenes folder")
    versions = _versions(root)
    if not versions:
        raise FrameSourceError(f"{root}: not a nuScenes root: no folder v1.0-* with tables in it")
    if version is None and len(versions) > 1:
        raise FrameSourceError(f"{root}: several versions ({', '.join(versions)}); name one with --version")
    chosen = versions[0] if version is None else version
    if chosen not in versions:
        raise FrameSourceError(f"{root}: no version {chosen!r}; there is {', '.join(versions)}")
    try:
        with warnings.catch_warnings():
            # The devkit's plotting dependencies announce their own deprecations at import.
            warnings.simplefilter("ignore")
            from nuscenes.nuscenes import NuScenes as Database
    except ImportError as error:
        raise MissingDependencyError(
            f"reading nuScenes needs nuscenes-devkit ({error}): pip install 'bevdeploy[nuscenes]'"
        ) from error
    try:
        return Database(version=chosen, dataroot=str(root), verbose=False)
    except Exception as error:
        # The devkit meets broken roots with bare asserts, KeyError, TypeError, JSON and image errors alike.
        raise FrameSourceError(
            f"{root / chosen}: nuscenes-devkit cannot load the tables ({type(error).__name__}: {error}); "
            "unpack the metadata archive of the data set again"
        ) from error


def sample_tokens(database: NuScenes, scene: str | None = None) -> list[str]:
    """Sample tokens ordered by scene name, then time.

    Raises:
        FrameSourceError: there is no such scene, or the tables are damaged.
    """
    with tables_of(database):
        names = {row["token"]: str(row["name"]) for row in database.scene}
        if scene is not None and scene not in names and scene not in names.values():
            known = ", ".join(sorted(names.values()))
            raise FrameSourceError(f"{database.dataroot}: no scene {scene!r}; there is {known}")
        samples: list[dict[str, Any]] = [
            row for row in database.sample if scene is None or scene in (row["scene_token"], names[row["scene_token"]])
        ]
        samples.sort(key=lambda row: (names[row["scene_token"]], row["timestamp"]))
        return [row["token"] for row in samples]


@contextmanager
def tables_of(database: NuScenes) -> Iterator[None]:
    """A block that turns what the devkit raises for rows that are missing or malformed into a FrameSourceError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, AssertionError, ArithmeticError) as error:
        raise FrameSourceError(
            f"{database.table_root}: a table row is missing or damaged ({type(error).__name__}: {error}); "
            "unpack the metadata archive of the data set again"
        ) from error


def key_channel(channels: Mapping[str, str]) -> str:
    """Whose ego pose is the key time's, of the channels of a sample."""
    return next((name for name in _KEY_SENSORS if name in channels), _KEY_SENSORS[-1])


def rigid_of_row(row: Mapping[str, Any]) -> Float64:
    """`translation` and `rotation` of a table row as a transform [4, 4].

    Raises:
        ValueError: the translation is not three finite numbers.
        GeometryError: the rotation is no quaternion.
    """
    translation_m = np.asarray(row["translation"], np.float64)
    if translation_m.shape != (3,) or not np.isfinite(translation_m).all():
        raise ValueError(f"row {row['token']}: translation {row['translation']}")
    return compose(rotation_from_quaternion(row["rotation"]), translation_m)


def pose_of_reading(database: NuScenes, sample_data_token: str) -> Float64:
    """`global_from_ego` [4, 4] at the time of one sensor reading."""
    return rigid_of_row(database.get("ego_pose", database.get("sample_data", sample_data_token)["ego_pose_token"]))


def velocity_of_annotation(database: NuScenes, token: str) -> Float64:
    """Velocity [3] in the global frame; NaN where it cannot be told, also for two keyframes of the same time."""
    with np.errstate(divide="ignore", invalid="ignore"):
        velocity = np.asarray(database.box_velocity(token), np.float64)
    return np.where(np.isfinite(velocity), velocity, np.nan)
