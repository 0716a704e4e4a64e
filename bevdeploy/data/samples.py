"""Samples: keyframes of an index as a map-style data set. A damaged file costs its keyframe, never the epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from bevdeploy.data.annotated_instances import annotated_instances
from bevdeploy.data.augment import Augmentation, Draw, draw_augmentation, net_from_image
from bevdeploy.data.index import SampleIndex
from bevdeploy.data.instance_file import check_instances, instances_of_file
from bevdeploy.data.lidar_points import lidar_points
from bevdeploy.data.map_masks import MAP_CLASSES
from bevdeploy.data.network_images import Resize, fitted_image, warped_image
from bevdeploy.data.nuscenes import CAMERAS
from bevdeploy.data.sample import Float32, Sample, View
from bevdeploy.data.truth_of import truth_of
from bevdeploy.data.virtual_points import lidar_with_virtual_points, virtual_points
from bevdeploy.errors import DataSetError, FrameSourceError, GeometryError
from bevdeploy.geometry.frames import Float64, invert
from bevdeploy.geometry.frustum import ViewGeometry
from bevdeploy.geometry.image_transform import ImageTransform
from bevdeploy.geometry.ranks import indices_from_views
from bevdeploy.geometry.rig import Camera
from bevdeploy.tasks import TaskSpec


@dataclass(frozen=True, eq=False)
class Samples:
    """Keyframes whose images (and lidar, where asked for) are on disk, by scene, then time.

    Frozen and picklable: workers open the same memory-mapped index.

    Raises:
        DataSetError: nothing is left of the split, an unknown camera or map class, or (strict) a file is absent.
    """

    index: SampleIndex
    tasks: TaskSpec
    geometry: ViewGeometry
    """Of the student: image size, feature size, grid and depth bins."""
    cameras: tuple[str, ...] = CAMERAS
    """In network order."""
    split: str | None = None
    """`train`, `val`, `mini_val`, ... or a scene's name; None takes all."""
    lidar_sweeps: int = 0
    """Lidar files per sample, the keyframe's own among them; 0 for none."""
    previous: bool = False
    """Also load the keyframe before, where its images are on disk."""
    augmentation: Augmentation | None = None
    seed: int = 0
    epoch: int = 0
    """With seed and position it decides the augmentation."""
    resize: Resize = "linear"
    """The student's."""
    ego_motion: bool = True
    """Place each camera where it was at its own time; False takes the calibration as it is."""
    strict: bool = False
    """Refuse absent and damaged files instead of passing over their keyframes."""
    virtual_points: Literal["annotations"] | Path | None = None
    """Makes `Sample.lidar` [P', 17] with MVP's virtual points, from masks of an instance file (docs/data.md), or from
    annotations, whose oracle masks are for training alone: figures of what saw them are no result."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.cameras if name not in CAMERAS]
        if unknown or not self.cameras or len(set(self.cameras)) < len(self.cameras):
            raise DataSetError(
                f"cameras {', '.join(self.cameras) or 'none'}; choose of {', '.join(CAMERAS)}, each once"
            )
        wrong = [name for name in self.tasks.map_classes if name not in MAP_CLASSES]
        if wrong:
            raise DataSetError(f"no map class {', '.join(wrong)}; there are {', '.join(MAP_CLASSES)}")
        if not 0 <= self.lidar_sweeps <= 11:
            raise DataSetError(f"lidar_sweeps must be from 0 to 11, got {self.lidar_sweeps}")
        absent, root = self._absent, self.index.root
        mending = f"unpack them and build the index again: bevdeploy data index {root} --version {self.index.version}"
        if absent and self.strict:
            first = self.index.arrays.token[absent[0]].decode()
            every = len(self.keyframes) + len(absent)
            raise DataSetError(
                f"{root}: {len(absent)} of {every} keyframes lack files, the first is {first}; {mending}"
            )
        if self.virtual_points is not None and not self.lidar_sweeps:
            raise DataSetError("virtual points are made of lidar points; set lidar_sweeps to 1 or more")
        if not self.keyframes:
            what = self.split or self.index.version
            raise DataSetError(f"{root}: none of {len(absent)} keyframes of {what} has its files; {mending}")
        if self.virtual_points not in (None, "annotations"):
            check_instances(Path(self.virtual_points), self.tokens)

    def __len__(self) -> int:
        return len(self.keyframes)

    def __getitem__(self, position: int) -> Sample:
        """The sample at a position, augmented by (seed, epoch, position); see `sample` for damaged ones.

        Raises:
            IndexError: there is no such position.
            DataSetError: as `sample`.
        """
        if not -len(self) <= position < len(self):
            raise IndexError(f"position {position} of {len(self)} samples")
        position %= len(self)
        return self._sample(position, (self.seed, self.epoch, position))

    def __iter__(self) -> Iterator[Sample]:
        return (self[position] for position in range(len(self)))

    @cached_property
    def keyframes(self) -> tuple[int, ...]:
        """Number in the index of each sample."""
        return tuple(int(k) for k in self._chosen[self._complete])

    @property
    def skipped(self) -> int:
        """Keyframes of the split that are left out since a file was absent when the index was built."""
        return len(self._absent)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Sample token of each sample."""
        return tuple(self.index.arrays.token[k].decode() for k in self.keyframes)

    def sample(self, index: int, seed: int | None = None) -> Sample:
        """The sample at position `index`, augmented by a seed of one's own; not at all with None.

        A keyframe with a damaged file is passed over: the next sound one stands in, and says so in `passed_over`.

        Raises:
            DataSetError: a file is damaged and the set is strict, or no keyframe is sound.
        """
        return self._sample(index, None if seed is None else (seed,))

    def _sample(self, position: int, seed: tuple[int, ...] | None) -> Sample:
        passed_over: list[str] = []
        for step in range(len(self)):
            keyframe = self.keyframes[(position + step) % len(self)]
            try:
                return self._load(keyframe, seed, tuple(passed_over))
            except (FrameSourceError, DataSetError, GeometryError) as error:
                if self.strict:
                    raise DataSetError(f"keyframe {self.index.arrays.token[keyframe].decode()}: {error}") from error
                passed_over.append(str(error))
        raise DataSetError(f"{self.index.root}: no keyframe of {len(self)} can be read; the first: {passed_over[0]}")

    def _load(self, keyframe: int, seed: tuple[int, ...] | None, passed_over: Sequence[str]) -> Sample:
        arrays = self.index.arrays
        draw = None
        if self.augmentation is not None and seed is not None:
            draw = draw_augmentation(self.augmentation, seed, len(self.cameras))
        bev_from_ego = np.eye(4) if draw is None else draw.bev_from_ego
        global_from_ego = np.array(arrays.global_from_ego[keyframe])
        before = int(arrays.previous[keyframe]) if self.previous else -1
        previous, bev_from_previous = None, None
        if before >= 0 and arrays.image_present[before, self._columns].all():
            previous = self._view(before, draw)
            ego_from_before = invert(global_from_ego) @ arrays.global_from_ego[before]
            bev_from_previous = bev_from_ego @ ego_from_before @ np.linalg.inv(bev_from_ego)
        points = np.zeros((0, 5), np.float32)
        if self.lidar_sweeps:
            points = lidar_points(self.index, keyframe, self.lidar_sweeps, bev_from_ego)
        painted = None if self.virtual_points is None else self._with_virtual(keyframe, points, bev_from_ego)
        return Sample(
            token=arrays.token[keyframe].decode(),
            timestamp_us=int(arrays.timestamp_us[keyframe]),
            view=self._view(keyframe, draw),
            previous=previous,
            bev_from_previous_bev=bev_from_previous,
            points=points,
            ego_state=ego_state_in_bev(arrays.ego_state[keyframe], bev_from_ego),
            bev_from_ego=bev_from_ego,
            global_from_ego=global_from_ego,
            truth=truth_of(self.index, keyframe, self.tasks, self.geometry.grid, bev_from_ego),
            keyframe=keyframe,
            passed_over=tuple(passed_over),
            points_and_virtual=painted,
        )

    def _with_virtual(self, keyframe: int, points: Float32, bev_from_ego: Float64) -> Float32:
        """[P', 17] the points with virtual ones of the keyframe's own sweep: sweeps before it have no images."""
        cameras = [self._camera(keyframe, column) for column in range(len(CAMERAS))]
        token = self.index.arrays.token[keyframe].decode()
        if self.virtual_points == "annotations":
            instances = annotated_instances(self.index, keyframe, cameras)
        else:
            instances = instances_of_file(Path(str(self.virtual_points)), token, cameras)
        rng = np.random.default_rng((self.seed, int.from_bytes(hashlib.sha256(token.encode()).digest()[:8], "little")))
        own = lidar_points(self.index, keyframe, 1, np.eye(4))
        made = virtual_points(own, cameras, instances, rng)
        return lidar_with_virtual_points(points, made, bev_from_ego)

    def _camera(self, keyframe: int, column: int) -> Camera:
        """A camera of the keyframe: raw pixels, placed in the ego frame of the key time."""
        height, width = (int(side) for side in self.index.arrays.image_hw[keyframe, column])
        K = np.array(self.index.arrays.K[keyframe, column])
        return Camera(CAMERAS[column], width, height, K, camera_pose(self.index, keyframe, column, self.ego_motion))

    def _view(self, keyframe: int, draw: Draw | None) -> View:
        """Images and geometry of one keyframe under the sample's draw."""
        index, net_hw = self.index, self.geometry.net_hw
        images = np.empty((len(self.cameras), *net_hw, 3), np.uint8)
        K = np.empty((len(self.cameras), 3, 3))
        bev_from_cam = np.empty((len(self.cameras), 4, 4))
        bev_from_ego = np.eye(4) if draw is None else draw.bev_from_ego
        augmented_from_net = np.empty((len(self.cameras), 3, 3))
        for n, column in enumerate(self._columns):
            camera = self._camera(keyframe, column)
            ego_from_cam, height, width = camera.ego_from_cam, camera.height_px, camera.width_px
            path = index.root / index.arrays.image_path[keyframe, column].decode()
            fit = ImageTransform.fit((height, width), net_hw).net_from_image
            if draw is None:
                net_from_raw = fit
                images[n] = fitted_image(path, camera, net_hw, self.resize)
            else:
                net_from_raw = net_from_image(draw.images[n], (height, width), net_hw)
                images[n] = warped_image(path, camera, net_from_raw, net_hw, self.resize)
            augmented_from_net[n] = net_from_raw @ np.linalg.inv(fit)
            K[n] = net_from_raw @ camera.K
            bev_from_cam[n] = bev_from_ego @ ego_from_cam if draw is not None else ego_from_cam
        indices = indices_from_views(K, bev_from_cam, self.geometry)
        return View(images, indices, K, bev_from_cam, None if draw is None else augmented_from_net)

    @cached_property
    def _columns(self) -> list[int]:
        return [CAMERAS.index(name) for name in self.cameras]

    @cached_property
    def _chosen(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return self.index.keyframes(self.split)

    @cached_property
    def _complete(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether the chosen keyframes have their files."""
        arrays = self.index.arrays
        complete = arrays.image_present[self._chosen][:, self._columns].all(1)
        if self.lidar_sweeps:
            first, end = arrays.lidar_first[self._chosen], arrays.lidar_first[self._chosen + 1]
            present = np.append(arrays.lidar_present, False)
            complete &= (end > first) & present[first]
        return np.asarray(complete)

    @cached_property
    def _absent(self) -> tuple[int, ...]:
        return tuple(int(k) for k in self._chosen[~self._complete])


def camera_pose(index: SampleIndex, keyframe: int, column: int, ego_motion: bool) -> Float64:
    """`ego_from_cam` [4, 4] of a camera in the ego frame of the key time; its calibration without the ego motion."""
    arrays = index.arrays
    ego_from_cam = np.array(arrays.ego_from_cam[keyframe, column])
    if ego_motion:
        egokey_from_global = invert(arrays.global_from_ego[keyframe])
        ego_from_cam = egokey_from_global @ arrays.global_from_egocam[keyframe, column] @ ego_from_cam
    return ego_from_cam


def ego_state_in_bev(ego_state: Float32, bev_from_ego: Float64) -> Float32:
    """The ego state [9] in a BEV frame: velocity and acceleration turn, mirror and scale, a rotation rate is axial."""
    linear = bev_from_ego[:3, :3]
    determinant = float(np.linalg.det(linear))
    turn = linear / abs(determinant) ** (1 / 3)
    velocity, acceleration, rate = np.asarray(ego_state, np.float64).reshape(3, 3)
    state = np.concatenate([linear @ velocity, linear @ acceleration, np.sign(determinant) * turn @ rate])
    return np.asarray(state, np.float32)
