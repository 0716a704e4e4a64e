"""A drive for measurements: frames follow as in training, so that a temporal student is fed with its own state."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bevdeploy.runtime.bev_memory import Moment
from bevdeploy.runtime.contract import Contract

SPEED_MPS = 8.0


def steady_drive(contract: Contract) -> Iterator[Moment | None]:
    """Endless moments straight ahead, the contract's interval apart; None for students of single frames."""
    if not contract.state:
        while True:
            yield None
    interval_s, frame = contract.state[0].interval_s, 0
    while True:
        global_from_ego = np.eye(4)
        global_from_ego[0, 3] = SPEED_MPS * interval_s * frame
        yield Moment(interval_s * frame, global_from_ego)
        frame += 1
