"""One door to every source of camera frames: a nuScenes root, a folder of images, a made-up street."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bevdeploy.data import (
    FrameSet,
    TrueBoxes,
    count_frame_sets,
    frame_sets_from_folder,
    frame_sets_from_nuscenes,
    is_nuscenes_root,
    rig_of_folder,
    synthetic_frame_sets,
    synthetic_scene,
)
from bevdeploy.data.nuscenes import rig_of_sample
from bevdeploy.errors import FrameSourceError
from bevdeploy.geometry import CameraRig

SYNTHETIC_SEED = 0


@dataclass(frozen=True)
class FrameSource:
    """Frame sets to go through once, decoded one at a time."""

    name: str
    """What reports call it."""
    rig: CameraRig
    """The rig of the first frame set; a later one may have another."""
    sets: Iterable[FrameSet]
    count: int
    truth: Callable[[FrameSet], TrueBoxes | None]
    """True boxes of a frame set, where the source has them."""
    skipped: int = 0
    """Frame sets left out because image files are absent."""


def frame_source(
    source: Path | None,
    rig: CameraRig | None,
    limit: int | None = None,
    *,
    scene: str | None = None,
    ego_motion: bool = False,
    strict: bool = False,
) -> FrameSource:
    """Frames of a nuScenes root or a folder; None means the synthetic street seen by `rig`.

    A rig that is given replaces a folder's own rig file; a nuScenes root always brings its calibration.

    Raises:
        FrameSourceError: nothing usable is there, or no rig is given where one is needed.
        MissingDependencyError: the library that reads the source is not installed.
    """
    if source is None:
        if rig is None:
            raise FrameSourceError("synthetic frames need a rig to be seen by")
        count = 1 if limit is None else limit
        return FrameSource(
            "synthetic street",
            rig,
            synthetic_frame_sets(rig, count, SYNTHETIC_SEED),
            count,
            lambda frame_set: synthetic_scene(int(frame_set.token.rsplit("-", 1)[1]), SYNTHETIC_SEED),
        )
    if is_nuscenes_root(source):
        found = frame_sets_from_nuscenes(source, scene=scene, ego_motion=ego_motion, limit=limit, strict=strict)
        if not len(found):
            raise FrameSourceError(f"{source}: no keyframe with all its images ({found.skipped} without)")
        first = rig_of_sample(found.database, found.tokens[0], ego_motion)
        return FrameSource(source.name, first, found, len(found), lambda each: found.boxes(each.token), found.skipped)
    if scene is not None:
        raise FrameSourceError(f"{source}: not a nuScenes root; --scene needs one")
    rig = rig or rig_of_folder(source)
    count = count_frame_sets(source, rig)
    sets_of_folder = frame_sets_from_folder(source, rig)
    return FrameSource(
        source.name,
        rig,
        islice(sets_of_folder, limit) if limit is not None else sets_of_folder,
        count if limit is None else min(count, limit),
        lambda frame_set: None,
    )


def frame_sets(source: Path | None, rig: CameraRig, limit: int) -> list[FrameSet]:
    """The first `limit` frame sets of a source, decoded; arguments and errors as `frame_source`."""
    return list(frame_source(source, rig, limit).sets)
