"""CRD, cross-head response distillation: the student's BEV features through the teacher's frozen head.

Re-implementation following DualDistill's public code. The head's weights and norms stand still, but gradients pass
through it to the student's neck and to the adapter, which the feature loss shares. Targets are the teacher's
pseudo-boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bevdeploy.distill.center_loss import box_loss, heatmap_loss
from bevdeploy.distill.center_targets import center_targets
from bevdeploy.distill.planes import Plane
from bevdeploy.distill.taps import Head
from bevdeploy.errors import TrainingError
from bevdeploy.tasks import TaskSpec

BOX_WEIGHT = 0.25


def response_terms(
    heatmap: Tensor, box_codes: Tensor, boxes: Tensor, labels: Tensor, plane: Plane, tasks: TaskSpec
) -> dict[str, Tensor]:
    """CenterHead's training loss of dense predictions against boxes.

    Args:
        heatmap: [B, classes, Y, X] logits.
        box_codes: [B, G, 10, Y, X].
        boxes: [B, n, 9], columns of `tasks.BOX_FIELDS`.
        labels: [B, n]; -1 for no box.
        plane: cells of the predictions.
        tasks: class groups.
    """
    targets = center_targets(boxes, labels, (labels >= 0).float(), plane, tasks)
    return {
        "response.heatmap": heatmap_loss(heatmap, targets, tasks),
        "response.boxes": BOX_WEIGHT * box_loss(box_codes, targets, tasks),
    }


def frozen_head(head: Head) -> Head:
    """A head whose own weights get no gradient and whose norms keep their statistics, whatever mode it is left in."""
    if not isinstance(head, nn.Module):
        return head
    head.requires_grad_(False)

    def evaluated(features: Tensor) -> tuple[Tensor, Tensor]:
        head.eval()
        heatmap, box_codes = head(features)
        return heatmap, box_codes

    return evaluated


@torch.no_grad()
def inherit_groups(student: nn.Module, teacher: nn.Module) -> None:
    """Start a student's detection branches from the teacher's, as DistillBEV does (`inherit_head`).

    The shared convolution before them is left alone, its input differs. Both are `models.heads.DetectionHead`s.

    Raises:
        TrainingError: the branches differ in shape.
    """
    ours, theirs = student.get_submodule("groups"), teacher.get_submodule("groups")
    shapes, found = ({key: tuple(value.shape) for key, value in m.state_dict().items()} for m in (ours, theirs))
    if shapes != found:
        different = next(key for key in sorted({*shapes, *found}) if shapes.get(key) != found.get(key))
        raise TrainingError(
            f"detection branches cannot be inherited: {different} is {shapes.get(different)} in the student, "
            f"{found.get(different)} in the teacher; build both heads with the same `shared` width and class groups"
        )
    ours.load_state_dict(theirs.state_dict())
