"""Masked feature distillation: DistillBEV's feature loss, and DualDistill's MFD, which is the same with other adapters.

Re-implementation following the public code of both (commits 3e8f6a4 and e16e167): region masks, size-balanced scales,
spatial attention of both networks, imitation of the teacher's mean activation, and the teacher's false alarms at the
neck.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bevdeploy.distill.attention import TEMPERATURE, channel_attention, spatial_attention
from bevdeploy.distill.center_targets import center_targets
from bevdeploy.distill.masked_mse import attended_sum, masked_sum, squared_error
from bevdeploy.distill.planes import Plane, Resample, plane_of
from bevdeploy.distill.protocol import Distiller, DistillTruth
from bevdeploy.distill.region_maps import Point, RegionMaps, region_maps
from bevdeploy.distill.taps import Taps
from bevdeploy.tasks import TaskSpec

NECK = "bev_neck"
REFERENCE = {"bev_s1": (128, 128, 128), "bev_s2": (256, 64, 64), NECK: (384, 128, 128)}
"""C, Y, X of the teacher's features that the published weights belong to, over +-51.2 m."""
REFERENCE_EXTENT_M = 102.4

Adapter = Callable[[int, int, tuple[int, int], tuple[int, int]], nn.Module]
"""Student channels, teacher channels, student size, teacher size to a module."""


@dataclass(frozen=True)
class MaskedFeatureSettings:
    """Published numbers of DistillBEV and DualDistill with a BEVDepth student."""

    pairs: tuple[str, ...] = ("bev_s1", "bev_s2", NECK)
    """Features that are compared, each with the teacher's of the same name."""
    foreground: float = 6e-3
    background: float = 4e-2
    false_positive: float = 6e-2
    """At the neck only; 0 for no such region."""
    imitation: float = 2.5e-3
    temperature: float = TEMPERATURE
    alarm: float = 0.1
    """A false alarm: the teacher's probability is above it, the true heat map below."""
    point: Point = "centre"
    """What of a cell must lie in a box to be foreground; "corner" as in the public code."""
    rescale: bool = True
    """Weights are carried over to other channel counts and cells, so that each term keeps its published size."""


@dataclass(frozen=True)
class PairWeights:
    """Weights of one pair."""

    foreground: float
    background: float
    false_positive: float
    imitation: float


def pair_weights(settings: MaskedFeatureSettings, name: str, channels: int, plane: Plane) -> PairWeights:
    """The published weights for a feature of other size.

    All terms but imitation sum over channels. The foreground's also grows with the root of the cells of a box, that is
    with 1 / cell; background and false alarms are means over their cells; imitation sums over cells.
    """
    if not settings.rescale:
        return PairWeights(settings.foreground, settings.background, settings.false_positive, settings.imitation)
    old_channels, old_rows, old_columns = REFERENCE.get(name, REFERENCE[NECK])
    per_channel = old_channels / channels
    cell_ratio = plane.cell_area_m2**0.5 / (REFERENCE_EXTENT_M / old_rows)
    return PairWeights(
        settings.foreground * per_channel * cell_ratio,
        settings.background * per_channel,
        settings.false_positive * per_channel,
        settings.imitation * old_rows * old_columns / (plane.count[0] * plane.count[1]),
    )


class FeaturePair(nn.Module):
    """One student feature against one teacher feature, in the teacher's channels and cells."""

    def __init__(self, adapter: nn.Module, weights: PairWeights, temperature: float) -> None:
        super().__init__()
        self.adapter = adapter
        self.imitation = nn.Conv2d(1, 1, 3, padding=1)
        self.weights = weights
        self.temperature = temperature

    def forward(self, adapted: Tensor, teacher: Tensor, regions: RegionMaps, alarms: bool = False) -> dict[str, Tensor]:
        """Adapted student feature and teacher feature, both [B, C, Y, X], to weighted terms.

        With `alarms` also that of the teacher's false alarms.
        """
        weights, squared = self.weights, squared_error(adapted, teacher)  # [B, C, Y, X]
        with torch.no_grad():
            attention = spatial_attention(adapted, self.temperature) + spatial_attention(teacher, self.temperature)
            attention = attention / 2  # [B, 1, Y, X]
            balanced = regions.scale * attention
        by_cell = squared.sum(1, keepdim=True)  # [B, 1, Y, X]
        imitated = self.imitation(adapted.mean(1, keepdim=True)).float()  # [B, 1, Y, X]
        difference = (teacher.float().mean(1, keepdim=True) - imitated).abs()
        terms = {
            "foreground": weights.foreground * masked_sum(by_cell, regions.foreground * balanced),
            "background": weights.background * masked_sum(by_cell, regions.background * balanced),
            "imitation": weights.imitation * difference.sum() / len(adapted),
        }
        if alarms:
            channels = channel_attention(teacher, self.temperature)  # [B, C, 1, 1]
            seen = attended_sum(squared, attention * regions.false_positive_scale, channels)
            terms["false_positive"] = weights.false_positive * seen
        return terms


class MaskedFeatures(nn.Module):
    """All pairs of a distiller."""

    def __init__(self, distiller: Distiller, settings: MaskedFeatureSettings, adapters: Mapping[str, Adapter]) -> None:
        super().__init__()
        self.settings = settings
        self.tasks = distiller.student_form.tasks
        self.planes = {name: distiller.shared_plane(name) for name in settings.pairs}
        self.pairs, self.to_plane = nn.ModuleDict(), nn.ModuleDict()
        for name, plane in self.planes.items():
            inputs, *size = distiller.student_form.features[name]
            outputs = distiller.teacher_form.features[name][0]
            adapter = adapters[name](inputs, outputs, (size[0], size[1]), plane.size)
            self.pairs[name] = FeaturePair(adapter, pair_weights(settings, name, outputs, plane), settings.temperature)
            self.to_plane[name] = Resample(distiller.teacher_plane(name), plane)
        self.alarms = settings.false_positive > 0 and NECK in settings.pairs
        self.teacher_grid = distiller.teacher_form.grid

    def forward(self, student: Taps, teacher: Taps, truth: DistillTruth) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted terms, and the student's features [B, C, Y, X] in the teacher's channels and cells."""
        terms, adapted = {}, {}
        valid = truth.labels >= 0  # [B, n]
        for name, pair in self.pairs.items():
            assert isinstance(pair, FeaturePair)
            plane, target = self.planes[name], self.to_plane[name](teacher.feature(name))
            adapted[name] = pair.adapter(student.feature(name))
            with_alarms = self.alarms and name == NECK
            alarms = self._false_alarms(teacher, truth, plane) if with_alarms else None
            regions = region_maps(truth.boxes, valid, plane, alarms, self.settings.point)
            for kind, term in pair(adapted[name], target, regions, with_alarms).items():
                terms[f"{kind}.{name}"] = term
        return terms, adapted

    def _false_alarms(self, teacher: Taps, truth: DistillTruth, plane: Plane) -> Tensor:
        heatmap = teacher.output("heatmap")
        source = plane_of(self.teacher_grid, (heatmap.shape[-2], heatmap.shape[-1]))
        return false_alarms(heatmap, source, truth, plane, self.tasks, self.settings.alarm)


@torch.no_grad()
def false_alarms(
    heatmap: Tensor, heatmap_plane: Plane, truth: DistillTruth, plane: Plane, tasks: TaskSpec, threshold: float
) -> Tensor:
    """Where the teacher's heat map logits [B, classes, y, x] exceed a probability that the true heat map stays below.

    Returns:
        Bool [B, 1, Y, X] on `plane`.
    """
    highest = heatmap.float().sigmoid().amax(1, keepdim=True)  # [B, 1, y, x]
    seen: Tensor = Resample(heatmap_plane, plane).to(heatmap.device)(highest)  # [B, 1, Y, X]
    weights = (truth.labels >= 0).float()  # [B, n]
    true = center_targets(truth.boxes, truth.labels, weights, plane, tasks).heatmap.amax(1, keepdim=True)
    return (seen > threshold) & (true < threshold)
