"""No distillation: the student learns from annotations alone. The baseline of every comparison."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bevdeploy.distill.protocol import Distiller, DistillTruth
from bevdeploy.distill.taps import TapForm, Taps


@dataclass(frozen=True)
class NoSettings:
    """Nothing to set."""


class NoDistillation(Distiller):
    """No terms, no parameters; the teacher is not read."""

    def __init__(self, student: TapForm, teacher: TapForm, settings: NoSettings | None = None) -> None:
        super().__init__(student, teacher)

    def terms(self, student: Taps, teacher: Taps, truth: DistillTruth, progress: float) -> dict[str, Tensor]:
        """Nothing."""
        return {}
