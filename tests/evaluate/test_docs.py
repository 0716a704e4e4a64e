"""docs/metrics.md names what is measured, with the numbers that are in the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from bevdeploy.evaluate import MapScore, MotionScore, OccupancyScore, PlanningScore
from bevdeploy.evaluate.footprints import EGO_CENTRE_M, EGO_LENGTH_M, EGO_WIDTH_M
from bevdeploy.evaluate.map import THRESHOLDS
from bevdeploy.evaluate.motion import MATCH_M, MISS_M
from bevdeploy.evaluate.occupancy import THRESHOLD
from bevdeploy.evaluate.result_file import MAX_BOXES
from bevdeploy.evaluate.result_rows import MOVING_MPS
from bevdeploy.tasks import TaskSpec

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_every_headline_is_explained() -> None:
    tasks = TaskSpec()
    boards = (MapScore(tasks.map_classes), OccupancyScore(tasks), MotionScore(tasks), PlanningScore(tasks))
    headlines = [metric.name for board in boards for metric in board.metrics() if metric.headline]
    for name in (*headlines, "mAP", "NDS", "AMOTA"):
        words = name.replace("_6", "_k").removesuffix(" vehicle").removesuffix(" mean of 1, 2, 3 s")
        assert f"**{words}**" in TEXT, name


@pytest.mark.parametrize(
    "words",
    [
        f"{EGO_LENGTH_M:g} x {EGO_WIDTH_M:g} m",
        f"{EGO_CENTRE_M:g} m ahead",
        f"best of {THRESHOLDS[0]:.2f}, {THRESHOLDS[1]:.2f} ... {THRESHOLDS[-1]:.2f}",
        f"probability above {THRESHOLD:g}",
        f"closer than {MATCH_M:g} m",
        f"{MISS_M:g} m or more off",
        f"more than {MAX_BOXES} boxes",
        f"Above {MOVING_MPS:g} m/s",
    ],
)
def test_numbers_are_those_of_the_code(words: str) -> None:
    assert words in " ".join(TEXT.split())
