"""The BEV of earlier frames, kept on the host between two runs of a graph, and fed back where it fits."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import ContractError, FrameSourceError
from bevdeploy.geometry.frames import Float64, invert
from bevdeploy.geometry.plane_motion import STANDING_STILL, plane_motion
from bevdeploy.runtime.contract import Contract

YOUNGEST = 0.5
"""Of the contract's interval: a younger frame shows too little motion for a student that was trained on more."""
SPACING = 0.15
"""Of the interval: frames that follow more closely are not kept, so that a fast camera fills no memory."""


@dataclass(frozen=True, eq=False)
class Moment:
    """When and where a frame was taken; what makes two frames of one drive comparable.

    Raises:
        FrameSourceError: the pose is no rigid transform, or the time no number.
    """

    time_s: float
    """Key time, on any clock that runs through a scene."""
    global_from_ego: Float64
    """[4, 4] ego pose at the key time, in a frame that is fixed during a scene."""
    scene: str = ""
    """Name of the drive; frames of two drives know nothing of each other."""

    def __post_init__(self) -> None:
        pose = np.asarray(self.global_from_ego, np.float64)
        rigid = pose.shape == (4, 4) and np.isfinite(pose).all()
        if not rigid or not np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-3):
            raise FrameSourceError(f"ego pose: expected a rigid transform [4, 4], got {pose.tolist()}")
        if not np.isfinite(self.time_s):
            raise FrameSourceError(f"key time: expected seconds, got {self.time_s}")


@dataclass(frozen=True, eq=False)
class _Kept:
    moment: Moment
    outputs: dict[str, NDArray[Any]]


class BevMemory:
    """States of the last second, and which of them a frame is fed with.

    Taken is the state whose age is nearest to the contract's interval, if it is at least half of it and at most
    `max_gap_s`. Another scene, or a clock that goes backwards, forgets everything. Where nothing fits, or where nobody
    says when and where a frame was taken, the frame is a first one: zeros, and a motion of the identity.
    """

    def __init__(self, contract: Contract) -> None:
        """An empty memory.

        Raises:
            ContractError: the state of the contract names no input and output of the same shape.
        """
        self._specs = contract.state
        inputs, outputs = ({spec.name: spec for spec in side} for side in (contract.inputs, contract.outputs))
        for state in self._specs:
            fed, kept = inputs.get(state.input), outputs.get(state.output)
            if fed is None or kept is None or (fed.shape, fed.dtype) != (kept.shape, kept.dtype):
                raise ContractError(
                    f"state {state.output!r} -> {state.input!r}: the contract has no such output and input of one "
                    "shape and dtype; export again"
                )
        self._zeros = {state.input: np.zeros(inputs[state.input].shape, np.float32) for state in self._specs}
        self._past: deque[_Kept] = deque()
        self.age_s: float | None = None
        """Of the state that the last frame was fed with; None for a first frame."""

    def feeds(self, moment: Moment | None) -> dict[str, NDArray[Any]]:
        """The state's inputs for a frame, by name."""
        taken = None if moment is None else self._nearest(moment)
        self.age_s = None if taken is None or moment is None else moment.time_s - taken.moment.time_s
        feeds: dict[str, NDArray[Any]] = {}
        for state in self._specs:
            feeds[state.input], motion = self._zeros[state.input], STANDING_STILL
            if taken is not None and moment is not None:
                feeds[state.input] = taken.outputs[state.output]
                motion = plane_motion(invert(taken.moment.global_from_ego) @ moment.global_from_ego)
            feeds[state.motion] = motion[None]  # [1, 2, 3]
        return feeds

    def keep(self, moment: Moment | None, outputs: Mapping[str, NDArray[Any]]) -> None:
        """Remember what a graph said of a frame; nothing without a moment."""
        if moment is None:
            return
        self._forget_what_does_not_fit(moment)
        apart_s = SPACING * min(state.interval_s for state in self._specs)
        if not self._past or moment.time_s - self._past[-1].moment.time_s >= apart_s:
            self._past.append(_Kept(moment, {state.output: outputs[state.output] for state in self._specs}))

    def forget(self) -> None:
        """Begin anew: the next frame is a first one."""
        self._past.clear()

    def _nearest(self, moment: Moment) -> _Kept | None:
        self._forget_what_does_not_fit(moment)
        interval_s = self._specs[0].interval_s
        ages_s = [(moment.time_s - kept.moment.time_s, kept) for kept in self._past]
        fitting = [(abs(age_s - interval_s), kept) for age_s, kept in ages_s if age_s >= YOUNGEST * interval_s]
        return min(fitting, key=lambda pair: pair[0])[1] if fitting else None

    def _forget_what_does_not_fit(self, moment: Moment) -> None:
        """Other scenes, times to come, and what is too old."""
        last = self._past[-1].moment if self._past else moment
        if last.scene != moment.scene or last.time_s > moment.time_s:
            self._past.clear()
        oldest_s = moment.time_s - max(state.max_gap_s for state in self._specs)
        while self._past and self._past[0].moment.time_s < oldest_s:
            self._past.popleft()
