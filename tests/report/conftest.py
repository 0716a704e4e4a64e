"""Results with boxes where a test wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bevdeploy.geometry import BEVGrid
from bevdeploy.runtime.result import BevResult
from bevdeploy.tasks import TaskSpec

ResultOf = Callable[..., BevResult]


@pytest.fixture
def grid() -> BEVGrid:
    """100 x 80 cells of half a metre: a wrong axis shows."""
    return BEVGrid((-25.0, -20.0, -5.0), (0.5, 0.5, 8.0), (100, 80, 1))


@pytest.fixture
def result_of(grid: BEVGrid) -> ResultOf:
    """A result with these boxes (rows of `tasks.BOX_FIELDS`), classes and scores; all else is empty or zero."""

    def result(
        boxes: Sequence[Sequence[float]] = (),
        classes: Sequence[str] = (),
        scores: Sequence[float] | None = None,
    ) -> BevResult:
        tasks, n = TaskSpec(), len(boxes)
        rows = np.array(boxes, np.float32).reshape(-1, 9)
        stay = np.broadcast_to(rows[:, None, None, :2], (n, tasks.motion_modes, tasks.motion_steps, 2))
        return BevResult(
            boxes=rows,
            scores=np.array([1.0] * n if scores is None else scores, np.float32),
            labels=np.array([tasks.classes.index(name) for name in classes], np.int32),
            trajectories_m=stay.copy(),
            trajectory_probabilities=np.full((n, tasks.motion_modes), 1 / tasks.motion_modes, np.float32),
            map_probabilities=np.zeros((len(tasks.map_classes), grid.count[1], grid.count[0]), np.float32),
            occupancy_probabilities=np.zeros(
                (len(tasks.occupancy_steps_s), tasks.occupancy_side, tasks.occupancy_side), np.float32
            ),
            plans_m=np.zeros((len(tasks.plan_commands), tasks.plan_steps, 2), np.float32),
            tasks=tasks,
        )

    return result
