"""Clocks of the scenes: no two overlap, and a log's name says when it was."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from itertools import pairwise

import pytest

from bevdeploy.data.world.options import MAX_KEYFRAMES
from bevdeploy.data.world.scene import STEP_S
from bevdeploy.data.world.timeline import log_of


@pytest.mark.parametrize(
    ("location", "vehicle", "zone", "hours"),
    [("boston-seaport", "n008", "-0400", -4), ("singapore-x", "n015", "+0800", 8)],
)
def test_the_name_is_the_local_time(location: str, vehicle: str, zone: str, hours: int) -> None:
    log = log_of("scene-0103", location)
    match = re.fullmatch(r"(n\d+)-(\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)([+-]\d{4})", log.logfile)
    assert match is not None
    assert match[1] == log.vehicle == vehicle
    assert match[3] == zone
    local = datetime.strptime(match[2], "%Y-%m-%d-%H-%M-%S")
    utc = datetime.fromtimestamp(log.start_us / 1e6, timezone.utc).replace(tzinfo=None)
    assert (local - utc).total_seconds() == hours * 3600
    assert log.date_captured == match[2][:10]
    assert 9 <= local.hour < 18


def test_scenes_of_a_location_do_not_overlap() -> None:
    starts = sorted(log_of(f"scene-{n:04d}", "singapore-onenorth").start_us for n in range(1, 1111))
    shortest_s = min(later - earlier for earlier, later in pairwise(starts)) / 1e6
    assert shortest_s > MAX_KEYFRAMES * STEP_S + 2
