"""DistillBEV (Wang et al., ICCV 2023): feature distillation at three scales under region masks and attention.

Re-implementation following the public code (commit 3e8f6a4), setting of its BEVDepth student. Adapters: upsampling and
three 1x1 convolutions for the two backbone stages, one 1x1 convolution for the neck.
"""

from __future__ import annotations

from torch import Tensor, nn

from bevdeploy.distill.adapters import UpsampleConvolutions, UpsamplePointwise
from bevdeploy.distill.masked_features import NECK, MaskedFeatures, MaskedFeatureSettings
from bevdeploy.distill.protocol import Distiller, DistillTruth
from bevdeploy.distill.taps import TapForm, Taps


class DistillBEV(Distiller):
    """Terms `foreground.`, `background.`, `imitation.` and, at the neck, `false_positive.` of each pair."""

    def __init__(self, student: TapForm, teacher: TapForm, settings: MaskedFeatureSettings | None = None) -> None:
        settings = settings or MaskedFeatureSettings()
        super().__init__(student, teacher, settings.pairs, alarm_outputs(settings))
        adapters = {name: neck_adapter if name == NECK else stage_adapter for name in settings.pairs}
        self.masked = MaskedFeatures(self, settings, adapters)

    def terms(self, student: Taps, teacher: Taps, truth: DistillTruth, progress: float) -> dict[str, Tensor]:
        """Weighted terms; `progress` changes nothing."""
        terms, _ = self.masked(student, teacher, truth)
        return dict(terms)


def alarm_outputs(settings: MaskedFeatureSettings) -> tuple[str, ...]:
    """What of the teacher's outputs the false alarms are seen in."""
    return ("heatmap",) if settings.false_positive > 0 and NECK in settings.pairs else ()


def stage_adapter(inputs: int, outputs: int, size: tuple[int, int], teacher_size: tuple[int, int]) -> nn.Module:
    """Upsample and three 1x1 convolutions."""
    return UpsampleConvolutions(inputs, outputs, teacher_size)


def neck_adapter(inputs: int, outputs: int, size: tuple[int, int], teacher_size: tuple[int, int]) -> nn.Module:
    """One 1x1 convolution."""
    return UpsamplePointwise(inputs, outputs, teacher_size)
