"""When a scene was recorded: its log's name and the clock of its sensors. Follows from the scene's name alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

_FIRST_DAY = datetime(2018, 7, 1, 9, 0)
_DAYS = 120
"""Scenes come one a day, then twenty minutes later in the day."""


@dataclass(frozen=True)
class Log:
    """The drive that a scene is cut from; one per scene."""

    logfile: str
    vehicle: str
    date_captured: str
    start_us: int
    """Time of the scene's first keyframe, microseconds since 1970 (UTC)."""


def log_of(name: str, location: str) -> Log:
    """The log of a scene `scene-0061` in one of nuScenes' locations."""
    number = int(name.removeprefix("scene-"))
    local = _FIRST_DAY + timedelta(days=number % _DAYS, minutes=20 * (number // _DAYS))
    vehicle, hours = ("n008", -4) if location.startswith("boston") else ("n015", 8)
    zone = timezone(timedelta(hours=hours))
    start_us = round(local.replace(tzinfo=zone).timestamp()) * 1_000_000
    logfile = f"{vehicle}-{local:%Y-%m-%d-%H-%M-%S}{hours:+03d}00"
    return Log(logfile, vehicle, f"{local:%Y-%m-%d}", start_us)
