"""All tasks at once, frame by frame: dense outputs are scored as they come, boxes are kept for the devkit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate.absent import absent_metrics, boxes_left_out, tracking_left_out
from bevdeploy.evaluate.detection import score_detection
from bevdeploy.evaluate.footprints import Footprints, future_footprints
from bevdeploy.evaluate.map import MapScore
from bevdeploy.evaluate.metric import Metric
from bevdeploy.evaluate.motion import MotionScore
from bevdeploy.evaluate.occupancy import THRESHOLD, OccupancyScore
from bevdeploy.evaluate.planning import AVG, PlanningScore
from bevdeploy.evaluate.result_file import Row, Rows, read_results
from bevdeploy.evaluate.result_rows import check_finite, rows_of_boxes
from bevdeploy.evaluate.scoreboard import Scores, scores_of
from bevdeploy.evaluate.tracking import score_tracking
from bevdeploy.geometry.frames import Float64
from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.geometry.map_grid import map_grid
from bevdeploy.runtime.result import BevResult
from bevdeploy.tasks import TaskSpec

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]


class TrueFrame(Protocol):
    """What is true of a frame, in its ego frame at the key time, not augmented; the data room's `Truth` is one."""

    @property
    def boxes(self) -> Float32:
        """[t, 9] columns of `tasks.BOX_FIELDS`."""

    @property
    def labels(self) -> Int32:
        """[t] index into `tasks.classes`."""

    @property
    def points(self) -> Int32:
        """[t] sensor points inside."""

    @property
    def futures_m(self) -> Float32:
        """[t, motion steps, 2]."""

    @property
    def futures_valid(self) -> Bool:
        """[t, motion steps]."""

    @property
    def map_masks(self) -> Bool:
        """[map classes, Y, X] on the student's map grid; no elements where the data set has no map."""

    @property
    def occupancy(self) -> Bool:
        """[occupancy steps, side, side]."""

    @property
    def occupancy_valid(self) -> Bool:
        """[occupancy steps]."""

    @property
    def plan_m(self) -> Float32:
        """[plan steps, 2]."""

    @property
    def plan_valid(self) -> Bool:
        """[plan steps]."""

    @property
    def command(self) -> int:
        """Index into `tasks.plan_commands`."""


@dataclass(frozen=True, eq=False)
class _KeptBoxes:
    boxes: Float32
    scores: Float32
    labels: Int32
    global_from_ego: Float64


class TaskScores:
    """Collects frames and says what they are worth.

    Maps are compared cell by cell on the student's own map grid, occupancy on the grid of the tasks. Tasks that the
    student does not have are passed over; their headlines say so.
    """

    def __init__(self, tasks: TaskSpec, grid: BEVGrid | None = None, occupancy_threshold: float = THRESHOLD) -> None:
        """The BEV grid. The map's is only named in its protocol, so that IoUs of unlike grids are not compared."""
        self.tasks = tasks
        self.map = MapScore(tasks.map_classes, grid="" if grid is None else _words(map_grid(grid, tasks)))
        self.occupancy = OccupancyScore(tasks, occupancy_threshold)
        self.motion = MotionScore(tasks)
        self.planning = PlanningScore(tasks)
        self._kept: dict[str, _KeptBoxes] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def add(
        self,
        token: str,
        result: BevResult,
        truth: TrueFrame,
        global_from_ego: Float64,
        footprints: Footprints | None = None,
    ) -> None:
        """One frame.

        Args:
            token: sample token.
            result: what the student says.
            truth: what is true.
            global_from_ego: [4, 4] pose at the key time.
            footprints: true boxes at the steps of the plan; None takes the boxes of now along their futures, where the
                tasks have every class that a plan may hit.

        Raises:
            DataSetError: the frame was added before, the tasks differ, a shape is wrong, an output is not finite, or
                a plan has no footprints to be checked with.
        """
        if token in self._kept:
            raise DataSetError(f"sample {token} was evaluated twice")
        if result.tasks != self.tasks:
            raise DataSetError(f"sample {token}: the result has other tasks than the evaluation")
        plans = "planning" in self.tasks.heads
        if plans and not 0 <= truth.command < len(self.tasks.plan_commands):
            raise DataSetError(f"sample {token}: no command {truth.command}; there is 0..{len(result.plans_m) - 1}")
        kept = _KeptBoxes(result.boxes, result.scores, result.labels, global_from_ego)
        check_finite(kept.boxes, kept.scores, token)
        try:
            if plans:
                footprints = self._footprints(truth) if footprints is None else footprints
                self.planning.add(result.plans_m[truth.command], truth.plan_m, truth.plan_valid, footprints)
            if "motion" in self.tasks.heads:
                self.motion.add(
                    result.boxes,
                    result.scores,
                    result.labels,
                    result.trajectories_m,
                    result.trajectory_probabilities,
                    *(truth.boxes, truth.labels, truth.futures_m, truth.futures_valid, truth.points),
                )
            if "occupancy" in self.tasks.heads:
                self.occupancy.add(result.occupancy_probabilities, truth.occupancy, truth.occupancy_valid)
            if "map" in self.tasks.heads and truth.map_masks.size:
                self.map.add(result.map_probabilities, truth.map_masks)
        except DataSetError as error:
            raise DataSetError(f"sample {token}: {error}") from error
        self._kept[token] = kept

    def _footprints(self, truth: TrueFrame) -> Footprints:
        """The boxes of now at the steps of the plan.

        Raises:
            DataSetError: the tasks lack classes that a plan may hit, or futures as long as the plan.
        """
        tasks = self.tasks
        unknown = [name for name in AVG.obstacles if name not in tasks.classes]
        if unknown or tasks.motion_steps < tasks.plan_steps:
            lack = f"lacks {', '.join(unknown)}" if unknown else f"ends after {tasks.motion_steps} steps"
            raise DataSetError(f"planning: the truth {lack}, so no collision can be told; give footprints")
        return future_footprints(
            *(truth.boxes, truth.labels, truth.futures_m, truth.futures_valid),
            steps=tasks.plan_steps,
            classes=tasks.classes,
        )

    def results(self) -> dict[str, list[Row]]:
        """All boxes as rows of a result file, by sample token; what `write_results` takes."""
        return {
            token: rows_of_boxes(kept.boxes, kept.scores, kept.labels, self.tasks.classes, token, kept.global_from_ego)
            for token, kept in self._kept.items()
        }

    def scores(self, database: NuScenes | None = None, split: str | None = None, tracking: bool = True) -> Scores:
        """All metrics.

        Args:
            database: the devkit's tables; without them boxes and tracks are n/a.
            split: of which the frames are; None for all samples of the tables.
            tracking: False passes the tracks over, which take longest.

        Raises:
            DataSetError: no frame was added, or frames are not in the split.
            MissingDependencyError: nuscenes-devkit is not installed.
        """
        if not self._kept:
            raise DataSetError("no frame was evaluated; name a data set with frames")
        dense: dict[str, MapScore | OccupancyScore | MotionScore | PlanningScore]
        dense = {"map": self.map, "occupancy": self.occupancy, "motion": self.motion, "planning": self.planning}
        metrics: list[Metric] = [*absent_metrics(self.tasks)]
        for head, score in dense.items():
            metrics += score.metrics() if head in self.tasks.heads else ()
        complete = False
        if database is None and "detection" in self.tasks.heads:
            metrics += boxes_left_out("no nuScenes tables, by which boxes are scored")
        elif database is not None and "detection" in self.tasks.heads:
            results = self.results()
            detection = score_detection(database, results, split)
            metrics += detection.metrics()
            complete = detection.complete
            if tracking:
                metrics += score_tracking(database, results, split).metrics()
            else:
                metrics.append(tracking_left_out("left out on request"))
        return scores_of(metrics, self._kept, split, complete)


def scores_of_results(
    database: NuScenes, results: Path | Rows, split: str | None = None, tracking: bool = True
) -> Scores:
    """Scores of boxes alone: a result file of whatever detector.

    Args:
        database: the devkit's tables.
        results: a result file, or its rows by sample token.
        split: of which the samples are; None for all samples of the tables.
        tracking: False passes the tracks over, which take longest.

    Raises:
        DataSetError: the results are malformed, empty or of samples outside the split.
        MissingDependencyError: nuscenes-devkit is not installed.
    """
    rows = read_results(results).results if isinstance(results, Path) else results
    detection = score_detection(database, results, split)
    tracks = (
        score_tracking(database, rows, split).metrics() if tracking else (tracking_left_out("left out on request"),)
    )
    return scores_of((*detection.metrics(), *tracks), rows, split, detection.complete)


def _words(grid: BEVGrid) -> str:
    """`128 x 128 cells of 0.8 m`."""
    _, y, x = grid.shape_zyx
    size = f"{grid.cell_m[0]:g}" if grid.cell_m[0] == grid.cell_m[1] else f"{grid.cell_m[0]:g} x {grid.cell_m[1]:g}"
    return f"{x} x {y} cells of {size} m"
