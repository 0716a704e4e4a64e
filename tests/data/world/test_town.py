"""The four towns: streets, lanes and layers fit together."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest

from bevdeploy.data.world.apart import ground_rectangles
from bevdeploy.data.world.lane_paths import fine_lanes
from bevdeploy.data.world.overlaps import overlap
from bevdeploy.data.world.polylines import inside, length_of, resampled
from bevdeploy.data.world.scene import Town
from bevdeploy.data.world.town import TOWN_PLANS, town_of

LOCATIONS = tuple(TOWN_PLANS)
SEEDS = (1, 7)
EVERY_TOWN = pytest.mark.parametrize(("location", "seed"), [(place, seed) for place in LOCATIONS for seed in SEEDS])


@cache
def town(location: str, seed: int) -> Town:
    return town_of(location, seed)


def flat(value: object) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        return [array for key in sorted(value) for array in flat(value[key])]
    return [array for one in value for array in flat(one)]  # type: ignore[attr-defined]


def on_road(town: Town, points: np.ndarray) -> np.ndarray:
    found = np.zeros(len(points), bool)
    for ring in town.polygons["drivable_area"]:
        near = ((points >= ring.min(axis=0)) & (points <= ring.max(axis=0))).all(axis=1) & ~found
        found[near] = inside(ring, points[near])
    return found


def pairs_overlap(boxes: np.ndarray, others: np.ndarray) -> bool:
    """Whether any box touches any of the others; only near ones are looked at closely."""
    reach = np.hypot(*boxes[:, 3:].T)[:, None] + np.hypot(*others[:, 3:].T)
    rows, columns = np.nonzero(np.hypot(*(boxes[:, None, :2] - others[None, :, :2]).transpose(2, 0, 1)) < reach)
    return bool(overlap(boxes[rows], others[columns]).any())


@pytest.mark.parametrize("location", LOCATIONS)
def test_the_same_seed_gives_the_same_town(location: str) -> None:
    one, again, other = town(location, 1), town_of(location, 1), town(location, 7)
    for a, b in zip(flat(one.polygons), flat(again.polygons), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.scenery == again.scenery and one.crossings == again.crossings
    np.testing.assert_array_equal(one.parking, again.parking)
    assert one.scenery != other.scenery


def test_the_towns_differ() -> None:
    assert len({town(location, 1).size_m for location in LOCATIONS}) == len(LOCATIONS)


def test_an_unknown_location_is_named() -> None:
    with pytest.raises(ValueError, match="atlantis"):
        town_of("atlantis", 0)


@EVERY_TOWN
def test_everything_lies_within_the_extent(location: str, seed: int) -> None:
    made = town(location, seed)
    assert all(240 < side < 490 for side in made.size_m)
    for layer in (*made.polygons.values(), *made.lines.values()):
        for points in layer:
            assert points.min() > 0 and (points < made.size_m).all()


@EVERY_TOWN
def test_lanes_connect_and_lead_on(location: str, seed: int) -> None:
    made = town(location, seed)
    for lane in made.lanes:
        assert lane.successors
        for successor in lane.successors:
            after = made.lanes[successor].centreline_m
            assert np.hypot(*(after[0] - lane.centreline_m[-1])) < 0.1
            out, into = lane.centreline_m[-1] - lane.centreline_m[-2], after[1] - after[0]
            assert abs(np.arctan2(out[0] * into[1] - out[1] * into[0], out @ into)) < 0.25


@EVERY_TOWN
def test_every_lane_is_reached_from_every_other(location: str, seed: int) -> None:
    made = town(location, seed)
    reached, frontier = {0}, [0]
    while frontier:
        fresh = {after for lane in frontier for after in made.lanes[lane].successors} - reached
        reached |= fresh
        frontier = list(fresh)
    assert reached == set(range(len(made.lanes)))


@EVERY_TOWN
def test_lanes_lie_on_the_road_with_half_a_car_to_spare(location: str, seed: int) -> None:
    made = town(location, seed)
    beside = []
    for line in fine_lanes(made):
        tangent = np.gradient(line, axis=0)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1) / np.hypot(*tangent.T)[:, None]
        # The outlines of streets and intersections touch each other at a lane's ends.
        beside += [(line + side * normal)[1:-1:2] for side in (-1.0, 1.0)]
    assert on_road(made, np.concatenate(beside)).all()


@EVERY_TOWN
def test_traffic_keeps_right(location: str, seed: int) -> None:
    made = town(location, seed)
    dividers = [resampled(line, 1.0) for line in made.lines["road_divider"]]
    for lane in made.lanes:
        if lane.intersection < 0:
            line = resampled(lane.centreline_m, 1.0)
            middle, ahead = line[len(line) // 2], line[len(line) // 2 + 1] - line[len(line) // 2]
            near = min(dividers, key=lambda divider: float(np.hypot(*(divider - middle).T).min()))
            to_divider = near[np.hypot(*(near - middle).T).argmin()] - middle
            assert ahead[0] * to_divider[1] - ahead[1] * to_divider[0] > 0  # the middle of the road is to the left


@EVERY_TOWN
def test_curves_can_be_driven(location: str, seed: int) -> None:
    for line in fine_lanes(town(location, seed)):
        steps = np.diff(line, axis=0)
        headings = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
        length = np.hypot(*steps.T)
        if len(headings) > 1:
            assert np.abs(np.diff(headings) / length[1:]).max() < 1 / 5.5  # radius over 5.5 m


@EVERY_TOWN
def test_crossings_lie_on_the_road(location: str, seed: int) -> None:
    made = town(location, seed)
    outlines = []
    for ring in made.polygons["ped_crossing"]:
        shrunk = ring.mean(axis=0) + 0.98 * (ring - ring.mean(axis=0))
        outlines.append(resampled(np.concatenate([shrunk, shrunk[:1]]), 0.5))
    assert on_road(made, np.concatenate(outlines)).all()
    kerbs = []
    for crossing in made.crossings:
        path, ring = made.footpaths[crossing.footpath], made.polygons["ped_crossing"][crossing.polygon]
        assert inside(ring, path.mean(axis=0)[None]).all()
        shares = np.array([[crossing.from_m], [crossing.to_m]]) / length_of(path)
        kerbs.append(path[0] + shares * (path[1] - path[0]))
        segment = made.polygons["road_segment"][made.intersections[crossing.intersection]]
        assert inside(segment, path.mean(axis=0)[None]).all()
    assert not on_road(made, np.concatenate(kerbs)).any()


@EVERY_TOWN
def test_footpaths_meet(location: str, seed: int) -> None:
    made = town(location, seed)
    ends = np.array([[path[0], path[-1]] for path in made.footpaths]).reshape(-1, 2)
    shared = (np.abs(ends[:, None] - ends[None]).max(-1) < 0.05).sum(1)
    assert shared.min() >= 2


@EVERY_TOWN
def test_walkways_and_plots_keep_off_the_road(location: str, seed: int) -> None:
    made = town(location, seed)
    roads = [ring for layer in ("road_segment", "carpark_area") for ring in made.polygons[layer]]
    crossed = {crossing.footpath for crossing in made.crossings}
    walked = []
    for index, path in enumerate(made.footpaths):
        if index not in crossed:
            walked.append(resampled(path, 1.0))
    assert not any(inside(ring, np.concatenate(walked)).any() for ring in roads)
    lines = [line[::2] for line in fine_lanes(made)]
    headings = [np.arctan2(*np.gradient(line, axis=0).T[::-1]) for line in lines]
    cars = np.column_stack([np.concatenate(lines), np.concatenate(headings)])
    cars = np.column_stack([cars, np.tile([2.5, 1.5], (len(cars), 1))])
    assert not pairs_overlap(cars, ground_rectangles(made.scenery))


@EVERY_TOWN
def test_houses_do_not_overlap(location: str, seed: int) -> None:
    houses = [solid for solid in town(location, seed).scenery if solid.paint == "facade"]
    boxes = np.array([[*one.centre_m[:2], one.yaw_rad, *one.half_m[:2]] for one in houses])
    hits = overlap(boxes[:, None], boxes[None])
    np.fill_diagonal(hits, False)
    assert len(houses) > 100 and not hits.any()


@EVERY_TOWN
def test_parking_places_are_drivable(location: str, seed: int) -> None:
    made = town(location, seed)
    assert len(made.parking) > 100 and len(made.long_parking) >= 2 and len(made.sites) >= 3
    assert on_road(made, np.concatenate([made.parking, made.long_parking])[:, :2]).all()


def test_a_town_is_made_quickly() -> None:
    begun = time.process_time()
    town_of("singapore-queenstown", 11)
    assert time.process_time() - begun < 2.0
