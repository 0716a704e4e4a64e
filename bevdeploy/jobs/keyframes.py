"""Annotated keyframes of a data set as camera frames: what accuracy is measured on, decoded one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bevdeploy.data import FrameSet, is_nuscenes_root
from bevdeploy.data.build_index import build_index
from bevdeploy.data.image_file import frame_from_image
from bevdeploy.data.index import HEADER_FILE, SampleIndex, open_index
from bevdeploy.data.index_places import place_beside, place_in_cache, versions_of
from bevdeploy.data.nuscenes import CAMERAS
from bevdeploy.errors import DataSetError, FrameSourceError
from bevdeploy.geometry import Camera, CameraRig
from bevdeploy.geometry.frames import invert

ALL = "all"
"""Name of all scenes together, where they are of no split."""


@dataclass(frozen=True, eq=False)
class Keyframes:
    """Keyframes of a split, those without their images left out."""

    index: SampleIndex
    split: str
    """Name of the split or scene, or `ALL`."""
    rows: tuple[int, ...]
    """Into the index, by scene, then time."""
    of_split: int
    """Keyframes that the split has."""
    skipped: int
    """Of them, those that lack an image file."""
    ego_motion: bool = True
    """Whether rigs carry the motion between a camera's time and the key time."""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[int, FrameSet]]:
        """Row in the index, frames.

        Raises:
            FrameSourceError: an image is unreadable or has another size than its table row.
        """
        for row in self.rows:
            yield row, self.frame_set(row)

    def frame_set(self, row: int) -> FrameSet:
        """Images and rig of a keyframe, as `frame_set_of_keyframe`."""
        return frame_set_of_keyframe(self.index, row, self.ego_motion)

    @property
    def tokens(self) -> tuple[str, ...]:
        """Sample tokens."""
        return tuple(token_of_keyframe(self.index, row) for row in self.rows)

    @property
    def devkit_split(self) -> str | None:
        """The split's name for the devkit; None where it is a scene or `ALL`."""
        return self.split if self.split in self.index.splits else None


def index_of(data: Path, version: str | None = None, tell: Callable[[str], None] = lambda text: None) -> SampleIndex:
    """The index of a nuScenes root, built where there is none yet, or the one in an index folder.

    Raises:
        DataSetError: there is neither, or the index is damaged or older than the tables.
        FrameSourceError: the tables are missing or damaged.
        OutputError: the index cannot be written.
        MissingDependencyError: nuscenes-devkit is not installed, and there is no index yet.
    """
    data = Path(data)
    if not (data / HEADER_FILE).is_file() and is_nuscenes_root(data):
        names = [version] if version else versions_of(data)
        places = [place for name in names for place in (place_beside(data, name), place_in_cache(data, name))]
        if not any((place / HEADER_FILE).is_file() for place in places):
            tell(f"{data}: no index yet, building it")
            return open_index(build_index(data, version, tell=tell), root=data)
    return open_index(data, version)


def keyframes_of_split(
    index: SampleIndex,
    split: str | None,
    limit: int | None = None,
    strict: bool = False,
    images: bool = True,
    ego_motion: bool = True,
) -> Keyframes:
    """The keyframes to score.

    Args:
        index: of the data set.
        split: split or scene; None takes `default_split`.
        limit: at most this many keyframes.
        strict: refuse a keyframe without its images instead of leaving it out.
        images: False keeps the keyframes without images.
        ego_motion: False gives rigs of the bare calibration.

    Raises:
        DataSetError: the data set has no such split, or none to take by default.
        FrameSourceError: no keyframe, or (strict) not every one, has its images.
    """
    name = split or default_split(index)
    rows = [int(row) for row in index.keyframes(name)]
    chosen: list[int] = []
    skipped = 0
    for row in rows:
        missing = [path for path in image_paths(index, row) if images and not path.is_file()]
        if missing and strict:
            raise FrameSourceError(
                f"{missing[0]}: the image of keyframe {token_of_keyframe(index, row)} is missing; "
                "unpack its part of the data set"
            )
        if missing:
            skipped += 1
        elif limit is None or len(chosen) < limit:
            chosen.append(row)
    if not chosen:
        raise FrameSourceError(
            f"{index.root}: none of the {len(rows)} keyframes of {name or 'its scenes'} has its {len(CAMERAS)} images; "
            f"unpack the images of {index.version}"
        )
    return Keyframes(index, name or ALL, tuple(chosen), len(rows), skipped, ego_motion)


def default_split(index: SampleIndex) -> str | None:
    """`mini_val` of nuScenes mini, `val` of any other; None, all scenes, where they are of no split.

    Raises:
        DataSetError: the scenes are of other splits.
    """
    name = "mini_val" if index.version.endswith("mini") else "val"
    if index.splits and name not in index.splits:
        raise DataSetError(
            f"{index.root}: no scene of {index.version} is in {name}; "
            f"name one of {', '.join(index.splits)} with --split"
        )
    return name if index.splits else None


def frame_set_of_keyframe(index: SampleIndex, row: int, ego_motion: bool = True) -> FrameSet:
    """Images and rig of a keyframe.

    Raises:
        FrameSourceError: an image is missing, unreadable or of another size than its table row.
    """
    rig = rig_of_keyframe(index, row, ego_motion)
    frames = tuple(
        frame_from_image(path, each) for path, each in zip(image_paths(index, row), rig.cameras, strict=True)
    )
    return FrameSet(
        token_of_keyframe(index, row),
        int(index.arrays.timestamp_us[row]),
        frames,
        rig,
        global_from_ego=np.array(index.arrays.global_from_ego[row]),
        scene=index.scene_of(row).name,
    )


def rig_of_keyframe(index: SampleIndex, row: int, ego_motion: bool = True) -> CameraRig:
    """The rig of a keyframe, with each camera where it was at its own time, in the ego frame of the key time.

    Without `ego_motion`, where the calibration puts it.

    Raises:
        GeometryError: a calibration of the data set is impossible.
    """
    arrays = index.arrays
    egokey_from_global = invert(np.asarray(arrays.global_from_ego[row]))
    cameras = []
    for n, name in enumerate(CAMERAS):
        height_px, width_px = (int(size) for size in arrays.image_hw[row, n])
        ego_from_cam = np.array(arrays.ego_from_cam[row, n])
        if ego_motion:
            ego_from_cam = egokey_from_global @ arrays.global_from_egocam[row, n] @ ego_from_cam
        cameras.append(Camera(name, width_px, height_px, np.array(arrays.K[row, n]), ego_from_cam))
    return CameraRig(tuple(cameras))


def image_paths(index: SampleIndex, row: int) -> list[Path]:
    """Image files of a keyframe in the order of `CAMERAS`; they need not exist."""
    return [index.root / name.decode() for name in index.arrays.image_path[row]]


def token_of_keyframe(index: SampleIndex, row: int) -> str:
    """The sample token."""
    return str(index.arrays.token[row].decode())
