"""TinyBEV (Khan and Gauch, arXiv 2509.18372): feature, output and adaptive region-aware supervision in three stages.

Inspired by the abstract, which names these three ingredients, the five tasks and a UniAD teacher; losses, weights,
masks and stages are not public and ours.

| stage | share of training | loss |
| --- | --- | --- |
| 1 | 8 / 28 | features, no tasks |
| 2 | 8 / 28 | tasks, outputs without region weights |
| 3 | 12 / 28 | tasks, features, 0.5 outputs, both with adaptive region weights |
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bevdeploy.distill.adapters import pointwise
from bevdeploy.distill.attention import TEMPERATURE, spatial_attention
from bevdeploy.distill.center_loss import box_loss, heatmap_loss
from bevdeploy.distill.center_targets import CenterTargets, center_targets
from bevdeploy.distill.cross_head import BOX_WEIGHT
from bevdeploy.distill.dense_outputs import map_plane, teacher_probability
from bevdeploy.distill.masked_mse import squared_error
from bevdeploy.distill.motion_response import motion_terms
from bevdeploy.distill.plan_response import occupied_share, plan_error
from bevdeploy.distill.planes import Resample, occupancy_plane
from bevdeploy.distill.protocol import Distiller, DistillTruth
from bevdeploy.distill.region_weight import disagreement, normalised, teacher_regions
from bevdeploy.distill.schedule import Stage, stage_at
from bevdeploy.distill.soft_masks import soft_dice, weighted_cross_entropy
from bevdeploy.distill.standardise import FRAMES, Standardise
from bevdeploy.distill.taps import TapForm, Taps
from bevdeploy.distill.teacher_boxes import MIN_SCORE, ScoredBoxes, scored_boxes
from bevdeploy.errors import TrainingError

NECK = "bev_neck"
TASK_OUTPUTS = {
    "detection": ("heatmap", "box_codes"),
    "map": ("map_logits",),
    "occupancy": ("occupancy_logits",),
    "motion": ("heatmap", "box_codes", "agents", "trajectory_offsets", "trajectory_logits"),
    "plan": ("plans",),
}
"""What each task reads of both networks."""
STEP_DISCOUNT = 0.95
"""Weight of an occupancy step over the one before it, as in UniAD."""
COLLISION_WEIGHT = 0.5
ATTENTION_WEIGHT = 0.5
STAGES = (
    Stage(8, task=0.0, feature=1.0, output=0.0, adaptive=False),
    Stage(8, task=1.0, feature=0.0, output=1.0, adaptive=False),
    Stage(12, task=1.0, feature=1.0, output=0.5, adaptive=True),
)
"""Shares in epochs of 28."""


@dataclass(frozen=True)
class TinyBEVSettings:
    """Ours."""

    tasks: tuple[str, ...] = ("detection", "map", "occupancy", "motion", "plan")
    """Tasks whose outputs teach and make regions: those that the teacher has."""
    staged: bool = True
    """False: the third stage from the beginning."""
    feature_weight: float = 1.0
    output_weight: float = 1.0
    adaptive: float = 1.0
    """What b rises to, linearly over the training; 0 leaves regions to the teacher alone."""
    temperature: float = TEMPERATURE
    statistics_frames: int = FRAMES


class TinyBEV(Distiller):
    """Terms `feature`, `attention` and, per task, `detection.`, `map.`, `occupancy.`, `motion.` and `plan.`.

    Terms of a stage that has none of them are 0 and keep their graph, so that every parameter has a gradient in every
    stage, as wrappers for several processes ask.
    """

    def __init__(self, student: TapForm, teacher: TapForm, settings: TinyBEVSettings | None = None) -> None:
        settings = settings or TinyBEVSettings()
        unknown = [task for task in settings.tasks if task not in TASK_OUTPUTS]
        if unknown:
            raise TrainingError(f"tasks: {', '.join(unknown)} are none of {', '.join(TASK_OUTPUTS)}")
        outputs = [name for task in settings.tasks for name in TASK_OUTPUTS[task]]
        super().__init__(student, teacher, (NECK,), outputs)
        self.settings = settings
        self.stages = STAGES if settings.staged else STAGES[-1:]
        channels = teacher.features[NECK][0]
        self.standardise = Standardise(channels, settings.statistics_frames)
        self.to_student = self.teacher_on_student(NECK)
        self.adapter = pointwise(student.features[NECK][0], channels)
        plane = map_plane(student)
        self.to_map, self.from_map = Resample(self.student_plane(), plane), Resample(plane, self.student_plane())
        self.to_occupancy = Resample(self.student_plane(), occupancy_plane(student.tasks))

    def task_weight(self, progress: float) -> float:
        """0 in the first stage, then 1."""
        return stage_at(self.stages, progress).task

    def terms(self, student: Taps, teacher: Taps, truth: DistillTruth, progress: float) -> dict[str, Tensor]:
        """Weighted terms of the stage."""
        stage = stage_at(self.stages, progress)
        target = self.to_student(self.standardise(teacher.feature(NECK)))  # [B, Ct, Y, X]
        adapted = self.adapter(student.feature(NECK)).float()  # [B, Ct, Y, X]
        drawn = self.drawn_boxes(teacher)
        b = self.settings.adaptive * progress if stage.adaptive else 0.0
        weight = self.region_weight(teacher, student, truth, drawn)  # [B, 1, Y, X]
        weight = normalised(weight * (1 + b * disagreement(adapted, target)))
        features = self.feature_terms(student.feature(NECK), adapted, target, weight)
        outputs = self.output_terms(student, teacher, drawn, weight if stage.adaptive else torch.ones_like(weight))
        by_feature = stage.feature * self.settings.feature_weight
        by_output = stage.output * self.settings.output_weight
        return {
            **{name: by_feature * term for name, term in features.items()},
            **{name: by_output * term for name, term in outputs.items()},
        }

    def feature_terms(self, own: Tensor, adapted: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Region-weighted squared error of features, and L1 of attention maps.

        Args:
            own: the student's feature [B, Cs, Y, X].
            adapted: the same in the teacher's channels [B, Ct, Y, X].
            target: the teacher's, standardised [B, Ct, Y, X].
            weight: [B, 1, Y, X] of mean 1.
        """
        error = squared_error(adapted, target).mean(1, keepdim=True)  # [B, 1, Y, X]
        temperature = self.settings.temperature
        attended = (spatial_attention(target, temperature) - spatial_attention(own, temperature)).abs()
        return {"feature": (weight * error).mean(), "attention": ATTENTION_WEIGHT * attended.mean()}

    def output_terms(
        self, student: Taps, teacher: Taps, drawn: CenterTargets | None, weight: Tensor
    ) -> dict[str, Tensor]:
        """Terms of the settings' tasks, the cells of map and occupancy weighted by [B, 1, Y, X]."""
        tasks, chosen = self.student_form.tasks, self.settings.tasks
        terms: dict[str, Tensor] = {}
        if drawn is not None and "detection" in chosen:
            terms["detection.heatmap"] = heatmap_loss(student.output("heatmap"), drawn, tasks)
            terms["detection.boxes"] = BOX_WEIGHT * box_loss(student.output("box_codes"), drawn, tasks)
        if "map" in chosen:
            logits, taught = student.output("map_logits"), teacher_probability(self, student, teacher, "map_logits")
            cells = normalised(self.to_map(weight))  # [B, 1, Y, X]
            terms["map.cross_entropy"] = weighted_cross_entropy(logits, taught, cells)
            terms["map.dice"] = soft_dice(logits, taught)
        occupancy = None
        if "occupancy" in chosen:
            occupancy = teacher_probability(self, student, teacher, "occupancy_logits")  # [B, steps, side, side]
            discount = STEP_DISCOUNT ** torch.arange(occupancy.shape[1], device=occupancy.device)  # [steps]
            cells = normalised(self.to_occupancy(weight)) * discount[:, None, None]  # [B, steps, side, side]
            terms["occupancy.cross_entropy"] = weighted_cross_entropy(
                student.output("occupancy_logits"), occupancy, cells
            )
        if "motion" in chosen:
            ours, theirs = scored_boxes(student, self.student_form), self.teacher_boxes(teacher)
            terms["motion.offsets"], terms["motion.modes"] = motion_terms(student, teacher, ours, theirs)
        if "plan" in chosen:
            plans = student.output("plans")
            terms["plan.error"] = plan_error(plans, teacher.output("plans"))
            if occupancy is not None:
                share = occupied_share(plans, occupancy, occupancy_plane(tasks), tasks)
                terms["plan.collision"] = COLLISION_WEIGHT * share
        return terms

    def region_weight(self, teacher: Taps, student: Taps, truth: DistillTruth, drawn: CenterTargets | None) -> Tensor:
        """The teacher's regions [B, 1, Y, X], of mean 1; the plan's corridor is that of the driven command."""
        maps = paths_m = None
        if "map" in self.settings.tasks:
            maps = self.from_map(teacher_probability(self, student, teacher, "map_logits"))
        if "plan" in self.settings.tasks:
            plans = teacher.output("plans").float()  # [B, commands, steps, 2]
            paths_m = plans[torch.arange(len(plans), device=plans.device), truth.command, None]  # [B, 1, steps, 2]
        objects = None if drawn is None else drawn.heatmap
        weight = teacher_regions(self.student_plane(), objects, maps, paths_m)
        feature = student.feature(NECK)
        return normalised(weight * feature.new_ones(len(feature), 1, *feature.shape[-2:], dtype=torch.float32))

    def drawn_boxes(self, teacher: Taps) -> CenterTargets | None:
        """The teacher's boxes on the student's cells, peaks as high as their scores; None where it detects nothing."""
        if not {"detection", "motion"} & set(self.settings.tasks):
            return None
        boxes = self.teacher_boxes(teacher)
        labels = torch.where(boxes.scores >= MIN_SCORE, boxes.labels, -1)
        return center_targets(boxes.boxes, labels, boxes.scores, self.student_plane(), self.student_form.tasks)

    def teacher_boxes(self, teacher: Taps) -> ScoredBoxes:
        """The teacher's detections in metres."""
        return scored_boxes(teacher, self.teacher_form)
