"""Frame sets of one video file per camera, in lock step by presentation time; the rules are in docs/frames.md."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bevdeploy.data.partial_set import PartialSet
from bevdeploy.data.video_camera import TIME_STEP_S, VideoCamera, opened_video, time_of_packet
from bevdeploy.errors import FrameSourceError
from bevdeploy.geometry.rig import Camera, CameraRig

if TYPE_CHECKING:
    from av.container import InputContainer

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")
"""Names that count as videos, in any case."""

REORDERED_PACKETS = 32
"""Packets to look ahead for the earliest time: H.264 and HEVC reorder by at most 16 frames."""


@dataclass(frozen=True)
class VideoHeader:
    """What a video file says of itself before anything is decoded."""

    path: Path
    frames: int
    """As stated, or duration times rate; 0 where it states neither."""
    interval_s: float
    """Seconds from frame to frame, on average."""
    start_s: float
    end_s: float | None
    """End of the last frame; None where the file does not say."""


def is_video_folder(folder: Path, rig: CameraRig) -> bool:
    """Whether a folder holds videos named after cameras of the rig, and no subfolder of a camera."""
    folder = Path(folder)
    if not folder.is_dir() or any((folder / name).is_dir() for name in rig.names):
        return False
    return any(path.stem in rig.names and path.suffix.lower() in VIDEO_SUFFIXES for path in folder.iterdir())


class VideoFolder:
    """Partial sets of a folder of videos: one for each frame of the rig's first camera, whose video is the clock.

    Headers are read at once, frames are decoded one set at a time. A frame belongs to a set when it is the nearest and
    at most half a frame away, measured by the slower of the two videos.
    """

    def __init__(self, folder: Path, rig: CameraRig) -> None:
        """Find the videos and read their headers.

        Raises:
            FrameSourceError: a camera has no video, or two; a video cannot be read, has another size than its camera,
                or no time in common with the first camera's.
            MissingDependencyError: PyAV is not installed.
        """
        self.rig = rig
        paths = _video_paths(Path(folder), rig)
        self.headers = tuple(_header(path, camera) for path, camera in zip(paths, rig.cameras, strict=True))
        for header in self.headers[1:]:
            _check_common_time(self.headers[0], header)

    @property
    def count(self) -> int:
        """Sets to expect, by the header of the first camera's video: damage may change it."""
        return self.headers[0].frames

    def notes(self) -> tuple[str, ...]:
        """What lies outside the time of the first camera's video, one line each."""
        clock, found = self.headers[0], []
        for header in self.headers[1:]:
            if header.end_s is None or clock.end_s is None:
                continue
            beyond_s = header.end_s - clock.end_s
            if abs(beyond_s) <= max(header.interval_s, clock.interval_s) + TIME_STEP_S:
                continue
            what = "later, which is not used" if beyond_s > 0 else "earlier: its camera is lost from there"
            found.append(f"{header.path.name} ends {abs(beyond_s):.1f} s {what} (clock: {clock.path.name})")
        return tuple(found)

    def __iter__(self) -> Iterator[PartialSet]:
        """Decode from the start.

        Raises:
            FrameSourceError: a file can no longer be opened.
        """
        clock = self.headers[0]
        with ExitStack() as stack:
            cameras = [
                VideoCamera(stack.enter_context(opened_video(header.path)), header.path, camera, header.interval_s)
                for header, camera in zip(self.headers, self.rig.cameras, strict=True)
            ]
            ticks = _ticks(stack.enter_context(opened_video(clock.path)))
            for index, time_s in enumerate(ticks):
                frames = tuple(camera.frame_at(time_s, clock.interval_s) for camera in cameras)
                yield PartialSet(f"{index:06d}", round(time_s * 1e6), frames)


def _ticks(container: InputContainer) -> Iterator[float]:
    """Presentation times of a video's packets in order, seconds; nothing is decoded, so damaged frames count too."""
    from av import FFmpegError

    ahead: list[float] = []
    last_s = float("-inf")
    packets = container.demux(container.streams.video[0])
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:
            packet = None
        time_s = None if packet is None else time_of_packet(packet)
        if time_s is not None:
            heapq.heappush(ahead, time_s)
        while ahead and (packet is None or len(ahead) > REORDERED_PACKETS):
            tick_s = heapq.heappop(ahead)
            if tick_s > last_s:
                last_s = tick_s
                yield tick_s
        if packet is None:
            return


def _header(path: Path, camera: Camera) -> VideoHeader:
    with opened_video(path) as container:
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise FrameSourceError(f"{path}: its codec is unknown to PyAV; convert it: ffmpeg -i {path.name} NEW.mkv")
        size = stream.codec_context.width, stream.codec_context.height
        if size != (camera.width_px, camera.height_px):
            raise FrameSourceError(
                f"{path}: {size[0]} x {size[1]} px, but the rig's camera {camera.name} has "
                f"{camera.width_px} x {camera.height_px} px; use the rig that took this video (--rig FILE)"
            )
        rate = stream.average_rate or stream.guessed_rate
        if not rate:
            raise FrameSourceError(
                f"{path}: states no frame rate; write it again: ffmpeg -i {path.name} -r RATE NEW.mkv"
            )
        start_s = _seconds(stream.start_time, stream.time_base) or 0.0
        duration_s = _seconds(stream.duration, stream.time_base)
        if duration_s is None and container.duration:
            duration_s = container.duration / 1e6  # libav counts a container's time in microseconds
        frames = stream.frames or round((duration_s or 0.0) * float(rate))
        end_s = None if duration_s is None else start_s + duration_s
        return VideoHeader(path, frames, 1.0 / float(rate), start_s, end_s)


def _seconds(ticks: int | None, time_base: Any) -> float | None:
    return None if ticks is None or time_base is None else float(ticks * time_base)


def _check_common_time(clock: VideoHeader, other: VideoHeader) -> None:
    if clock.end_s is None or other.end_s is None:
        return
    if other.start_s >= clock.end_s or other.end_s <= clock.start_s:
        raise FrameSourceError(
            f"{other.path}: runs from {other.start_s:.1f} to {other.end_s:.1f} s, {clock.path.name} from "
            f"{clock.start_s:.1f} to {clock.end_s:.1f} s: no common time; let both count from the same zero: "
            f"ffmpeg -i {other.path.name} -c copy NEW.mkv starts a file at 0"
        )


def _video_paths(folder: Path, rig: CameraRig) -> list[Path]:
    """One video per camera, in rig order."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            twice = f"{found[path.stem].name} and {path.name}"
            raise FrameSourceError(f"{folder}: {twice} are the same camera twice; remove one")
        found[path.stem] = path
    missing = [name for name in rig.names if name not in found]
    if missing:
        raise FrameSourceError(
            f"{folder}: no video for camera {', '.join(missing)}; the rig has {', '.join(rig.names)}"
        )
    return [found[name] for name in rig.names]
