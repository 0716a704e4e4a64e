"""The earlier BEV of a batch: what the student's own forward makes of the frames before, without gradient."""

from __future__ import annotations

import torch

from bevdeploy.batch import StudentInputs
from bevdeploy.models import Student
from bevdeploy.train.batch import TrainBatch, network_images


def with_previous_bev(student: Student, batch: TrainBatch) -> TrainBatch:
    """The batch with the pooled BEV of the frames before, as the graph in a car would have emitted it.

    Without gradient, as BEVDepth trains (Li et al., AAAI 2023), and in the student's present mode: in training its
    norms take the statistics of these images and count them. A batch without frames before stays as it is.
    """
    previous = batch.previous
    if previous is None or not student.spec.temporal:
        return batch
    inputs = StudentInputs(network_images(previous.images), previous.pool, camera_parameters=previous.camera_parameters)
    with torch.no_grad():
        pooled = student.pooled_bev(inputs).float()  # [P, C, Y, X]
        bev = pooled.new_zeros(len(batch.images), *pooled.shape[1:]).index_copy(
            0, previous.rows, pooled
        )  # [B, C, Y, X]
    return batch._replace(previous_bev=bev)
