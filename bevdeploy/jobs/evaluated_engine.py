"""One engine while it is evaluated: its pipeline on each keyframe, and the scores so far."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bevdeploy.data import FrameSet
from bevdeploy.data.index import SampleIndex
from bevdeploy.data.sample import Truth
from bevdeploy.data.truth_of import truth_of
from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import Footprints, TaskScores, future_footprints
from bevdeploy.jobs.keyframes import Keyframes
from bevdeploy.jobs.moments import moment_of
from bevdeploy.jobs.open_pipeline import errors_naming
from bevdeploy.report.eval_report import Scored
from bevdeploy.runtime import BevResult, Pipeline
from bevdeploy.tasks import TaskSpec

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes


class EvaluatedEngine:
    """Sums over frames; of a frame only its boxes are kept, so memory does not grow with maps and occupancy."""

    def __init__(self, path: Path, pipeline: Pipeline, index: SampleIndex) -> None:
        self.path = path
        self.pipeline = pipeline
        self.index = index
        self.tasks = pipeline.contract.tasks
        self.grid = pipeline.contract.geometry.grid
        self.scores = TaskScores(self.tasks, self.grid)
        self.without_map = 0
        """Frames whose location has no map to compare with."""
        self.measured_states = 0
        """Frames whose ego state came from the CAN bus."""
        self.first_frames = 0
        """Frames that a temporal student saw without an earlier one."""

    def truth(self, row: int) -> Truth:
        """The truth of a keyframe at the grid and tasks of the contract."""
        return truth_of(self.index, row, self.tasks, self.grid)

    def footprints(self, row: int) -> Footprints | None:
        """What a plan may hit: true boxes of all classes, whichever of them the student detects; None without plans."""
        if "planning" not in self.tasks.heads:
            return None
        steps = self.tasks.plan_steps
        boxes_alone = TaskSpec(map_classes=(), occupancy_steps_s=(), motion_steps=steps, plan_steps=steps)
        truth = truth_of(self.index, row, boxes_alone, self.grid)
        return future_footprints(
            truth.boxes, truth.labels, truth.futures_m, truth.futures_valid, steps, boxes_alone.classes
        )

    def run(self, row: int, frame_set: FrameSet) -> BevResult:
        """What the pipeline says of a keyframe, with its true ego state where the student reads one.

        Raises:
            ContractError: the rig does not fit the engine.
            TableOverflowError: the rig needs larger tables than the graph declares.
            FrameSourceError: an image has another size than the camera.
        """
        if frame_set.rig.digest() != self.pipeline.rig.digest():
            with errors_naming(f"{self.path}: keyframe {frame_set.token}"):
                self.pipeline.recalibrate(frame_set.rig)
        state = np.array(self.index.arrays.ego_state[row]) if self.pipeline.takes_ego_state else None
        result = self.pipeline.infer(frame_set.frames, state, moment_of(frame_set))
        self.first_frames += self.pipeline.memory is not None and self.pipeline.memory.age_s is None
        return result

    def run_again(self, row: int, frame_set: FrameSet, keyframes: Keyframes) -> BevResult:
        """As `run`, out of order: a student that remembers is first shown the two keyframes before, as it was then.

        Raises:
            BevDeployError: as `run`.
        """
        if self.pipeline.memory is not None:
            self.pipeline.memory.forget()
            before = int(self.index.arrays.previous[row])
            earlier = (int(self.index.arrays.previous[before]) if before >= 0 else -1, before)
            for each in earlier:
                if each in keyframes.rows:
                    self.run(each, keyframes.frame_set(each))
        return self.run(row, frame_set)

    def add(self, row: int, token: str, result: BevResult, truth: Truth) -> None:
        """Score one keyframe; its map only where there is a true one.

        Raises:
            DataSetError: an output is not finite.
        """
        if not truth.map_valid:
            self.without_map += 1
            truth = replace(truth, map_masks=truth.map_masks[:0])
        self.measured_states += int(self.index.arrays.ego_state_measured[row])
        try:
            pose = np.array(self.index.arrays.global_from_ego[row])
            self.scores.add(token, result, truth, pose, self.footprints(row))
        except DataSetError as error:
            raise DataSetError(f"{self.path}: {error}") from error

    def scored(self, database: NuScenes | None, keyframes: Keyframes, tasks: tuple[str, ...]) -> Scored:
        """The scores of all frames so far.

        Raises:
            DataSetError: the devkit cannot score the boxes.
            MissingDependencyError: nuscenes-devkit is not installed.
        """
        scores = self.scores.scores(database, keyframes.devkit_split, tracking="tracking" in tasks)
        contract, info = self.pipeline.contract, self.pipeline.runner.info()
        about = (
            f"{contract.student}, {info.precision}, {info.backend} on {info.device}, io {contract.io}, "
            f"{contract.geometry_mode} geometry"
        )
        return Scored(self.path.name, about, scores)

    def notes(self) -> tuple[str, ...]:
        """What a reader of the scores must know."""
        frames = len(self.scores)
        notes = []
        if self.without_map and "map" in self.tasks.heads:
            notes.append(f"no map expansion for {self.without_map} of {frames} keyframes: no true map there")
        if self.pipeline.takes_ego_state and self.measured_states < frames:
            notes.append(
                f"ego state of {frames - self.measured_states} of {frames} keyframes from differences of poses, "
                "not from the CAN bus"
            )
        if self.first_frames:
            notes.append(
                f"{self.first_frames} of {frames} keyframes were seen without an earlier one: starts of scenes"
            )
        return tuple(notes)
