"""FrameSet: what every source of camera frames yields, one moment at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry.frames import Float64
from bevdeploy.geometry.rig import CameraRig


@dataclass(frozen=True, eq=False)
class FrameSet:
    """One image per camera, and the rig that took them."""

    token: str
    """Sample token of a data set, or the file stem."""
    timestamp_us: int | None
    """Key time in microseconds; None where the source has no clock."""
    frames: tuple[NDArray[np.uint8], ...]
    """RGB images [Hraw, Wraw, 3], one per camera in rig order."""
    rig: CameraRig
    degraded: Mapping[str, str] = field(default_factory=dict)
    """What stands in for a camera's own frame, by camera: `held 2` is its last good frame, two sets old; or `black`."""
    global_from_ego: Float64 | None = None
    """[4, 4] ego pose at the key time; None where the source has none."""
    scene: str = ""
    """Name of the drive; empty where the source is a single one."""
