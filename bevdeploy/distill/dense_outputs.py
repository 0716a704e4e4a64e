"""Dense outputs as probabilities on the student's cells: what output-level distances compare."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from bevdeploy.distill.planes import Plane, Resample, occupancy_plane, plane_of
from bevdeploy.distill.protocol import Distiller
from bevdeploy.distill.taps import TapForm, Taps
from bevdeploy.errors import TrainingError
from bevdeploy.geometry.map_grid import map_grid

DENSE = ("heatmap", "map_logits", "occupancy_logits")
"""Outputs that are one logit per cell."""
FOCAL_GAMMA = 2


def check_dense(outputs: tuple[str, ...], known: tuple[str, ...] = DENSE) -> tuple[str, ...]:
    """The names themselves.

    Raises:
        TrainingError: one of them is no dense output.
    """
    unknown = [name for name in outputs if name not in known]
    if unknown:
        raise TrainingError(f"outputs: {', '.join(unknown)} cannot be compared here, only {', '.join(known)}")
    return outputs


def plane_of_output(form: TapForm, name: str, value: Tensor) -> Plane:
    """Cells of a dense output [B, C, Y, X]."""
    if name == "occupancy_logits":
        return occupancy_plane(form.tasks)
    grid = map_grid(form.grid, form.tasks) if name == "map_logits" else form.grid
    return plane_of(grid, (value.shape[-2], value.shape[-1]))


def map_plane(form: TapForm) -> Plane:
    """Cells of a network's map."""
    return plane_of(map_grid(form.grid, form.tasks))


def teacher_probability(distiller: Distiller, student: Taps, teacher: Taps, name: str) -> Tensor:
    """A teacher's probabilities on the cells of the student's output, float32 [B, C, Y, X]."""
    value = teacher.output(name)
    source = plane_of_output(distiller.teacher_form, name, value)
    target = plane_of_output(distiller.student_form, name, student.output(name))
    resample = Resample(source, target).to(value.device)
    on_student: Tensor = resample(value.float().sigmoid()).clamp(0, 1)  # [B, C, Y, X]
    return on_student


def map_focal(logits: Tensor, masks: Tensor) -> Tensor:
    """Sigmoid focal loss of map masks, as BEVFusion's: gamma 2, no class balance, mean over cells, summed over classes.

    Args:
        logits: [B, classes, Y, X].
        masks: [B, classes, Y, X], 0 or 1.

    Returns:
        A float32 scalar.
    """
    logits, masks = logits.float(), masks.float()
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")  # [B, classes, Y, X]
    wrong = (logits.sigmoid() - masks).abs()
    return (wrong**FOCAL_GAMMA * entropy).mean((0, 2, 3)).sum()
