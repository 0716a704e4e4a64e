"""Motion of the BEV plane between two moments: where a cell of now lay in the BEV frame of then."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry.frames import Float64

STANDING_STILL = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
"""[2, 3], the motion of an ego vehicle that stands still."""


def plane_motion(previous_from_current: Float64) -> NDArray[np.float32]:
    """The part of a transform [4, 4] between two BEV frames that moves points of the plane z = 0: [2, 3], metres.

    `x_then, y_then = motion @ (x_now, y_now, 1)`. Height, pitch and roll between the two moments are left out, as a
    BEV map has no height to lose.
    """
    return np.asarray(previous_from_current[:2][:, [0, 1, 3]], np.float32)
