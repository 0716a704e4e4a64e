"""Tracks from boxes of single frames: greedy association by velocity, without parameters to learn.

The idea is CenterPoint's (Yin et al. 2021, section 4.2): each box is moved back by its own velocity to the frame before
and joins the nearest track of its class there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bevdeploy.evaluate.result_file import Row, Rows

REACH_M: Mapping[str, float] = {
    "car": 4.0,
    "truck": 4.0,
    "bus": 5.5,
    "trailer": 3.0,
    "pedestrian": 1.0,
    "motorcycle": 13.0,
    "bicycle": 3.0,
}
"""How far a moved box may be from its track: the limits of CenterPoint's public nuScenes tracker, its seven classes."""

MAX_MISSED = 3
"""A track ends after this many frames without a box; CenterPoint's `max_age`."""


@dataclass
class _Track:
    name: str
    number: int
    position: NDArray[np.float64]
    """[2] global x, y at the last frame, carried on by the velocity where no box came."""
    velocity: NDArray[np.float64]
    missed: int = 0


def tracks_of_scene(scene: str, frames: Sequence[tuple[str, int]], results: Rows) -> dict[str, list[Row]]:
    """Rows of nuScenes' tracking format for each frame of a scene.

    Boxes are taken by falling score, so that the surest chooses first; a box without a track begins one. A track
    shows only in frames that have a box of it. The tracking score is the detection score.

    Args:
        scene: prefix of the tracks' names, unique over scenes.
        frames: sample token and time (us) of every keyframe, in order of time.
        results: detection rows by sample token, of each of the frames.
    """
    tracks: list[_Track] = []
    begun = 0
    before_us = frames[0][1] if frames else 0
    rows: dict[str, list[Row]] = {}
    for token, now_us in frames:
        elapsed_s, before_us = (now_us - before_us) * 1e-6, now_us
        boxes = [row for row in results[token] if row["detection_name"] in REACH_M]
        boxes.sort(key=lambda row: -row["detection_score"])
        rows[token] = []
        old, taken = tracks, set[int]()
        tracks = []
        for row in boxes:
            position = np.array(row["translation"][:2], np.float64)  # [2]
            velocity = np.array(row["velocity"], np.float64)  # [2]
            found = _nearest(old, taken, row["detection_name"], position - velocity * elapsed_s)
            if found is None:
                number, begun = begun, begun + 1
            else:
                taken.add(found)
                number = old[found].number
            tracks.append(_Track(row["detection_name"], number, position, velocity))
            rows[token].append(_tracking_row(row, f"{scene}.{number}"))
        for index, track in enumerate(old):
            if index not in taken and track.missed < MAX_MISSED:
                carried = track.position + track.velocity * elapsed_s
                tracks.append(_Track(track.name, track.number, carried, track.velocity, track.missed + 1))
    return rows


def _nearest(tracks: Sequence[_Track], taken: set[int], name: str, position: NDArray[np.float64]) -> int | None:
    """Index of the nearest free track of a class within its reach; None where there is none."""
    free = [index for index, track in enumerate(tracks) if index not in taken and track.name == name]
    if not free:
        return None
    gaps_m = np.linalg.norm([tracks[index].position - position for index in free], axis=1)  # [free]
    nearest = int(gaps_m.argmin())
    return free[nearest] if gaps_m[nearest] <= REACH_M[name] else None


def _tracking_row(row: Mapping[str, object], track: str) -> Row:
    kept = ("sample_token", "translation", "size", "rotation", "velocity")
    return {
        **{key: row[key] for key in kept},
        "tracking_id": track,
        "tracking_name": row["detection_name"],
        "tracking_score": row["detection_score"],
    }
