"""Whole frame sets from a stream whose cameras may fail: the last good frame for a while, then black."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data import Fault, FrameSet, PartialSet
from bevdeploy.engines.stream_report import CameraHealth
from bevdeploy.errors import FrameSourceError
from bevdeploy.geometry import Camera, CameraRig

HOLD_FRAMES = 3
"""Sets for which a camera's last good frame stands in; 0.3 s at 10 frames per second, 3 m at 10 m/s."""


@dataclass(eq=False)
class _CameraState:
    """One camera's past."""

    camera: Camera
    last: NDArray[np.uint8] | None = None
    """[Hraw, Wraw, 3], the last frame of its own."""
    missing: int = 0
    """Sets in a row without a frame of its own."""
    longest: int = 0
    black_now: bool = False
    held: int = 0
    black: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def health(self) -> CameraHealth:
        """The counts."""
        return CameraHealth(self.camera.name, self.held, self.black, self.longest, dict(self.faults))


class HeldFrames:
    """Goes once through partial sets and fills them up; each change of a camera's state is told once."""

    def __init__(
        self,
        partial_sets: Iterable[PartialSet],
        rig: CameraRig,
        hold_frames: int = HOLD_FRAMES,
        strict: bool = False,
        tell: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._partial_sets = partial_sets
        self._rig = rig
        self._hold_frames = hold_frames
        self._strict = strict
        self._tell = tell
        self._states = [_CameraState(camera) for camera in rig.cameras]

    def health(self) -> tuple[CameraHealth, ...]:
        """What each camera failed to deliver so far."""
        return tuple(state.health() for state in self._states)

    def __iter__(self) -> Iterator[FrameSet]:
        """Sets with a frame for every camera; `degraded` names those that are not the camera's own.

        Raises:
            FrameSourceError: a camera has no frame of its own, with `strict`; or as the partial sets raise.
        """
        for partial in self._partial_sets:
            frames, degraded = [], {}
            for state, frame in zip(self._states, partial.frames, strict=True):
                if isinstance(frame, Fault):
                    image, stands_in = self._filled(state, frame, partial.token)
                    frames.append(image)
                    degraded[state.camera.name] = stands_in
                else:
                    self._own(state, frame, partial.token)
                    frames.append(frame)
            yield FrameSet(partial.token, partial.timestamp_us, tuple(frames), self._rig, degraded)

    def _own(self, state: _CameraState, frame: NDArray[np.uint8], token: str) -> None:
        if state.missing:
            self._tell(f"{state.camera.name}: frames again at {token}, after {state.missing} sets without")
        state.last, state.missing, state.black_now = frame, 0, False

    def _filled(self, state: _CameraState, fault: Fault, token: str) -> tuple[NDArray[np.uint8], str]:
        name = state.camera.name
        if self._strict:
            raise FrameSourceError(
                f"{name}, set {token}: {fault.detail}; without --strict the run goes on with the last good frame"
            )
        state.missing += 1
        state.longest = max(state.longest, state.missing)
        state.faults[fault.kind] += 1
        if state.last is not None and state.missing <= self._hold_frames:
            if state.missing == 1:
                self._tell(
                    f"{name}: {fault.kind} at {token}: {fault.detail}; its last good frame stands in for up to "
                    f"{self._hold_frames} sets"
                )
            state.held += 1
            return state.last, f"held {state.missing}"
        if not state.black_now:
            self._tell(f"{name}: black from {token} on: {fault.detail}")
        state.black_now = True
        state.black += 1
        return np.zeros((state.camera.height_px, state.camera.width_px, 3), np.uint8), "black"  # [Hraw, Wraw, 3]
