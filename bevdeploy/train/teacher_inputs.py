"""What a teacher takes of a training batch: its lidar points, and its cameras for a teacher that has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import TrainingError
from bevdeploy.geometry.ranks import indices_from_views
from bevdeploy.models.teachers.inputs import TeacherInputs, lidar_points
from bevdeploy.models.teachers.teacher import Teacher
from bevdeploy.ops import PoolRanks, pool_ranks
from bevdeploy.train.batch import TrainBatch


def teacher_inputs(batch: TrainBatch, teacher: Teacher) -> TeacherInputs:
    """The same samples under the same augmentation, on the batch's device.

    A teacher of another BEV grid or other depth bins than the batch was made for gets index tables of its own.

    Raises:
        TrainingError: a sample has no lidar points or not the virtual ones that the teacher takes, or the teacher's
            cameras take images of another size.
    """
    without = [sample.token for sample in batch.samples if not len(sample.points)]
    if without:
        raise TrainingError(
            f"{teacher.spec.name} sees lidar, but {len(without)} of {len(batch.samples)} samples have no lidar points, "
            f"the first is {without[0]}; load them with lidar_sweeps=1 or more (--sweeps)"
        )
    device = batch.images.device
    lidar = lidar_points(_clouds(batch, teacher)).to(device)
    if teacher.camera is None and not teacher.spec.ego_state:
        return TeacherInputs(None, lidar)
    net_hw, images_hw = teacher.spec.geometry.net_hw, tuple(batch.images.shape[2:4])
    if teacher.camera is not None and net_hw != images_hw:
        raise TrainingError(
            f"{teacher.spec.name} takes images of {net_hw[0]} x {net_hw[1]} px, this batch has {images_hw[0]} x "
            f"{images_hw[1]}; build the teacher with --option image_height_px={images_hw[0]} --option "
            f"image_width_px={images_hw[1]}, or write its cache (bevdeploy teach) and learn from that"
        )
    cameras = batch.inputs(teacher.spec.ego_state)
    return TeacherInputs(cameras._replace(pool=_pool(batch, teacher).to(device)), lidar)


def _clouds(batch: TrainBatch, teacher: Teacher) -> list[NDArray[np.float32]]:
    """[P_b, F] of each sample, F the teacher's."""
    features = teacher.pillars.point_features
    if all(sample.points.shape[1] == features for sample in batch.samples):
        return [sample.points for sample in batch.samples]
    wrong = next((sample for sample in batch.samples if sample.lidar.shape[1] != features), None)
    if wrong is not None:
        raise TrainingError(
            f"{teacher.spec.name} takes {features} numbers per lidar point, sample {wrong.token} has "
            f"{wrong.lidar.shape[1]}; it was built for virtual points: load the samples with them (--virtual-points)"
        )
    return [sample.lidar for sample in batch.samples]


def _pool(batch: TrainBatch, teacher: Teacher) -> PoolRanks:
    geometry = teacher.spec.geometry
    if batch.geometry == geometry:
        return batch.pool
    indices = [indices_from_views(sample.view.K, sample.view.bev_from_cam, geometry) for sample in batch.samples]
    return pool_ranks(indices, geometry, batch.images.shape[1])
