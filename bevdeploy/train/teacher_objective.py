"""TeacherObjective: a teacher trained on the annotations, on its own tasks and the depth of its cameras."""

from __future__ import annotations

import torch
from torch import Tensor

from bevdeploy.models.teachers import Teacher
from bevdeploy.train.batch import TrainBatch
from bevdeploy.train.depth_loss import tapped_depth
from bevdeploy.train.task_objective import task_terms
from bevdeploy.train.task_weights import TaskWeights
from bevdeploy.train.teacher_inputs import teacher_inputs


class TeacherObjective:
    """The losses of students, on what the teacher sees."""

    def __init__(self, weights: TaskWeights) -> None:
        self.weights = weights

    def terms(self, teacher: Teacher, batch: TrainBatch) -> dict[str, Tensor]:
        """Weighted terms by the names of `TaskWeights`.

        Raises:
            TrainingError: the batch lacks lidar points, or its images have another size.
        """
        inputs, depth = teacher_inputs(batch, teacher), None
        if teacher.camera is None:
            outputs = teacher(inputs)
        else:
            with tapped_depth(teacher.camera) as depth_logits:
                outputs = teacher(inputs)
            depth = depth_logits[0].float()  # [B*N, D, Hf, Wf]
        with torch.autocast(outputs.bev.device.type, enabled=False):
            return task_terms(teacher, outputs, depth, batch.targets, self.weights)
