"""BevResult: what one frame of a car yields, in metres, seconds and probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.tasks import BOX_FIELDS, TaskSpec

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class BevResult:
    """Up to five tasks of one frame; ego frame of the key time, x forward, y left.

    A task that the student does not have leaves its array empty: no boxes, modes, classes, steps or commands.
    """

    boxes: Float32
    """[n, 9], columns of `tasks.BOX_FIELDS`, highest score first."""
    scores: Float32
    """[n], 0..1."""
    labels: NDArray[np.int32]
    """[n], index into `tasks.classes`."""
    trajectories_m: Float32
    """[n, modes, steps, 2], positions x, y at 0.5 s, 1.0 s, ..."""
    trajectory_probabilities: Float32
    """[n, modes], each row adds up to 1."""
    map_probabilities: Float32
    """[classes, Y, X] on the map's grid (`geometry.map_grid`)."""
    occupancy_probabilities: Float32
    """[steps, rows along y, columns along x] over +-50 m."""
    plans_m: Float32
    """[commands, steps, 2], ego positions x, y."""
    tasks: TaskSpec

    def above(self, score: float) -> BevResult:
        """The same frame with the boxes of at least this score."""
        keep = self.scores >= score
        return BevResult(
            self.boxes[keep],
            self.scores[keep],
            self.labels[keep],
            self.trajectories_m[keep],
            self.trajectory_probabilities[keep],
            self.map_probabilities,
            self.occupancy_probabilities,
            self.plans_m,
            self.tasks,
        )

    def document(self) -> dict[str, Any]:
        """One JSON line: boxes with their likeliest trajectory, plans; dense maps as the share of cells above 0.5."""
        return {
            "boxes": [
                {
                    "class": self.tasks.classes[label],
                    "score": round(float(score), 4),
                    **{name: round(float(value), 4) for name, value in zip(BOX_FIELDS, box, strict=True)},
                    **_likeliest(modes, probabilities),
                }
                for box, score, label, modes, probabilities in zip(
                    self.boxes,
                    self.scores,
                    self.labels,
                    self.trajectories_m,
                    self.trajectory_probabilities,
                    strict=True,
                )
            ],
            "plans_m": {
                command: np.round(plan.astype(np.float64), 3).tolist()
                for command, plan in zip(self.tasks.plan_commands, self.plans_m, strict=True)
            },
            "map_share": {
                name: round(float((mask > 0.5).mean()), 4)
                for name, mask in zip(self.tasks.map_classes, self.map_probabilities, strict=True)
            },
            "occupancy_share": [round(float((step > 0.5).mean()), 4) for step in self.occupancy_probabilities],
        }


def _likeliest(modes: Float32, probabilities: Float32) -> dict[str, Any]:
    """The best of trajectories [modes, steps, 2]; nothing of a student without motion."""
    if not len(modes):
        return {}
    best = int(probabilities.argmax())
    return {
        "trajectory_m": np.round(modes[best].astype(np.float64), 3).tolist(),
        "trajectory_probability": round(float(probabilities[best]), 4),
    }
