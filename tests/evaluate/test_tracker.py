from __future__ import annotations

import copy
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bevdeploy.evaluate import tracks_of_scene
from bevdeploy.evaluate.tracker import MAX_MISSED, REACH_M

STEP_US = 500_000
FRAMES = [(f"s{index}", 1_533_151_603_547_590 + index * STEP_US) for index in range(8)]


def row(token: str, x: float, vx: float = 0.0, score: float = 0.5, name: str = "car", y: float = 0.0) -> dict[str, Any]:
    return {
        "sample_token": token,
        "translation": [x, y, 1.0],
        "size": [1.9, 4.6, 1.7],
        "rotation": [1, 0, 0, 0],
        "velocity": [vx, 0.0],
        "detection_name": name,
        "detection_score": score,
        "attribute_name": "",
    }


def ids(tracked: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    return [[box["tracking_id"] for box in tracked[token]] for token in tracked]


def test_a_fast_car_is_followed_by_its_velocity() -> None:
    """20 m/s is 10 m a frame, beyond the reach of 4 m unless the velocity is used."""
    moving = {token: [row(token, 10.0 * i, 20.0)] for i, (token, _) in enumerate(FRAMES)}
    assert ids(tracks_of_scene("a", FRAMES, moving)) == [["a.0"]] * 8
    blind = {token: [row(token, 10.0 * i, 0.0)] for i, (token, _) in enumerate(FRAMES)}
    assert ids(tracks_of_scene("a", FRAMES, blind)) == [[f"a.{i}"] for i in range(8)]


def test_the_surest_box_chooses_first() -> None:
    """Two boxes near one track: the one with the higher score takes it although the other is nearer."""
    results = {"s0": [row("s0", 0.0)], "s1": [row("s1", 0.5, score=0.3), row("s1", 2.0, score=0.9)]}
    tracked = tracks_of_scene("a", FRAMES[:2], results)
    assert {box["translation"][0]: box["tracking_id"] for box in tracked["s1"]} == {2.0: "a.0", 0.5: "a.1"}


def test_one_track_takes_one_box_and_classes_do_not_mix() -> None:
    results = {"s0": [row("s0", 0.0)], "s1": [row("s1", 0.1, name="truck"), row("s1", 0.2), row("s1", 0.3)]}
    tracked = tracks_of_scene("a", FRAMES[:2], results)
    named = [(box["tracking_name"], box["tracking_id"]) for box in tracked["s1"]]
    assert named == [("truck", "a.1"), ("car", "a.0"), ("car", "a.2")]


def test_a_track_survives_three_missed_frames_and_coasts() -> None:
    """It drives on at 10 m/s while it is not seen; the box that comes back stands where it should be by then."""
    for missed in (1, MAX_MISSED, MAX_MISSED + 1):
        results: dict[str, list[dict[str, Any]]] = {token: [] for token, _ in FRAMES}
        results["s0"] = [row("s0", 0.0, 10.0)]
        back = missed + 1
        results[f"s{back}"] = [row(f"s{back}", 5.0 * back, 10.0)]
        tracked = tracks_of_scene("a", FRAMES, results)
        assert tracked[f"s{back}"][0]["tracking_id"] == ("a.0" if missed <= MAX_MISSED else "a.1")
        assert all(not tracked[f"s{i}"] for i in range(1, back))


def test_frames_may_be_unevenly_spaced() -> None:
    frames = [("s0", 0), ("s1", 2_000_000)]
    results = {"s0": [row("s0", 0.0, 10.0)], "s1": [row("s1", 20.0, 10.0)]}
    assert ids(tracks_of_scene("a", frames, results)) == [["a.0"], ["a.0"]]


def test_cones_have_no_tracks_and_rows_are_the_devkits() -> None:
    tracked = tracks_of_scene("a", FRAMES[:1], {"s0": [row("s0", 0.0, name="traffic_cone"), row("s0", 1.0)]})
    (box,) = tracked["s0"]
    assert set(box) == {
        *("sample_token", "translation", "size", "rotation", "velocity"),
        *("tracking_id", "tracking_name", "tracking_score"),
    }
    assert tracks_of_scene("a", [], {}) == {}


@given(st.integers(0, 2**32 - 1))
def test_whatever_comes_every_box_is_in_one_track_and_no_track_twice_in_a_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [*REACH_M, "barrier"]
    results = {
        token: [
            row(token, *rng.uniform(-5, 5, 2), float(rng.random()), str(rng.choice(names)), float(rng.uniform(-3, 3)))
            for _ in range(rng.integers(0, 8))
        ]
        for token, _ in FRAMES
    }
    before = copy.deepcopy(results)
    tracked = tracks_of_scene("a", FRAMES, results)
    assert results == before
    for token, _ in FRAMES:
        followed = [box for box in results[token] if box["detection_name"] in REACH_M]
        assert len(tracked[token]) == len(followed)
        assert len({box["tracking_id"] for box in tracked[token]}) == len(followed)
    classes: dict[str, set[str]] = {}
    for boxes in tracked.values():
        for box in boxes:
            classes.setdefault(box["tracking_id"], set()).add(box["tracking_name"])
    assert all(len(found) == 1 for found in classes.values())
