"""BridgeTA (Kim et al., arXiv 2508.09599): a training-only assistant between teacher and student, and a dual-path loss.

The published idea; sizes, levels and weights are ours: the paper's layers and weights are not public. Here are three
levels (view-transform output, neck output, dense outputs), squared distances in the teacher's standardised space and of
probabilities, and coefficients from Young's inequality (`dual_path`).

The assistant is detached in neither path. It sees the teacher, so if only the teacher's path trained it, it would copy
the teacher and the method would be direct distillation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bevdeploy.distill.adapters import pointwise
from bevdeploy.distill.assistant import ASSISTANTS, Levels
from bevdeploy.distill.center_loss import heatmap_loss
from bevdeploy.distill.center_targets import center_targets
from bevdeploy.distill.dense_outputs import check_dense, map_focal, map_plane, teacher_probability
from bevdeploy.distill.dual_path import dual_path, tightest_eps
from bevdeploy.distill.masked_mse import mean_squared_error, squared_error
from bevdeploy.distill.planes import Plane, Resample
from bevdeploy.distill.protocol import Distiller, DistillTruth
from bevdeploy.distill.schedule import WARM_UP, ramped
from bevdeploy.distill.standardise import FRAMES, Standardise
from bevdeploy.distill.taps import TapForm, Taps

LEVELS = ("lift", "bev_neck")
"""Low and high."""


@dataclass(frozen=True)
class BridgeTASettings:
    """Ours. To calibrate: let each level weigh 0.3 of the map loss after 200 steps."""

    assistant: Literal["chain", "fusers"] = "chain"
    width: int = 128
    outputs: tuple[str, ...] = ("map_logits",)
    """Third level, of map_logits and heatmap."""
    eps: float = 1.0
    """Above 1 stresses the teacher's path, below 1 the student's."""
    eps_rule: Literal["fixed", "adaptive"] = "fixed"
    """Adaptive: |A - S| / |T - A| of the batch, where the bound is tightest."""
    low_weight: float = 0.1
    high_weight: float = 0.1
    output_weight: float = 10.0
    assistant_weight: float = 1.0
    """Of the assistant's own task losses, which keep it more than an average of the two."""
    output_distance: Literal["squared", "cross_entropy"] = "squared"
    """Cross-entropy is common, but the inequality does not cover it."""
    emphasis: float = 0.0
    """Cells of any map class weigh 1 + emphasis before the mean is brought back to 1."""
    detach_student_input: bool = False
    """The assistant then trains the student by its distances alone, not through its own input."""
    warm_up: float = WARM_UP
    statistics_frames: int = FRAMES


class BridgeTA(Distiller):
    """Terms `low`, `high`, `output.NAME` and `assistant.NAME`.

    `readings` holds |T - A| / |T - S| of each feature level: near 0 the assistant has become the teacher, near 1 the
    student.
    """

    def __init__(self, student: TapForm, teacher: TapForm, settings: BridgeTASettings | None = None) -> None:
        settings = settings or BridgeTASettings()
        outputs = check_dense(settings.outputs, ("map_logits", "heatmap"))
        super().__init__(student, teacher, LEVELS, outputs)
        self.settings = settings
        ours, theirs = ([form.features[name][0] for name in LEVELS] for form in (student, teacher))
        classes = {"map_logits": len(student.tasks.map_classes), "heatmap": len(student.tasks.classes)}
        self.assistant = ASSISTANTS[settings.assistant](
            (theirs[0], ours[0]), (theirs[1], ours[1]), settings.width, {name: classes[name] for name in self.outputs}
        )
        planes = {"map_logits": map_plane(student), "heatmap": self.student_plane()}
        self.output_planes = {name: planes[name] for name in self.outputs}
        self.to_output = nn.ModuleDict(
            {name: Resample(self.student_plane("lift"), plane) for name, plane in self.output_planes.items()}
        )
        self.standardise, self.to_student = nn.ModuleDict(), nn.ModuleDict()
        self.student_adapters, self.assistant_adapters = nn.ModuleDict(), nn.ModuleDict()
        for name, inputs, channels in zip(LEVELS, ours, theirs, strict=True):
            self.standardise[name] = Standardise(channels, settings.statistics_frames)
            self.to_student[name] = self.teacher_on_student(name)
            self.student_adapters[name] = pointwise(inputs, channels)
            self.assistant_adapters[name] = pointwise(settings.width, channels)

    def terms(self, student: Taps, teacher: Taps, truth: DistillTruth, progress: float) -> dict[str, Tensor]:
        """Weighted terms; those of the two paths rise linearly from 0 over the warm-up."""
        targets = {name: self.to_student[name](self.standardise[name](teacher.feature(name))) for name in LEVELS}
        assistant = self.assisted(targets, student)
        ramp = ramped(progress, self.settings.warm_up)
        terms = {}
        levels = zip(("low", "high"), LEVELS, (assistant.low, assistant.high), strict=True)
        for level, name, hidden in levels:
            ours = self.student_adapters[name](student.feature(name)).float()  # [B, Ct, Y, X]
            between = self.assistant_adapters[name](hidden).float()  # [B, Ct, Y, X]
            weight = getattr(self.settings, f"{level}_weight")
            plane, target = self.student_plane(name), targets[name]
            paths = self.distance(target, between, truth, plane), self.distance(between, ours, truth, plane)
            terms[level] = ramp * weight * dual_path(*paths, self.eps(*paths))
            with torch.no_grad():
                direct = self.distance(target, ours, truth, plane).clamp(min=1e-12)
                self.readings[f"assistant_share.{level}"] = (paths[0] / direct).sqrt()
        for name in self.outputs:
            target = teacher_probability(self, student, teacher, name)  # [B, C, Y, X]
            logits, ours = self.to_output[name](assistant.outputs[name]), student.output(name).float()
            weight = ramp * self.settings.output_weight
            between, plane = logits.sigmoid(), self.output_planes[name]
            if self.settings.output_distance == "squared":
                to_student = self.distance(between, ours.sigmoid(), truth, plane)
                paths = self.distance(target, between, truth, plane), to_student
            else:
                paths = F.binary_cross_entropy_with_logits(logits, target), soft_cross_entropy(ours, between)
            terms[f"output.{name}"] = weight * dual_path(*paths, self.eps(*paths))
            terms[f"assistant.{name}"] = self.settings.assistant_weight * self.task_loss(name, logits, truth)
        return terms

    def assisted(self, targets: dict[str, Tensor], student: Taps) -> Levels:
        """What the assistant makes of both networks' features."""
        ours = [student.feature(name) for name in LEVELS]
        if self.settings.detach_student_input:
            ours = [feature.detach() for feature in ours]
        levels: Levels = self.assistant((targets["lift"], targets["bev_neck"]), (ours[0], ours[1]))
        return levels

    def distance(self, a: Tensor, b: Tensor, truth: DistillTruth, plane: Plane) -> Tensor:
        """Squared error of [B, C, Y, X] each on `plane`, mean over channels and cells."""
        if self.settings.emphasis == 0:
            return mean_squared_error(a, b)
        return (self.cell_weight(truth, plane) * squared_error(a, b)).mean()

    def eps(self, teacher_assistant: Tensor, assistant_student: Tensor) -> float | Tensor:
        """The settings' eps, or the one that makes the bound tightest for these squared distances."""
        if self.settings.eps_rule == "fixed":
            return self.settings.eps
        return tightest_eps(teacher_assistant, assistant_student)

    def cell_weight(self, truth: DistillTruth, plane: Plane) -> Tensor:
        """Weights [B, 1, Y, X] of mean 1, higher on cells that any map class touches."""
        masks = truth.map_masks.float().amax(1, keepdim=True)  # [B, 1, y, x]
        mapped = (Resample(map_plane(self.student_form), plane).to(masks.device)(masks) > 0).float()  # [B, 1, Y, X]
        weight: Tensor = 1 + self.settings.emphasis * mapped
        return weight / weight.mean()

    def task_loss(self, name: str, logits: Tensor, truth: DistillTruth) -> Tensor:
        """The assistant's own loss against the annotations."""
        if name == "map_logits":
            return map_focal(logits, truth.map_masks)
        tasks, weights = self.student_form.tasks, (truth.labels >= 0).float()
        targets = center_targets(truth.boxes, truth.labels, weights, self.student_plane(), tasks)
        return heatmap_loss(logits, targets, tasks)


def soft_cross_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Mean binary cross-entropy of logits against probabilities, with gradients to both."""
    return (F.softplus(logits) - probabilities * logits).mean()
