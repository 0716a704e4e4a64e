"""DistillObjective: task losses of the annotations and a distiller's terms of a teacher. The student stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bevdeploy.distill.protocol import Distiller, DistillTruth
from bevdeploy.distill.taps import StudentTaps
from bevdeploy.models import Student
from bevdeploy.train.batch import TargetTensors, TrainBatch
from bevdeploy.train.depth_loss import tapped_depth
from bevdeploy.train.task_objective import task_terms
from bevdeploy.train.task_weights import TaskWeights
from bevdeploy.train.taught import TeacherSource

PREFIX = "kd."
"""Of a distiller's terms, beside those of the tasks."""


class DistillObjective(nn.Module):
    """A distiller's parameters are trained beside the student's; the teacher is neither trained nor saved."""

    def __init__(self, distiller: Distiller, teacher: TeacherSource, weights: TaskWeights) -> None:
        super().__init__()
        self.distiller = distiller
        self.weights = weights
        self._teacher = (teacher,)  # in a tuple: no sub-module

    def terms(self, student: Student, batch: TrainBatch) -> dict[str, Tensor]:
        """Weighted terms: the tasks' by the names of `TaskWeights`, the distiller's with a prefix."""
        with tapped_depth(student) as depth_logits, StudentTaps(student) as tapping:
            outputs = student(batch.inputs(student.spec.ego_state))
        with torch.autocast(outputs.bev.device.type, enabled=False):
            tasks = task_terms(student, outputs, depth_logits[0].float(), batch.targets, self.weights)
        share = self.distiller.task_weight(batch.progress)
        teacher = self._teacher[0].taps(batch)
        taught = self.distiller(tapping.taps(outputs), teacher, distill_truth(batch.targets), batch.progress)
        return {
            **{name: share * term for name, term in tasks.items()},
            **{PREFIX + name: term for name, term in taught.items()},
        }


def distill_truth(targets: TargetTensors) -> DistillTruth:
    """What distillers read of the annotations."""
    return DistillTruth(targets.boxes, targets.labels, targets.map_masks, targets.command)
