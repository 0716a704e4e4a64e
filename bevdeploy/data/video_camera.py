"""One camera's video: the frame nearest to a time, or why there is none. Decoded lazily through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.partial_set import Fault
from bevdeploy.errors import FrameSourceError, MissingDependencyError
from bevdeploy.geometry.rig import Camera

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer

TIME_STEP_S = 0.001
"""Matroska rounds times to milliseconds: half a frame is meant that exactly and no better."""

CONTAINERS = "avi,matroska,mov,mpeg,mpegts"
"""libav's names of the formats that are opened. Playlists are not: they can name any file or address."""

MOST_PIXELS = 64_000_000
"""A larger frame is not decoded, whatever a damaged header says."""

KEY_FRAME_WAIT_S = 10.0
"""After damage, frames are distrusted until the next key frame, or for so long in a video that has none."""


@contextmanager
def opened_video(path: Path) -> Iterator[InputContainer]:
    """A video file as a PyAV container.

    Raises:
        FrameSourceError: the file is missing, unreadable, or holds no video.
        MissingDependencyError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingDependencyError("reading videos needs PyAV: pip install 'bevdeploy[video]'") from error
    try:
        container = av.open(
            str(path), options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}, metadata_errors="replace"
        )
    except av.FFmpegError as error:
        raise FrameSourceError(
            f"{path}: cannot be read as a video ({error.strerror or error}); record or copy it again"
        ) from error
    with container:
        if not container.streams.video:
            raise FrameSourceError(f"{path}: holds no video stream")
        yield container


def time_of_packet(packet: Packet[Any]) -> float | None:
    """Presentation time of a packet, seconds; None for one that is not to be shown, or has no time."""
    ticks = packet.pts if packet.pts is not None else packet.dts
    if packet.size == 0 or packet.is_discard or ticks is None or packet.time_base is None:
        return None
    return float(ticks * packet.time_base)


class VideoCamera:
    """Goes once through a video, forward. Damaged frames are passed over and remembered for the faults to name."""

    def __init__(self, container: InputContainer, path: Path, camera: Camera, interval_s: float) -> None:
        self.path = path
        self.camera = camera
        self.interval_s = interval_s
        self._damaged_s: list[float | None] = []
        self._ended: str | None = None
        self._decoded = self._decode(container)
        self._current: VideoFrame | None = None
        self._following: VideoFrame | None = next(self._decoded, None)
        self._image: NDArray[np.uint8] | Fault | None = None  # of the current frame

    def frame_at(self, time_s: float, clock_interval_s: float) -> NDArray[np.uint8] | Fault:
        """The nearest frame [Hraw, Wraw, 3], at most half a frame of the slower video away. Times must not decrease."""
        while self._following is not None and (
            self._current is None or _distance(self._following, time_s) <= _distance(self._current, time_s)
        ):
            self._current, self._following = self._following, next(self._decoded, None)
            self._image = None
        tolerance_s = 0.5 * max(self.interval_s, clock_interval_s) + TIME_STEP_S
        if self._current is None or _distance(self._current, time_s) > tolerance_s:
            return self._fault(time_s, tolerance_s)
        if self._image is None:
            self._image = self._image_of(self._current)
        return self._image

    def _image_of(self, frame: VideoFrame) -> NDArray[np.uint8] | Fault:
        size = frame.width, frame.height
        if size != (self.camera.width_px, self.camera.height_px):
            return Fault("wrong size", f"{self.path.name}: {size[0]} x {size[1]} px at {frame.time:.2f} s")
        return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)  # [Hraw, Wraw, 3]

    def _fault(self, time_s: float, tolerance_s: float) -> Fault:
        where = f"{self.path.name} at {time_s:.2f} s"
        damaged = [each for each in self._damaged_s if each is None or abs(each - time_s) <= tolerance_s]
        self._damaged_s = [each for each in self._damaged_s if each is not None and each > time_s]
        if damaged:
            return Fault("damaged", f"{where} does not decode")
        if self._following is None and self._ended is not None:
            return Fault("ended", f"{self.path.name} {self._ended}")
        return Fault("no frame", f"{where} has no frame within {tolerance_s * 1e3:.0f} ms")

    def _decode(self, container: InputContainer) -> Iterator[VideoFrame]:
        """Sound frames in order of time.

        After a packet that does not decode, libav goes on from the frames before it and does not mark what comes of
        that, so nothing is sound until the next key frame.
        """
        from av import FFmpegError

        stream = container.streams.video[0]
        # explode: a damaged frame is an error instead of a guess at its picture.
        stream.codec_context.options = {"err_detect": "explode", "max_pixels": str(MOST_PIXELS)}
        last_s, distrust_until_s = float("-inf"), float("-inf")
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                self._ended = f"cannot be read after {max(last_s, 0.0):.2f} s ({error.strerror or error})"
                return
            if packet is None:
                self._ended = f"ended at {last_s:.2f} s" if last_s >= 0 else "has no frame that decodes"
                return
            packet_s = time_of_packet(packet)
            damaged = packet.is_corrupt
            frames: list[VideoFrame] = []
            try:
                frames = stream.decode(packet)
            except FFmpegError:
                damaged = True
            if damaged:
                self._damaged_s.append(packet_s)
                distrust_until_s = (max(last_s, 0.0) if packet_s is None else packet_s) + KEY_FRAME_WAIT_S
            for frame in frames:
                if frame.is_corrupt and frame.time is not None:
                    distrust_until_s = frame.time + KEY_FRAME_WAIT_S
                elif frame.key_frame and not damaged:
                    distrust_until_s = float("-inf")
                if frame.time is None or frame.time <= max(last_s, distrust_until_s):
                    self._damaged_s.append(frame.time)
                    continue
                last_s = frame.time
                yield frame


def _distance(frame: VideoFrame, time_s: float) -> float:
    assert frame.time is not None
    return abs(frame.time - time_s)
