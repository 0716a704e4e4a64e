"""Sample: one keyframe ready for training or scoring, and the truth of all five tasks beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry.ranks import BEVPoolIndices

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Truth:
    """What the annotations say about a keyframe, in the (augmented) BEV frame of its key time.

    n boxes in the order of the annotations.
    """

    boxes: Float32
    """[n, 9], columns of `tasks.BOX_FIELDS`; velocities are NaN where the annotations do not tell."""
    labels: NDArray[np.int32]
    """[n], index into `tasks.classes`."""
    instances: NDArray[np.int32]
    """[n], the same number for the same object of the data set."""
    attributes: NDArray[np.int32]
    """[n], index into `index.ATTRIBUTES`; -1 for none."""
    points: NDArray[np.int32]
    """[n] lidar and radar points inside; boxes without any do not count in nuScenes' evaluation."""
    visibility: NDArray[np.int32]
    """[n] nuScenes' level, 1 (0-40 %) to 4 (80-100 %)."""
    futures_m: Float32
    """[n, motion steps, 2] positions x, y, in the frame of this keyframe; 0 where not valid."""
    futures_valid: NDArray[np.bool_]
    """[n, motion steps]."""
    map_masks: NDArray[np.bool_]
    """[map classes, Y, X]."""
    occupancy: NDArray[np.bool_]
    """[occupancy steps, side, side] vehicle footprints, rows along y."""
    occupancy_valid: NDArray[np.bool_]
    """[occupancy steps]; False where the scene has ended."""
    plan_m: Float32
    """[plan steps, 2] where the ego vehicle went; 0 where not valid."""
    plan_valid: NDArray[np.bool_]
    """[plan steps]."""
    command: int
    """Index into `tasks.plan_commands`."""
    map_valid: bool = True
    """False where there is no map expansion of the location: the masks say nothing."""


@dataclass(frozen=True, eq=False)
class View:
    """Images of one moment and the geometry that lifts them."""

    images: NDArray[np.uint8]
    """[N, H, W, 3] RGB at network size, augmented, not normalised. Not augmented: deployment's resize, rounded."""
    indices: BEVPoolIndices
    """Into this view's own (augmented) BEV grid."""
    K: Float64
    """[N, 3, 3] intrinsics of the network images; image rotation and flip included."""
    bev_from_cam: Float64
    """[N, 4, 4] camera to (augmented) BEV frame."""
    augmented_from_net: Float64 | None = None
    """[N, 3, 3] the image augmentation that `K` includes, in network pixels; None for none."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One keyframe. Everything is in one BEV frame: the ego frame at the key time under the BEV augmentation."""

    token: str
    timestamp_us: int
    view: View
    previous: View | None
    """The keyframe before it, in its own BEV frame under the same augmentation; None for the first of a scene."""
    bev_from_previous_bev: Float64 | None
    """[4, 4]."""
    points: Float32
    """[P, 5] lidar: x, y, z (m), intensity, age (s); empty where lidar was not asked for."""
    ego_state: Float32
    """[9] velocity, acceleration, rotation rate, as `tasks.EGO_STATE`."""
    bev_from_ego: Float64
    """[4, 4] the BEV augmentation; identity without."""
    global_from_ego: Float64
    """[4, 4] ego pose at the key time (LIDAR_TOP's)."""
    truth: Truth
    keyframe: int = -1
    """Number in the index."""
    passed_over: tuple[str, ...] = ()
    """Why this sample stands in for the one asked for: one line for each damaged keyframe before it."""
    points_and_virtual: Float32 | None = None
    """[P', 17] the points, painted and virtual ones (`virtual_points.FEATURES`); None where not asked for."""

    @property
    def lidar(self) -> Float32:
        """What a lidar teacher takes: [P', 17] with virtual points where they were asked for, else `points` [P, 5]."""
        return self.points if self.points_and_virtual is None else self.points_and_virtual
