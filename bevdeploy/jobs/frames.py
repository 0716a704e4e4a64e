"""One door to every source of camera frames: a nuScenes root, a folder of images or videos, a made-up street."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bevdeploy.data import (
    FrameSet,
    LiveFolder,
    LiveOptions,
    PartialSet,
    TrueBoxes,
    VideoFolder,
    count_frame_sets,
    frame_sets_from_folder,
    frame_sets_from_nuscenes,
    is_nuscenes_root,
    is_video_folder,
    rig_of_folder,
    synthetic_frame_sets,
    synthetic_scene,
)
from bevdeploy.data.nuscenes import rig_of_sample
from bevdeploy.engines.stream_report import CameraHealth
from bevdeploy.errors import FrameSourceError
from bevdeploy.geometry import CameraRig
from bevdeploy.jobs.stream_frames import HOLD_FRAMES, HeldFrames

SYNTHETIC_SEED = 0


@dataclass(frozen=True)
class FrameSource:
    """Frame sets to go through once, decoded one at a time."""

    name: str
    """What reports call it."""
    rig: CameraRig
    """The rig of the first frame set; a later one may have another."""
    sets: Iterable[FrameSet]
    count: int | None
    """Sets to expect; None where nobody can know."""
    truth: Callable[[FrameSet], TrueBoxes | None]
    """True boxes of a frame set, where the source has them."""
    skipped: int = 0
    """Frame sets left out because image files are absent."""
    health: Callable[[], tuple[CameraHealth, ...]] = tuple
    """What the cameras failed to deliver so far; empty for sources that end with the first failure."""
    dropped: Callable[[], int] = int
    """Sets passed over so far, because a newer one was there."""


def frame_source(
    source: Path | None,
    rig: CameraRig | None,
    limit: int | None = None,
    *,
    scene: str | None = None,
    ego_motion: bool = False,
    strict: bool = False,
    hold_frames: int = HOLD_FRAMES,
    live: LiveOptions | None = None,
    tell: Callable[[str], None] = lambda message: None,
) -> FrameSource:
    """Frames of a nuScenes root, or a folder of images or videos; None means the synthetic street seen by `rig`.

    A rig that is given replaces a folder's own rig file; a nuScenes root always brings its calibration. With `live` a
    folder of images is followed while it is written. Videos and live folders go on without a camera: `hold_frames`
    sets with its last good frame, then with a black one, each change told once; `strict` makes that an error.

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
    if live is not None and not is_nuscenes_root(source):
        if scene is not None:
            raise FrameSourceError(f"{source}: not a nuScenes root; --scene needs one")
        rig = rig or rig_of_folder(source)
        if is_video_folder(source, rig):
            raise FrameSourceError(f"{source}: holds videos; --live follows a folder of images (see docs/frames.md)")
        follower = LiveFolder(source, rig, live, tell)
        return _stream(source, follower, None, lambda: follower.dropped, rig, limit, hold_frames, strict, tell)
    if is_nuscenes_root(source):
        if live is not None:
            raise FrameSourceError(f"{source}: a nuScenes root does not grow; --live follows a folder of images")
        found = frame_sets_from_nuscenes(source, scene=scene, ego_motion=ego_motion, limit=limit, strict=strict)
        if not len(found):
            raise FrameSourceError(f"{source}: no keyframe with all its images ({found.skipped} without)")
        first = rig_of_sample(found.database, found.tokens[0], ego_motion)
        return FrameSource(source.name, first, found, len(found), lambda each: found.boxes(each.token), found.skipped)
    if scene is not None:
        raise FrameSourceError(f"{source}: not a nuScenes root; --scene needs one")
    rig = rig or rig_of_folder(source)
    if is_video_folder(source, rig):
        videos = VideoFolder(source, rig)
        for note in videos.notes():
            tell(note)
        return _stream(source, videos, videos.count or None, int, rig, limit, hold_frames, strict, tell)
    count = count_frame_sets(source, rig)
    sets_of_folder = frame_sets_from_folder(source, rig)
    return FrameSource(
        source.name,
        rig,
        islice(sets_of_folder, limit) if limit is not None else sets_of_folder,
        count if limit is None else min(count, limit),
        lambda frame_set: None,
    )


def _stream(
    source: Path,
    partial_sets: Iterable[PartialSet],
    count: int | None,
    dropped: Callable[[], int],
    rig: CameraRig,
    limit: int | None,
    hold_frames: int,
    strict: bool,
    tell: Callable[[str], None],
) -> FrameSource:
    held = HeldFrames(partial_sets, rig, hold_frames, strict, tell)
    if limit is not None:
        count = limit if count is None else min(count, limit)
    return FrameSource(
        source.name, rig, islice(held, limit), count, lambda frame_set: None, health=held.health, dropped=dropped
    )
