"""DualDistill (Kim et al., BMVC 2025): attention-guided orthogonal alignment, masked features, cross-head responses.

Re-implementation following the public code (commit e16e167). AOA adapts the two backbone stages, a 1x1 convolution the
neck; the masked feature loss (MFD) is DistillBEV's; the neck's adapted features also pass the teacher's frozen
detection head (CRD), against the teacher's own boxes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from bevdeploy.distill.aoa import AttentionOrthogonalAlignment
from bevdeploy.distill.cross_head import frozen_head, response_terms
from bevdeploy.distill.distillbev import alarm_outputs, neck_adapter
from bevdeploy.distill.masked_features import NECK, MaskedFeatures, MaskedFeatureSettings
from bevdeploy.distill.planes import plane_of
from bevdeploy.distill.protocol import Distiller, DistillTruth
from bevdeploy.distill.pseudo_boxes import BoxRule, pseudo_boxes
from bevdeploy.distill.taps import TapForm, Taps
from bevdeploy.errors import TrainingError

Response = Literal["teacher_head", "own_head", "none"]


@dataclass(frozen=True)
class DualDistillSettings:
    """Published numbers."""

    masked: MaskedFeatureSettings = field(default_factory=MaskedFeatureSettings)
    attention_heads: int = 8
    response: Response = "teacher_head"
    """Whose head the responses come from. "own_head" is a substitute of ours for a cache without the teacher's head:
    the student's own predictions against the teacher's boxes."""
    response_weight: float = 1.0
    boxes: BoxRule = field(default_factory=BoxRule)


class DualDistill(Distiller):
    """DistillBEV's terms, `response.heatmap` and `response.boxes`.

    Raises:
        TrainingError: the settings ask for the teacher's head and the teacher has none.
    """

    def __init__(self, student: TapForm, teacher: TapForm, settings: DualDistillSettings | None = None) -> None:
        settings = settings or DualDistillSettings()
        responses = settings.response != "none"
        outputs = (*alarm_outputs(settings.masked), *(("heatmap", "box_codes") if responses else ()))
        super().__init__(student, teacher, settings.masked.pairs, outputs)
        if settings.response == "teacher_head" and (teacher.head is None or NECK not in settings.masked.pairs):
            lacking = (
                f"{NECK} is not in masked.pairs" if teacher.head else "this teacher comes without a detection head"
            )
            raise TrainingError(
                f"dualdistill passes the student's {NECK} through the teacher's detection head, but {lacking}; keep "
                'the head beside the cached features, or set response = "own_head" or "none"'
            )
        self.settings = settings
        self._head = (frozen_head(teacher.head) if teacher.head else None,)  # in a tuple: no sub-module

        def stage(inputs: int, outputs: int, size: tuple[int, int], teacher_size: tuple[int, int]) -> nn.Module:
            return AttentionOrthogonalAlignment(inputs, outputs, size, teacher_size, settings.attention_heads)

        adapters = {name: neck_adapter if name == NECK else stage for name in settings.masked.pairs}
        self.masked = MaskedFeatures(self, settings.masked, adapters)

    def terms(self, student: Taps, teacher: Taps, truth: DistillTruth, progress: float) -> dict[str, Tensor]:
        """Weighted terms; `progress` changes nothing, false alarms count from the first step."""
        terms, adapted = self.masked(student, teacher, truth)
        if self.settings.response == "none":
            return dict(terms)
        tasks, heatmap = self.teacher_form.tasks, teacher.output("heatmap")
        plane = plane_of(self.teacher_form.grid, (heatmap.shape[-2], heatmap.shape[-1]))
        boxes, labels = pseudo_boxes(heatmap, teacher.output("box_codes"), plane, tasks, self.settings.boxes)
        head = self._head[0]
        if self.settings.response == "teacher_head":
            assert head is not None
            ours, codes = head(adapted[NECK])
            at = plane_of(self.student_form.grid, (ours.shape[-2], ours.shape[-1]))
        else:
            ours, codes, at = student.output("heatmap"), student.output("box_codes"), self.student_plane()
        responses = response_terms(ours, codes, boxes, labels, at, tasks)
        self.readings["pseudo_boxes"] = (labels >= 0).sum().float() / len(labels)
        return {**terms, **{name: self.settings.response_weight * term for name, term in responses.items()}}
