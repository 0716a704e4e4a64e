"""Motion: minADE, minFDE and miss rate of agents that were detected, and how many were.

Displacements and the miss as in nuScenes' prediction challenge (MinADE_k, MinFDE_k, MissRateTopK_2); matching of agents
to true boxes as UniAD's `evaluate_motion`. Numbers depend on both, so the recall stands beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate.metric import Metric, ratio
from bevdeploy.tasks import TaskSpec

MATCH_M = 1.0
"""Centres closer than it may match: UniAD's `evaluate_motion`."""
MISS_M = 2.0
"""A mode misses when it is this far off at any step: MissRateTopK_2 of the devkit."""

RANGE_M: Mapping[str, float] = {
    **dict.fromkeys(("car", "truck", "bus", "trailer", "construction_vehicle"), 50.0),
    **dict.fromkeys(("pedestrian", "motorcycle", "bicycle"), 40.0),
}
"""Distance from the ego frame's origin within which a class is scored: `class_range` of detection_cvpr_2019."""

VEHICLES = ("car", "truck", "construction_vehicle", "bus", "trailer", "motorcycle", "bicycle")
"""UniAD's motion class "car": within the group a truck may match a car."""


@dataclass
class _Sums:
    """Of one group of classes."""

    agents: int = 0
    matched: int = 0
    scored: int = 0
    """Matched agents with at least one valid step."""
    errors: NDArray[np.float64] = field(default_factory=lambda: np.zeros(5))
    """minADE and minFDE over all modes, misses, ADE and FDE of the likeliest mode."""


class MotionScore:
    """Sums over frames, for all vehicles and for each class that moves.

    A true box is an agent if it lies within its class's range and has a point inside. Predictions, highest score
    first, take the nearest free agent of their group closer than the match distance. Of a matched agent, only valid
    steps count, and FDE is the error at the last of them (UniAD's masks; the devkit knows whole futures only). Means
    are over agents; UniAD interpolates over recall, which weighs agents that were found early more.
    """

    def __init__(self, tasks: TaskSpec, match_m: float = MATCH_M, miss_m: float = MISS_M) -> None:
        self.tasks = tasks
        self.match_m = match_m
        self.miss_m = miss_m
        moving = tuple(name for name in tasks.classes if name in RANGE_M)
        self.groups = {"vehicle": tuple(name for name in moving if name in VEHICLES), **{n: (n,) for n in moving}}
        self.sums = {name: _Sums() for name in self.groups}
        self.range_m = np.array([RANGE_M.get(name, 0.0) for name in tasks.classes])  # [classes]

    def add(
        self,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        labels: NDArray[np.int32],
        trajectories_m: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        true_boxes: NDArray[np.float32],
        true_labels: NDArray[np.int32],
        futures_m: NDArray[np.float32],
        futures_valid: NDArray[np.bool_],
        points: NDArray[np.int32] | None = None,
    ) -> None:
        """One frame; all positions in its ego frame.

        Args:
            boxes: [n, 9] predicted, columns of `tasks.BOX_FIELDS`.
            scores: [n].
            labels: [n] index into the classes.
            trajectories_m: [n, modes, steps, 2].
            probabilities: [n, modes].
            true_boxes: [t, 9].
            true_labels: [t].
            futures_m: [t, steps, 2].
            futures_valid: [t, steps].
            points: [t] sensor points inside; None counts every box.

        Raises:
            DataSetError: predicted and true futures have another number of steps, or a trajectory is not finite.
        """
        if trajectories_m.shape[2:] != futures_m.shape[1:] or futures_valid.shape != futures_m.shape[:2]:
            raise DataSetError(
                f"motion: trajectories {trajectories_m.shape} and true futures {futures_m.shape} with valid steps "
                f"{futures_valid.shape} have other steps"
            )
        if not np.isfinite(trajectories_m).all():
            raise DataSetError("motion: a trajectory is not finite; the network that made it overflows")
        true_distance = np.linalg.norm(true_boxes[:, :2], axis=1)  # [t]
        agents = true_distance < self.range_m[true_labels]  # [t]
        if points is not None:
            agents &= points > 0
        distance = np.linalg.norm(boxes[:, :2], axis=1)  # [n]
        near = distance < self.range_m[labels]  # [n]
        gaps_m = np.linalg.norm(
            boxes[:, None, :2].astype(np.float64) - true_boxes[None, :, :2].astype(np.float64), axis=-1
        )  # [n, t]
        for name, members in self.groups.items():
            group = np.array([self.tasks.classes.index(member) for member in members], np.int64)
            rows = np.flatnonzero(near & np.isin(labels, group))
            columns = np.flatnonzero(agents & np.isin(true_labels, group))
            sums = self.sums[name]
            sums.agents += len(columns)
            for row, column in greedy_pairs(gaps_m[np.ix_(rows, columns)], scores[rows], self.match_m):
                i, j = rows[row], columns[column]
                sums.matched += 1
                if futures_valid[j].any():
                    sums.scored += 1
                    sums.errors += displacement_errors(
                        trajectories_m[i], probabilities[i], futures_m[j], futures_valid[j], self.miss_m
                    )

    def metrics(self) -> tuple[Metric, ...]:
        """Vehicles first, then each class."""
        modes = self.tasks.motion_modes
        protocol = f"agents matched within {self.match_m:g} m, {self.tasks.motion_steps * self.tasks.step_s:g} s"
        rows = []
        for group, sums in self.sums.items():
            main = group == "vehicle"
            names = (f"minADE_{modes}", f"minFDE_{modes}", f"MR_{modes}", "minADE_1", "minFDE_1")
            why = "no agent was matched" if not sums.matched else "no matched agent has a future"
            if not sums.agents:
                why = "no such agent in the true boxes"
            for column, name in enumerate(names):
                value = ratio(float(sums.errors[column]), sums.scored)
                missing = column == 2
                rows.append(
                    Metric(
                        task="motion",
                        name=f"{name} {group}",
                        value=value,
                        unit="share" if missing else "m",
                        better="down",
                        protocol=f"{protocol}, miss at {self.miss_m:g} m" if missing else protocol,
                        count=sums.scored,
                        reason=why if value is None else None,
                        headline=main and column < 3,
                    )
                )
            recall = ratio(sums.matched, sums.agents)
            why_not = "no such agent in the true boxes" if recall is None else None
            what = f"agents within range, matched within {self.match_m:g} m at any score"
            rows.append(Metric("motion", f"recall {group}", recall, "share", "up", what, sums.agents, why_not, main))
        return tuple(rows)


def greedy_pairs(gaps_m: NDArray[np.float64], scores: NDArray[np.float32], limit_m: float) -> list[tuple[int, int]]:
    """Pairs (row, column): rows by falling score, each takes the nearest free column closer than the limit.

    Args:
        gaps_m: [n, t].
        scores: [n].
        limit_m: gaps below it may pair.
    """
    pairs: list[tuple[int, int]] = []
    if not gaps_m.size:
        return pairs
    free = gaps_m.astype(np.float64, copy=True)
    for row in np.argsort(-scores.astype(np.float64), kind="stable"):
        column = int(free[row].argmin())
        if free[row, column] < limit_m:
            pairs.append((int(row), column))
            free[:, column] = np.inf
    return pairs


def displacement_errors(
    modes_m: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    future_m: NDArray[np.float32],
    valid: NDArray[np.bool_],
    miss_m: float = MISS_M,
) -> NDArray[np.float64]:
    """Errors [5] of one agent: minADE, minFDE (m), miss (0 or 1), ADE and FDE (m) of the likeliest mode.

    Args:
        modes_m: [modes, steps, 2].
        probabilities: [modes].
        future_m: [steps, 2].
        valid: [steps], at least one.
        miss_m: the agent is missed if every mode is this far off at some valid step.
    """
    gaps_m = np.linalg.norm(modes_m[:, valid].astype(np.float64) - future_m[valid].astype(np.float64), axis=-1)
    ade, fde, worst = gaps_m.mean(1), gaps_m[:, -1], gaps_m.max(1)  # [modes] each, of gaps_m [modes, valid steps]
    likeliest = int(probabilities.argmax())
    return np.array([ade.min(), fde.min(), float(worst.min() >= miss_m), ade[likeliest], fde[likeliest]])
