"""Tasks that a student does not have: their headlines without values, under the names that others have them by."""

from __future__ import annotations

from dataclasses import replace

from bevdeploy.evaluate.map import MapScore
from bevdeploy.evaluate.metric import Metric
from bevdeploy.evaluate.motion import MotionScore
from bevdeploy.evaluate.occupancy import OccupancyScore
from bevdeploy.evaluate.planning import PlanningScore
from bevdeploy.tasks import TaskSpec


def absent_metrics(tasks: TaskSpec) -> tuple[Metric, ...]:
    """Headlines of every task that is not in `tasks.heads`, each with the reason; named as at nuScenes' sizes."""
    full = TaskSpec()
    dense = {
        "map": MapScore(full.map_classes).metrics(),
        "occupancy": OccupancyScore(full).metrics(),
        "motion": MotionScore(full).metrics(),
        "planning": PlanningScore(full).metrics(),
    }
    rows = []
    for head, metrics in dense.items():
        if head not in tasks.heads:
            why = f"the student has no {head}"
            rows += [replace(row, protocol="", count=0, reason=why) for row in metrics if row.headline]
    if "detection" not in tasks.heads:
        rows += boxes_left_out("the student has no detection")
    return tuple(rows)


def boxes_left_out(reason: str) -> tuple[Metric, ...]:
    """Headlines of detection and tracking without values."""
    named = [Metric("detection", name, None, "share", "up", "", 0, reason, True) for name in ("mAP", "NDS")]
    return (*named, tracking_left_out(reason))


def tracking_left_out(reason: str) -> Metric:
    """The headline of tracking without a value."""
    return Metric("tracking", "AMOTA", None, "share", "up", "", 0, reason, True)
