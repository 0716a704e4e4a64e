"""Which part of a world a process makes next, so that two seldom simulate the same scene or the same town."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bevdeploy.data.world.recording import Part

Job = str | Part
"""The town of a location, or keyframes of a scene."""

_START_PARTS: Final = 3
"""Beginning a scene, which is its simulation and its sky, takes about as long as recording so many parts."""


def next_job(waiting: Sequence[Job], running: Sequence[Job], last: Job | None) -> Job | None:
    """What a process that did `last` does next; None while it can but wait for what runs elsewhere.

    All towns come first. Then each process goes on with its own scene, takes one that nobody has begun, near the last
    one if there is any, or helps with the scene of which the most is left. A part comes after its town.
    """
    for job in waiting:
        if isinstance(job, str):
            return job
    painted = set(running)
    ready = [part for part in waiting if isinstance(part, Part) and part.location not in painted]
    if isinstance(last, Part) and (own := [part for part in ready if part.scene == last.scene]):
        return own[0]
    begun = {part.scene for part in running if isinstance(part, Part)}
    location = last.location if isinstance(last, Part) else last
    if fresh := [part for part in ready if part.scene not in begun]:
        return next((part for part in fresh if part.location == location), fresh[0])
    left: dict[str, list[Part]] = {}
    for part in ready:
        left.setdefault(part.scene, []).append(part)
    most = max(left.values(), key=len, default=[])
    return most[-1] if len(most) > _START_PARTS else None
