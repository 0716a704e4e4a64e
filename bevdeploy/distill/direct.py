"""Direct distillation: the student's features and outputs straight against the teacher's. The control for BridgeTA.

Plain knowledge distillation, ours in every number: BridgeTA without its assistant, with the same levels, the same
standardised teacher, the same adapters and the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from bevdeploy.distill.adapters import pointwise
from bevdeploy.distill.dense_outputs import check_dense, teacher_probability
from bevdeploy.distill.masked_mse import mean_squared_error
from bevdeploy.distill.protocol import Distiller, DistillTruth
from bevdeploy.distill.schedule import WARM_UP, ramped
from bevdeploy.distill.standardise import FRAMES, Standardise
from bevdeploy.distill.taps import TapForm, Taps


@dataclass(frozen=True)
class DirectSettings:
    """What is compared, and with which weights; 0.1 and 10 make each term some 0.1 to 0.5 of the task loss."""

    features: tuple[str, ...] = ("lift", "bev_neck")
    outputs: tuple[str, ...] = ("map_logits",)
    """Of heatmap, map_logits and occupancy_logits."""
    feature_weight: float = 0.1
    output_weight: float = 10.0
    warm_up: float = WARM_UP
    statistics_frames: int = FRAMES
    """Samples that the teacher's means and deviations are taken from."""


class DirectDistillation(Distiller):
    """Terms `feature.NAME`, squared error in the teacher's standardised space, and `output.NAME`, of probabilities."""

    def __init__(self, student: TapForm, teacher: TapForm, settings: DirectSettings | None = None) -> None:
        settings = settings or DirectSettings()
        super().__init__(student, teacher, settings.features, check_dense(settings.outputs))
        self.settings = settings
        self.standardise, self.to_student, self.adapters = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for name in self.features:
            channels = teacher.features[name][0]
            self.standardise[name] = Standardise(channels, settings.statistics_frames)
            self.to_student[name] = self.teacher_on_student(name)
            self.adapters[name] = pointwise(student.features[name][0], channels)

    def terms(self, student: Taps, teacher: Taps, truth: DistillTruth, progress: float) -> dict[str, Tensor]:
        """Weighted terms; weights rise linearly from 0 over the warm-up."""
        ramp = ramped(progress, self.settings.warm_up)
        terms = {}
        for name in self.features:
            target = self.to_student[name](self.standardise[name](teacher.feature(name)))  # [B, Ct, Y, X]
            error = mean_squared_error(self.adapters[name](student.feature(name)), target)
            terms[f"feature.{name}"] = ramp * self.settings.feature_weight * error
        for name in self.outputs:
            target = teacher_probability(self, student, teacher, name)  # [B, C, Y, X]
            error = mean_squared_error(student.output(name).float().sigmoid(), target)
            terms[f"output.{name}"] = ramp * self.settings.output_weight * error
        return terms
