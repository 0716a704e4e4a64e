"""Occupancy: IoU of vehicle cells near (30 x 30 m) and far (100 x 100 m), as FIERY and UniAD report it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate.metric import Metric, ratio
from bevdeploy.tasks import TaskSpec

THRESHOLD = 0.1
"""Probabilities above it are occupied: UniAD's `test_seg_thresh`. FIERY takes the larger of two classes, 0.5."""

RANGES_M = {"near": 30.0, "far": 100.0}
"""Side of the square around the ego frame's origin: FIERY's evaluation ranges, cells 70..130 and 0..200 of 0.5 m."""


class OccupancyScore:
    """Intersections and unions over frames, one pair per range and step.

    The headline pools all steps, as both sources do; UniAD leaves out a whole frame whose scene ends within the
    steps, here only the steps that are not valid are left out.
    """

    def __init__(self, tasks: TaskSpec, threshold: float = THRESHOLD) -> None:
        self.tasks = tasks
        self.threshold = threshold
        self.intersections = np.zeros((len(RANGES_M), len(tasks.occupancy_steps_s)), np.int64)
        self.unions = np.zeros_like(self.intersections)
        self.true_cells = np.zeros_like(self.intersections)

    def add(
        self, probabilities: NDArray[np.float32], occupancy: NDArray[np.bool_], valid: NDArray[np.bool_] | None = None
    ) -> None:
        """One frame.

        Args:
            probabilities: [T, side, side].
            occupancy: [T, side, side] true vehicle cells.
            valid: [T] steps that are annotated; None for all.

        Raises:
            DataSetError: a shape is not that of the tasks, or a probability is NaN.
        """
        steps, side = len(self.tasks.occupancy_steps_s), self.tasks.occupancy_side
        annotated = np.ones(steps, np.bool_) if valid is None else np.asarray(valid, np.bool_)
        shapes = np.shape(probabilities), np.shape(occupancy), annotated.shape
        if shapes != ((steps, side, side), (steps, side, side), (steps,)):
            raise DataSetError(
                f"occupancy: expected {steps} steps of {side} x {side} cells, got probabilities {shapes[0]}, "
                f"true cells {shapes[1]}, valid steps {shapes[2]}"
            )
        if np.isnan(probabilities).any():
            raise DataSetError("occupancy: a probability is NaN; the network that made it overflows")
        predicted = (probabilities > np.float32(self.threshold)) & annotated[:, None, None]  # [T, side, side]
        true = np.asarray(occupancy, np.bool_) & annotated[:, None, None]  # [T, side, side]
        for row, side_m in enumerate(RANGES_M.values()):
            inside = self._inside(side_m)
            if inside is None:
                continue
            seen, real = predicted[:, inside, inside], true[:, inside, inside]
            self.intersections[row] += (seen & real).sum((1, 2))
            self.unions[row] += (seen | real).sum((1, 2))
            self.true_cells[row] += real.sum((1, 2))

    def _inside(self, side_m: float) -> slice | None:
        """Cells whose centres lie within the range; None where the grid does not reach so far."""
        margin = self.tasks.occupancy_half_extent_m - side_m / 2
        if margin < -1e-9:
            return None
        cells = round(margin / self.tasks.occupancy_cell_m)
        return slice(cells, self.tasks.occupancy_side - cells)

    def metrics(self) -> tuple[Metric, ...]:
        """IoU near and far over all steps, then per step."""
        protocol = (
            f"vehicle cells of {self.tasks.occupancy_cell_m:g} m, probability above {self.threshold:g}"
            f", steps {', '.join(f'{step:g}' for step in self.tasks.occupancy_steps_s)} s"
        )
        pooled, single = [], []
        for row, (name, side_m) in enumerate(RANGES_M.items()):
            what = f"{protocol}, {side_m:g} x {side_m:g} m"
            reason = None
            if self._inside(side_m) is None:
                reason = f"the grid reaches {self.tasks.occupancy_half_extent_m:g} m, the range {side_m / 2:g} m"
            pooled.append(self._metric(f"IoU {name}", row, slice(None), what, reason, True))
            for step, time_s in enumerate(self.tasks.occupancy_steps_s):
                steps = slice(step, step + 1)
                single.append(self._metric(f"IoU {name} at {time_s:g} s", row, steps, what, reason, False))
        return (*pooled, *single)

    def _metric(self, name: str, row: int, steps: slice, protocol: str, reason: str | None, headline: bool) -> Metric:
        cells = int(self.true_cells[row, steps].sum())
        value = ratio(int(self.intersections[row, steps].sum()), int(self.unions[row, steps].sum())) if cells else None
        if value is None and reason is None:
            reason = "no vehicle in the true cells"
        return Metric("occupancy", name, value, "share", "up", protocol, cells, reason, headline)
