"""When and where a frame set was taken, for students that remember."""

from __future__ import annotations

from bevdeploy.data import FrameSet
from bevdeploy.runtime import Moment


def moment_of(frame_set: FrameSet) -> Moment | None:
    """Its moment; None where the source has no clock or no ego pose.

    Raises:
        FrameSourceError: the pose is no rigid transform.
    """
    if frame_set.timestamp_us is None or frame_set.global_from_ego is None:
        return None
    return Moment(frame_set.timestamp_us * 1e-6, frame_set.global_from_ego, frame_set.scene)
