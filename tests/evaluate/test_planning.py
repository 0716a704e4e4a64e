from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import Footprints, PlanningScore
from bevdeploy.evaluate.footprints import meets
from bevdeploy.tasks import TaskSpec

TASKS = TaskSpec()
CAR, PEDESTRIAN, BARRIER = (TASKS.classes.index(name) for name in ("car", "pedestrian", "barrier"))
STRAIGHT = np.array([[5.0 * (step + 1), 0.0] for step in range(6)], np.float32)  # 10 m/s
ALL = np.ones(6, bool)


def standing(*boxes: tuple[float, float], label: int = CAR) -> Footprints:
    """Boxes of 2 x 4 m that do not move."""
    rows = np.array([[x, y, 2.0, 4.0, 0.0] for x, y in boxes]).reshape(-1, 5)
    n = len(rows)
    return Footprints(np.tile(rows, (6, 1, 1)), np.ones((6, n), bool), np.full(n, label, np.int32))


def values(score: PlanningScore) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in score.metrics()}


def test_the_two_protocols_by_hand() -> None:
    """1 m further aside with each step: 2, 4, 6 m at 1, 2, 3 s; 1.5, 2.5, 3.5 m on the way there."""
    plan = STRAIGHT + np.array([[0.0, step + 1] for step in range(6)], np.float32)
    score = PlanningScore(TASKS)
    score.add(plan, STRAIGHT, ALL, standing())
    found = values(score)
    assert [found[f"L2 at {h} s"] for h in (1, 2, 3)] == [2.0, 4.0, 6.0]
    assert [found[f"L2 avg {h} s"] for h in (1, 2, 3)] == [1.5, 2.5, 3.5]
    assert found["L2 at mean of 1, 2, 3 s"] == 4.0
    assert found["L2 avg mean of 1, 2, 3 s"] == 2.5
    assert found["collision avg 3 s"] == found["collision at 3 s"] == 0.0


def test_a_collision_at_one_step() -> None:
    """A car stands where the plan is at 2 s and at no other step; the true plan is elsewhere."""
    aside = STRAIGHT + np.array([0.0, 10.0], np.float32)
    score = PlanningScore(TASKS)
    score.add(STRAIGHT, aside, ALL, standing((21.0, 0.0)))
    found = values(score)
    assert [found[f"collision at {h} s"] for h in (1, 2, 3)] == [0.0, 1.0, 0.0]
    assert [found[f"collision avg {h} s"] for h in (1, 2, 3)] == pytest.approx([0.0, 1 / 4, 1 / 6])
    assert found["collision at mean of 1, 2, 3 s"] == pytest.approx(1 / 3)


def test_pedestrians_count_in_one_protocol_and_barriers_in_none() -> None:
    aside = STRAIGHT + np.array([0.0, 10.0], np.float32)
    score = PlanningScore(TASKS)
    score.add(STRAIGHT, aside, ALL, standing((21.0, 0.0), label=PEDESTRIAN))
    assert (values(score)["collision at 2 s"], values(score)["collision avg 2 s"]) == (0.0, 0.25)
    score = PlanningScore(TASKS)
    score.add(STRAIGHT, aside, ALL, standing((21.0, 0.0), label=BARRIER))
    assert (values(score)["collision at 2 s"], values(score)["collision avg 2 s"]) == (0.0, 0.0)


def test_where_the_true_plan_collides_too_the_step_is_left_out() -> None:
    score = PlanningScore(TASKS)
    score.add(STRAIGHT, STRAIGHT, ALL, standing((21.0, 0.0)))
    rows = {metric.name: metric for metric in score.metrics()}
    assert rows["collision at 2 s"].value is None
    assert rows["collision at 2 s"].reason == "no step without a box on the true plan"
    assert rows["collision at mean of 1, 2, 3 s"].value is None
    assert rows["collision avg 3 s"].value == 0.0 and rows["collision avg 3 s"].count == 5
    assert score.left_out["at"].tolist() == [0, 0, 0, 1, 0, 0]
    assert score.left_out["avg"].tolist() == [0, 0, 0, 1, 1, 1]
    assert rows["L2 at 2 s"].value == 0.0


def test_plans_that_end_early() -> None:
    """Known up to 1 s: counts there, not beyond."""
    valid = np.array([True, True, False, False, False, False])
    score = PlanningScore(TASKS)
    score.add(STRAIGHT + 1, STRAIGHT, valid, standing())
    rows = {metric.name: metric for metric in score.metrics()}
    assert rows["L2 at 1 s"].value == rows["L2 avg 1 s"].value == pytest.approx(2**0.5)
    assert rows["L2 at 2 s"].value is None and rows["L2 avg 3 s"].reason == "no frame has a true plan so far"
    assert rows["L2 avg mean of 1, 2, 3 s"].value is None


def test_a_hole_in_the_true_plan_keeps_a_frame_out_of_the_mean() -> None:
    valid = np.array([True, False, True, True, True, True])
    score = PlanningScore(TASKS)
    score.add(STRAIGHT, STRAIGHT, valid, standing())
    rows = {metric.name: metric for metric in score.metrics()}
    assert rows["L2 at 1 s"].value is None and rows["L2 at 2 s"].value == 0.0
    assert rows["L2 avg 2 s"].value is None


def test_a_short_plan_has_no_later_horizon() -> None:
    score = PlanningScore(replace(TASKS, plan_steps=3))
    footprints = Footprints(np.zeros((3, 0, 5)), np.zeros((3, 0), bool), np.zeros(0, np.int32))
    score.add(STRAIGHT[:3], STRAIGHT[:3], ALL[:3], footprints)
    rows = {metric.name: metric for metric in score.metrics()}
    assert rows["L2 at 1 s"].value == 0.0
    assert rows["L2 at 2 s"].reason == "the plan ends at 1.5 s"


def test_frames_are_averaged() -> None:
    score = PlanningScore(TASKS)
    score.add(STRAIGHT + np.array([0, 2], np.float32), STRAIGHT, ALL, standing())
    score.add(STRAIGHT, STRAIGHT, ALL, standing())
    assert values(score)["L2 at 3 s"] == values(score)["L2 avg 3 s"] == 1.0


def test_every_column_names_its_protocol() -> None:
    for metric in PlanningScore(TASKS).metrics():
        assert metric.value is None and metric.reason
        assert ("UniAD" in metric.protocol) == (" at " in metric.name)
        assert ("VAD" in metric.protocol) == (" avg " in metric.name)


def slow_numbers(frames: list[tuple[np.ndarray, np.ndarray, np.ndarray, Footprints]]) -> dict[str, float | None]:
    """One frame, one step at a time, straight from the definitions."""
    people = {"at": (CAR,), "avg": (CAR, PEDESTRIAN)}
    found: dict[str, float | None] = {}
    for name, classes in people.items():
        for seconds, last in ((1, 1), (2, 3), (3, 5)):
            errors, hits = [], []
            for plan, true, valid, prints in frames:
                steps = [last] if name == "at" else list(range(last + 1))
                if not all(valid[step] for step in steps):
                    continue
                gaps = [float(np.hypot(*(plan[step].astype(float) - true[step]))) for step in steps]
                errors.append(sum(gaps) / len(gaps))
                for step in steps:
                    boxes = np.array(
                        [
                            prints.rectangles[step, i]
                            for i in range(len(prints.labels))
                            if prints.valid[step, i] and prints.labels[i] in classes
                        ]
                    ).reshape(-1, 5)
                    if not meets(true[step].astype(float), boxes):
                        hits.append(meets(plan[step].astype(float), boxes))
            found[f"L2 {name} {seconds} s"] = sum(errors) / len(errors) if errors else None
            found[f"collision {name} {seconds} s"] = sum(hits) / len(hits) if hits else None
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_equal_to_the_slow_twin(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        plan, true = rng.uniform(-5, 5, (2, 6, 2)).astype(np.float32)
        boxes = np.concatenate([rng.uniform(-6, 6, (6, 3, 2)), rng.uniform(1, 5, (6, 3, 3))], 2)
        labels = rng.choice([CAR, PEDESTRIAN, BARRIER], 3).astype(np.int32)
        frames.append((plan, true, rng.random(6) < 0.8, Footprints(boxes, rng.random((6, 3)) < 0.7, labels)))
    score = PlanningScore(TASKS)
    for frame in frames:
        score.add(*frame)
    found = values(score)
    for name, value in slow_numbers(frames).items():
        assert found[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name


def test_wrong_steps_and_overflow_are_refused() -> None:
    score = PlanningScore(TASKS)
    with pytest.raises(DataSetError, match="expected 6 steps"):
        score.add(STRAIGHT[:5], STRAIGHT, ALL, standing())
    with pytest.raises(DataSetError, match="not finite"):
        score.add(STRAIGHT * np.nan, STRAIGHT, ALL, standing())
