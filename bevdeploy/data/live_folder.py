"""Frame sets of a folder that a recorder keeps writing, as they come; the rules are in docs/frames.md."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.frame_folder import IMAGE_SUFFIXES, natural_order
from bevdeploy.data.image_file import frame_from_image
from bevdeploy.data.partial_set import Fault, PartialSet
from bevdeploy.errors import FrameSourceError
from bevdeploy.geometry.rig import Camera, CameraRig

LOOK_EVERY_S = 0.01
LISTING_SHARE = 0.2
"""Most of one core that listing the folders may take: it slows down as they fill."""
SILENCE_STALLS = 5
"""Stall times without any file after which the silence of all cameras is said."""


@dataclass(frozen=True)
class LiveOptions:
    """What the command line may change."""

    stall_ms: float = 200.0
    """A set waits so long for its cameras, from its first file on."""
    idle_seconds: float = 10.0
    """The run ends when so long nothing new has come."""
    drop: bool = False
    """Pass over sets when a newer one is there already."""


@dataclass(eq=False)
class _Moment:
    """The files of one stem, by camera index."""

    stem: str
    seen_s: float
    paths: dict[int, Path] = field(default_factory=dict)
    frames: dict[int, NDArray[np.uint8] | Fault] = field(default_factory=dict)
    tried: dict[int, tuple[tuple[int, int], str]] = field(default_factory=dict)
    """Size and time of change of a file that did not decode, and the reason."""


class LiveFolder:
    """Partial sets of `CAMERA/STEM.jpg` files while they are written, in the natural order of stems.

    A set is taken as soon as every camera's file decodes, or when the stall time is over. A camera that has failed to
    deliver is not waited for again until it shows a new file.
    """

    def __init__(
        self,
        folder: Path,
        rig: CameraRig,
        options: LiveOptions = LiveOptions(),
        tell: Callable[[str], None] = lambda message: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is read yet.

        Raises:
            FrameSourceError: there is no such folder.
        """
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FrameSourceError(f"{folder}: no such folder to follow; start the recorder first, or check the name")
        self.rig = rig
        self.options = options
        self.dropped = 0
        self._tell, self._clock, self._sleep = tell, clock, sleep
        self._pending: dict[str, _Moment] = {}
        self._known: list[set[str]] = [set() for _ in rig.cameras]
        self._awaited = [True] * len(rig.cameras)
        self._late = [0] * len(rig.cameras)
        self._passed: str | None = None
        self._news_s = 0.0
        self._silent = False

    def __iter__(self) -> Iterator[PartialSet]:
        """Follow the folder until nothing new has come for the idle time.

        Raises:
            FrameSourceError: nothing came at all.
            MissingDependencyError: Pillow is not installed.
        """
        self._news_s = self._clock()
        while True:
            before_s = self._clock()
            self._list_folders()
            listing_s = self._clock() - before_s
            moment = self._ready()
            if moment is not None:
                self._passed = moment.stem
                del self._pending[moment.stem]
                frames = tuple(moment.frames[n] for n in range(len(self.rig.cameras)))
                yield PartialSet(moment.stem, None, frames)
                continue
            if not self._pending and self._ended():
                return
            self._sleep(max(LOOK_EVERY_S, listing_s / LISTING_SHARE))

    def _list_folders(self) -> None:
        """Take up files that were not there at the last look."""
        for n, name in enumerate(self.rig.names):
            try:
                names = set(os.listdir(self.folder / name))
            except OSError:  # not made yet, or taken away: no frames
                names = set()
            fresh = names - self._known[n]
            self._known[n] = names
            for file_name in fresh:
                stem, suffix = os.path.splitext(file_name)
                if suffix.lower() not in IMAGE_SUFFIXES or file_name.startswith("."):
                    continue
                self._news()
                self._awaited[n] = True
                if self._passed is not None and natural_order(stem) <= natural_order(self._passed):
                    self._late[n] += 1
                    continue
                moment = self._pending.setdefault(stem, _Moment(stem, self._clock()))
                moment.paths.setdefault(n, self.folder / name / file_name)

    def _ready(self) -> _Moment | None:
        """The next moment, once each camera has a frame or a fault in it."""
        if not self._pending:
            return None
        stems = sorted(self._pending, key=natural_order)
        moment = self._pending[stems[0]]
        if self.options.drop:
            moment = self._newest_whole(stems) or moment
        for n, camera in enumerate(self.rig.cameras):
            if n in moment.paths and n not in moment.frames:
                self._decode(moment, n, camera)
        missing = [n for n in range(len(self.rig.cameras)) if n not in moment.frames]
        stalled = (self._clock() - moment.seen_s) * 1e3 >= self.options.stall_ms
        if not stalled and any(self._awaited[n] for n in missing):
            return None
        for n in missing:
            moment.frames[n] = self._fault(moment, n)
            self._awaited[n] = n in moment.paths
        return moment

    def _newest_whole(self, stems: list[str]) -> _Moment | None:
        """The newest moment with a file of each camera that delivers; older ones are dropped."""
        wanted = {n for n, awaited in enumerate(self._awaited) if awaited}
        for position in range(len(stems) - 1, -1, -1):
            moment = self._pending[stems[position]]
            if wanted <= set(moment.paths):
                for stem in stems[:position]:
                    del self._pending[stem]
                    self._passed = stem
                self.dropped += position
                return moment
        return None

    def _decode(self, moment: _Moment, n: int, camera: Camera) -> None:
        """Take a file that decodes fully; one that does not is tried again when it has changed."""
        path = moment.paths[n]
        try:
            status = path.stat()
        except OSError:
            return
        state = status.st_size, status.st_mtime_ns
        if n in moment.tried and moment.tried[n][0] == state:
            return
        try:
            moment.frames[n] = frame_from_image(path, camera)
        except FrameSourceError as error:
            if n in moment.tried:
                self._news()
            moment.tried[n] = state, str(error.__cause__ or error)
            size = _size_of_image(path)
            if size is not None and size != (camera.width_px, camera.height_px):
                wanted = f"{camera.width_px} x {camera.height_px}"
                what = f"{camera.name}/{path.name} has {size[0]} x {size[1]} px, the rig's camera {wanted}"
                moment.frames[n] = Fault("wrong size", what)

    def _fault(self, moment: _Moment, n: int) -> Fault:
        where = f"{self.rig.names[n]}/{moment.stem}"
        if n in moment.tried:
            return Fault("damaged", f"{where} does not decode ({moment.tried[n][1]})")
        late = f" ({self._late[n]} came later)" if self._late[n] else ""
        return Fault("no frame", f"no {where} within {self.options.stall_ms:g} ms{late}")

    def _news(self) -> None:
        now_s = self._clock()
        if self._silent:
            self._tell(f"frames again after {now_s - self._news_s:.1f} s of silence")
        self._news_s, self._silent = now_s, False

    def _ended(self) -> bool:
        """Whether the idle time is over; says once that all cameras are silent."""
        silence_s = self._clock() - self._news_s
        idle_s = self.options.idle_seconds
        if silence_s >= idle_s:
            if self._passed is None:
                raise FrameSourceError(
                    f"{self.folder}: no camera frame came within {idle_s:g} s; expected {self.rig.names[0]}/000001.jpg "
                    "..., as docs/frames.md describes; to wait longer: --idle-seconds N"
                )
            return True
        if not self._silent and silence_s * 1e3 >= SILENCE_STALLS * self.options.stall_ms:
            self._silent = True
            self._tell(f"no camera has sent anything for {silence_s:.1f} s; the run ends after {idle_s:g} s of that")
        return False


def _size_of_image(path: Path) -> tuple[int, int] | None:
    """Width and height that a file's header states; None where there is no readable header."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width_px, height_px = image.size
            return int(width_px), int(height_px)
    except Exception:  # any decoder, any damage: the file is not an image yet
        return None
