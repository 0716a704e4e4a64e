"""TrainBatch: samples with their targets as tensors of one batch, made where the samples are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bevdeploy.batch import StudentInputs
from bevdeploy.data.batches import Normalisation
from bevdeploy.data.sample import Sample
from bevdeploy.errors import TrainingError
from bevdeploy.geometry import ViewGeometry
from bevdeploy.models import StudentSpec
from bevdeploy.ops import PoolRanks, pool_ranks
from bevdeploy.train.previous_frames import PreviousFrames, motions, parameters_of_view, previous_frames
from bevdeploy.train.targets import Targets
from bevdeploy.train.teacher_cache import Arrays


class TargetTensors(NamedTuple):
    """M trained cells, n boxes at most in one sample of B."""

    heatmap: Tensor
    """[B, classes, Y, X]."""
    cells: Tensor
    """[M] index into the flat box maps [B*G*Y*X]."""
    codes: Tensor
    """[M, 10]; NaN where unknown."""
    weights: Tensor
    """[M]."""
    boxes: Tensor
    """[B, n, 9], columns of `tasks.BOX_FIELDS`; 0 beyond a sample's boxes."""
    labels: Tensor
    """[B, n]; -1 beyond a sample's boxes."""
    futures_m: Tensor
    """[B, n, motion steps, 2] relative to the box centre now."""
    futures_valid: Tensor
    """[B, n, motion steps]; False beyond a sample's boxes."""
    map_masks: Tensor
    """[B, map classes, Y, X], 0 or 1."""
    map_valid: Tensor
    """[B]; False where the masks say nothing."""
    occupancy: Tensor
    """[B, occupancy steps, side, side], 0 or 1."""
    occupancy_valid: Tensor
    """[B, occupancy steps]."""
    plan_m: Tensor
    """[B, plan steps, 2]."""
    plan_valid: Tensor
    """[B, plan steps]."""
    command: Tensor
    """[B]."""
    depth_bins: Tensor | None
    """[B, N, Hf, Wf], -1 where unknown; None where a sample came without lidar points."""


class TrainBatch(NamedTuple):
    """What an objective gets: the student's inputs, the targets, and where they come from."""

    images: Tensor
    """[B, N, H, W, 3] uint8 RGB, augmented, not normalised."""
    pool: PoolRanks
    ego_state: Tensor
    """[B, 9]."""
    targets: TargetTensors
    samples: tuple[Sample, ...]
    """For objectives that need more than the above: tokens, augmentations, lidar points, the previous view."""
    progress: float = 0.0
    """Share of the training that is done, 0..1."""
    taught: Mapping[str, Tensor] | None = None
    """[B, ...] what a teacher's cache holds, by its names; None without one."""
    geometry: ViewGeometry | None = None
    """That the pool was made for."""
    camera_parameters: Tensor | None = None
    """[B, N, 27], for camera-aware students."""
    previous: PreviousFrames | None = None
    """The frames before, for temporal students; None where no sample has one."""
    previous_from_current: Tensor | None = None
    """[B, 2, 3], for temporal students."""
    previous_bev: Tensor | None = None
    """[B, C, Y, X], from `train.previous_bev`; zeros for samples without a frame before."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The keyframes of the batch."""
        return tuple(sample.token for sample in self.samples)

    def inputs(self, ego_state: bool = False) -> StudentInputs:
        """What the student takes, images as `network_images`.

        Raises:
            TrainingError: there are frames before, and nobody has made a BEV of them.
        """
        if self.previous is not None and self.previous_bev is None:
            raise TrainingError("a temporal student's batch lacks the earlier BEV; pass it through with_previous_bev")
        return StudentInputs(
            network_images(self.images),
            self.pool,
            self.ego_state if ego_state else None,
            self.camera_parameters,
            self.previous_bev,
            self.previous_from_current,
        )

    def to(self, device: torch.device) -> TrainBatch:
        """The same batch with its tensors on another device."""
        targets = self.targets._replace(
            **{name: value.to(device) for name, value in self.targets._asdict().items() if value is not None}
        )
        return self._replace(
            images=self.images.to(device),
            pool=self.pool.to(device),
            ego_state=self.ego_state.to(device),
            targets=targets,
            taught=None if self.taught is None else {name: value.to(device) for name, value in self.taught.items()},
            camera_parameters=_moved(self.camera_parameters, device),
            previous=None if self.previous is None else self.previous.to(device),
            previous_from_current=_moved(self.previous_from_current, device),
            previous_bev=_moved(self.previous_bev, device),
        )


def network_images(images: Tensor) -> Tensor:
    """Images [B, N, H, W, 3] uint8 to [B, N, 3, H, W] float32, normalised, with channels last in memory."""
    values = images.float()
    normalisation = Normalisation()
    values.sub_(values.new_tensor(normalisation.mean)).div_(values.new_tensor(normalisation.std))
    return values.permute(0, 1, 4, 2, 3)  # [B, N, 3, H, W]


def _moved(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    return None if tensor is None else tensor.to(device)


def train_batch(
    samples: Sequence[Sample], targets: Sequence[Targets], spec: StudentSpec, taught: Sequence[Arrays] = ()
) -> TrainBatch:
    """Collate B samples; `taught` is what a teacher's cache holds of each, empty without a cache.

    Raises:
        TrainingError: the samples differ in cameras or image size, or do not have the student's.
        GeometryError: the batch is empty or too large for 32-bit indices.
    """
    shapes = {sample.view.images.shape for sample in samples}
    if len(shapes) > 1 or {shape[1:3] for shape in shapes} - {spec.geometry.net_hw}:
        raise TrainingError(
            f"samples {', '.join(sample.token for sample in samples)}: images of {sorted(shapes)}, but "
            f"{spec.name} takes {spec.geometry.net_hw} and one number of "
            "cameras; build the samples with the student's geometry"
        )
    images = np.stack([sample.view.images for sample in samples])  # [B, N, H, W, 3]
    return TrainBatch(
        images=torch.from_numpy(images),
        pool=pool_ranks([sample.view.indices for sample in samples], spec.geometry, images.shape[1]),
        ego_state=torch.from_numpy(np.stack([sample.ego_state for sample in samples])),
        targets=target_tensors(targets, spec),
        samples=tuple(samples),
        taught={name: torch.from_numpy(np.stack([arrays[name] for arrays in taught])) for name in taught[0]}
        if taught
        else None,
        geometry=spec.geometry,
        camera_parameters=torch.from_numpy(np.stack([parameters_of_view(each.view, each) for each in samples]))
        if spec.camera_aware
        else None,
        previous=previous_frames(samples, spec),
        previous_from_current=motions(samples) if spec.temporal else None,
    )


def target_tensors(targets: Sequence[Targets], spec: StudentSpec) -> TargetTensors:
    """Targets of B samples; box lists are padded to the longest."""
    _, rows, columns = spec.geometry.grid.shape_zyx
    cells_each = len(spec.tasks.detection_tasks) * rows * columns
    cells = [each.detection.cells + k * cells_each for k, each in enumerate(targets)]
    most = max(1, *(len(each.boxes) for each in targets))
    depth = [each.depth_bins for each in targets if each.depth_bins is not None]

    def stacked(arrays: Sequence[NDArray[Any]]) -> Tensor:
        return torch.from_numpy(np.stack(arrays))

    def padded(arrays: Sequence[NDArray[Any]], value: float = 0) -> Tensor:
        out = np.full((len(arrays), most, *arrays[0].shape[1:]), value, arrays[0].dtype)  # [B, n, ...]
        for row, array in zip(out, arrays, strict=True):
            row[: len(array)] = array
        return torch.from_numpy(out)

    return TargetTensors(
        heatmap=stacked([each.detection.heatmap for each in targets]),
        cells=torch.from_numpy(np.concatenate(cells)),
        codes=torch.from_numpy(np.concatenate([each.detection.codes for each in targets])),
        weights=torch.from_numpy(np.concatenate([each.detection.weights for each in targets])),
        boxes=padded([each.boxes for each in targets]),
        labels=padded([each.labels for each in targets], -1),
        futures_m=padded([each.futures_m for each in targets]),
        futures_valid=padded([each.futures_valid for each in targets]),
        map_masks=stacked([each.map_masks for each in targets]).float(),
        map_valid=torch.tensor([each.map_valid for each in targets]),
        occupancy=stacked([each.occupancy for each in targets]).float(),
        occupancy_valid=stacked([each.occupancy_valid for each in targets]),
        plan_m=stacked([each.plan_m for each in targets]),
        plan_valid=stacked([each.plan_valid for each in targets]),
        command=torch.tensor([each.command for each in targets]),
        depth_bins=stacked(depth) if len(depth) == len(targets) else None,  # [B, N, Hf, Wf]
    )
