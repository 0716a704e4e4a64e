"""Of two objects that overlap only the first is kept."""

from __future__ import annotations

import numpy as np

from bevdeploy.data.world.apart import NEAR_M, apart
from bevdeploy.data.world.scene import Solid, Track

TIMES = np.arange(0.0, 10.0, 0.2)


def track(start: tuple[float, float], velocity: tuple[float, float] = (0.0, 0.0), times: np.ndarray = TIMES) -> Track:
    places = np.array(start) + times[:, None] * np.array(velocity)
    return Track("car", "vehicle.car", (2.0, 4.0, 1.5), times, np.column_stack([places, np.zeros(len(times))]), 0)


EGO = track((0.0, 0.0))
ENDS = TIMES[[0, -1]]


def test_the_later_of_two_that_meet_is_left_out() -> None:
    standing, driving, aside = track((30.0, 0.0), times=ENDS), track((60.0, 0.0), (-4.0, 0.0)), track((20.0, 5.0))
    assert apart(EGO, [standing, driving, aside], (), TIMES) == [standing, aside]
    assert apart(EGO, [driving, standing, aside], (), TIMES) == [driving, aside]


def test_nobody_meets_the_recording_vehicle() -> None:
    assert apart(EGO, [track((3.5, 0.5)), track((-2.8, 0.0)), track((-3.0, 0.0))], (), TIMES)[0].poses[0, 0] == -2.8


def test_what_stays_far_is_left_out() -> None:
    passing = track((NEAR_M + 20.0, 30.0), (-5.0, 0.0))
    assert apart(EGO, [track((NEAR_M + 3.0, 0.0)), passing], (), TIMES) == [passing]


def test_standing_objects_keep_off_the_scenery_below_two_metres() -> None:
    wall, roof = (
        Solid((20.0, 0.0, 1.0), (1.0, 1.0, 1.0), 0.0, (1, 1, 1)),
        Solid((30.0, 0.0, 4.0), (1, 1, 1), 0, (1, 1, 1)),
    )
    beside, below = track((22.5, 0.0), times=ENDS), track((30.0, 0.0), times=ENDS)
    assert apart(EGO, [beside, below], (wall, roof), TIMES) == [below]
