"""Targets: what all five heads and the depth distribution of one keyframe are trained on, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.sample import Sample
from bevdeploy.models import StudentSpec
from bevdeploy.train.depth_targets import depth_targets
from bevdeploy.train.detection_targets import CentreRule, DetectionTargets, detection_targets, drawn_boxes

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Targets:
    """One keyframe; n boxes that count."""

    detection: DetectionTargets
    boxes: Float32
    """[n, 9], columns of `tasks.BOX_FIELDS`."""
    labels: NDArray[np.int64]
    """[n], index into `tasks.classes`."""
    futures_m: Float32
    """[n, motion steps, 2] positions relative to the box centre now, metres; 0 where not valid."""
    futures_valid: NDArray[np.bool_]
    """[n, motion steps]."""
    map_masks: NDArray[np.bool_]
    """[map classes, Y, X]."""
    map_valid: bool
    """False where the location has no map: the masks say nothing."""
    occupancy: NDArray[np.bool_]
    """[occupancy steps, side, side]."""
    occupancy_valid: NDArray[np.bool_]
    """[occupancy steps]."""
    plan_m: Float32
    """[plan steps, 2]."""
    plan_valid: NDArray[np.bool_]
    """[plan steps]."""
    command: int
    depth_bins: NDArray[np.int16] | None
    """[N, Hf, Wf], -1 where unknown; None where no lidar points were given."""


OWN_AGE_S = 0.02
"""Points of sweeps before the keyframe's own are older: lidar turns twenty times a second."""


def targets_of(sample: Sample, spec: StudentSpec, rule: CentreRule) -> Targets:
    """Targets of one keyframe for one student."""
    truth, geometry = sample.truth, spec.geometry
    counted = drawn_boxes(truth, geometry.grid, rule)
    boxes = truth.boxes[counted]  # [n, 9]
    valid = truth.futures_valid[counted]  # [n, steps]
    futures_m = np.where(valid[..., None], truth.futures_m[counted] - boxes[:, None, :2], 0)  # [n, steps, 2]
    depth_bins = None
    if len(sample.points):
        depth_bins = depth_targets(own_points(sample.points), sample.view.K, sample.view.bev_from_cam, geometry)
    return Targets(
        detection=detection_targets(truth, geometry.grid, spec.tasks, rule),
        boxes=boxes,
        labels=truth.labels[counted].astype(np.int64),
        futures_m=futures_m.astype(np.float32),
        futures_valid=valid,
        map_masks=truth.map_masks,
        map_valid=truth.map_valid,
        occupancy=truth.occupancy,
        occupancy_valid=truth.occupancy_valid,
        plan_m=truth.plan_m,
        plan_valid=truth.plan_valid,
        command=truth.command,
        depth_bins=depth_bins,
    )


def own_points(points: Float32) -> Float32:
    """The points of the keyframe's own sweep, of [P, F] with the age in the last column.

    What moves lies elsewhere in older sweeps, and would teach a wrong depth.
    """
    own: Float32 = points[points[:, -1] < OWN_AGE_S]
    return own
