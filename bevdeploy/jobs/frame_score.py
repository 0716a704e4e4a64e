"""How well one frame went, in one number: which frames a report shows. No metric of any benchmark."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.runtime import BevResult
from bevdeploy.tasks import TaskSpec

MATCH_M = 2.0
"""Centres this near are the same object; the middle one of nuScenes' four distances is 1 m or 2 m."""
MEANING = (
    "Frame score: average precision of this one frame's boxes, all classes together (same class, centres within 2 m, "
    "inside the grid), and the mean IoU of its map classes at 0.5, averaged."
)
MEANING_WITHOUT_MAP = MEANING.split(", and the mean IoU")[0] + "."
MEANING_WITHOUT_BOXES = "Frame score: mean IoU of this one frame's map classes at 0.5."


def frame_score(result: BevResult, truth: BevResult, grid: BEVGrid, with_map: bool) -> float | None:
    """0 to 1 as `MEANING` says; None for a frame without a true box in the grid.

    Of a student that detects nothing the map alone, None where there is none. `truth` is the truth in the form of a
    result, as `truth_as_result` gives it.
    """
    if "detection" not in result.tasks.heads:
        return map_overlap(result, truth) if with_map else None
    precision = box_precision(inside(result, grid), inside(truth, grid))
    if precision is None or not with_map:
        return precision
    overlap = map_overlap(result, truth)
    return precision if overlap is None else (precision + overlap) / 2


def meaning_of(tasks: TaskSpec, with_map: bool) -> str:
    """What a frame score says of a student with these tasks."""
    if "map" not in tasks.heads or not with_map:
        return MEANING_WITHOUT_MAP
    return MEANING if "detection" in tasks.heads else MEANING_WITHOUT_BOXES


def box_precision(result: BevResult, truth: BevResult) -> float | None:
    """Average precision of a frame: precision at each true positive, summed, over the true boxes."""
    if not len(truth.boxes):
        return None
    taken = np.zeros(len(truth.boxes), bool)
    hits, total = 0, 0.0
    for rank, n in enumerate(np.argsort(-result.scores, kind="stable")):
        apart_m = np.hypot(*(truth.boxes[:, :2] - result.boxes[n, :2]).T)  # [true]
        apart_m[taken | (truth.labels != result.labels[n])] = np.inf
        nearest = int(apart_m.argmin())
        if apart_m[nearest] < MATCH_M:
            taken[nearest] = True
            hits += 1
            total += hits / (rank + 1)
    return total / len(truth.boxes)


def map_overlap(result: BevResult, truth: BevResult) -> float | None:
    """Mean IoU at 0.5 over the classes that the truth or the result has somewhere; None where none has."""
    ours, true = result.map_probabilities > 0.5, truth.map_probabilities > 0.5  # [classes, Y, X]
    common, either = (ours & true).sum((1, 2)), (ours | true).sum((1, 2))  # [classes]
    present = either > 0
    return float((common[present] / either[present]).mean()) if present.any() else None


def inside(result: BevResult, grid: BEVGrid) -> BevResult:
    """The same frame with the boxes whose centres lie in the grid."""
    low, high = np.array(grid.lower_m[:2]), np.array(grid.upper_m[:2])
    keep = ((result.boxes[:, :2] >= low) & (result.boxes[:, :2] < high)).all(1)  # [n]
    return replace(
        result,
        boxes=result.boxes[keep],
        scores=result.scores[keep],
        labels=result.labels[keep],
        trajectories_m=result.trajectories_m[keep],
        trajectory_probabilities=result.trajectory_probabilities[keep],
    )
