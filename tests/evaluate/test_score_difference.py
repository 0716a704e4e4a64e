from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import Metric, Scores, difference
from bevdeploy.evaluate.scoreboard import scores_of

IOU = Metric("map", "mean IoU", 0.40, "share", "up", "p", 9, headline=True)
PART = Metric("map", "IoU x", 0.40, "share", "up", "p", 9)
L2 = Metric("planning", "L2 at 1 s", 1.00, "m", "down", "UniAD", 3, headline=True)


def scores(*metrics: Metric, tokens: tuple[str, ...] = ("a", "b")) -> Scores:
    return scores_of(metrics, tokens)


def verdicts(a: Scores, b: Scores, floor: float) -> dict[str, str]:
    return {change.key: change.verdict for change in difference(a, b, floor).changes}


def test_points_are_hundredths_and_positive_is_better() -> None:
    found = difference(scores(IOU, L2), scores(replace(IOU, value=0.38), replace(L2, value=0.95)), 1.0)
    iou, l2 = found.changes
    assert (iou.points, iou.verdict) == (pytest.approx(-2.0), "worse")
    assert (l2.points, l2.verdict) == (pytest.approx(5.0), "better")
    assert not found.passed
    assert found.verdict.endswith("fell by more than 1 points: map/mean IoU -2.00 points")


def test_changes_up_to_the_floor_are_equal() -> None:
    a, b = scores(IOU), scores(replace(IOU, value=0.375))
    assert verdicts(a, b, 2.6) == {"map/mean IoU": "equal"}
    assert verdicts(a, b, 2.4) == {"map/mean IoU": "worse"}
    same = difference(a, a)
    assert same.passed and same.beyond == () and same.changes[0].points == 0.0
    assert same.verdict == "1 of 1 headline metrics compared over 2 frames: none fell by more than 0 points"


def test_a_part_that_fell_is_shown_and_fails_nothing() -> None:
    found = difference(scores(IOU, PART), scores(IOU, replace(PART, value=0.1)), 1.0)
    assert [change.key for change in found.beyond] == ["map/IoU x"]
    assert found.passed


def test_a_value_that_is_gone_fails() -> None:
    gone = replace(IOU, value=None, reason="never occurs")
    for b in (scores(gone, L2), scores(L2)):
        found = difference(scores(IOU, L2), b, 1.0)
        assert not found.passed
        assert "map/mean IoU lost" in found.verdict
    assert verdicts(scores(gone), scores(IOU), 1.0) == {"map/mean IoU": "new"}
    assert verdicts(scores(gone), scores(gone), 1.0) == {"map/mean IoU": "n/a"}


def test_protocols_are_never_mixed() -> None:
    found = difference(scores(IOU), scores(replace(IOU, value=0.1, protocol="another grid")), 1.0)
    (change,) = found.changes
    assert change.verdict == "not comparable" and "another grid" in (change.note or "")
    assert found.verdict.startswith("0 of 1 headline metrics compared")


def test_other_frames_and_senseless_floors_are_refused() -> None:
    with pytest.raises(DataSetError, match="other frames"):
        difference(scores(IOU), scores(IOU, tokens=("a", "c")))
    for floor in (-1.0, math.nan, math.inf):
        with pytest.raises(DataSetError, match="floor"):
            difference(scores(IOU), scores(IOU), floor)


def test_the_document_is_json() -> None:
    found = difference(scores(IOU, L2), scores(IOU), 0.5)
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    assert document["passed"] is False
    assert [change["verdict"] for change in document["changes"]] == ["equal", "lost"]
