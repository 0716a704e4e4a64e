"""Taps of a teacher, under the names of a student's.

| name | of `bevdeploy.models.teachers.Teacher` |
| --- | --- |
| `lift` | the fuser's output, what enters the backbone; of lidar alone, the pillars |
| `bev_s0`, `bev_s1`, `bev_s2` | the backbone's stages, two or three |
| `bev_neck` | the neck's output, which all heads share |
"""

from __future__ import annotations

from torch import nn

from bevdeploy.distill.taps import ModuleTaps, Site, TapForm
from bevdeploy.errors import TrainingError
from bevdeploy.models.outputs import dense_outputs
from bevdeploy.models.teachers.teacher import Teacher


class TeacherTaps(ModuleTaps):
    """Hooks on a teacher."""

    def __init__(self, teacher: Teacher) -> None:
        sites: dict[str, Site] = {"lift": (teacher.backbone, True)}
        sites |= {f"bev_s{n}": (stage, False) for n, stage in enumerate(teacher.backbone.stages)}
        super().__init__({**sites, "bev_neck": (teacher.neck, False)})


def teacher_form(teacher: Teacher) -> TapForm:
    """What a teacher taps, from its modules alone.

    Raises:
        TrainingError: a stage of the backbone does not begin with a convolution.
    """
    _, rows, columns = teacher.spec.geometry.grid.shape_zyx
    scale = teacher.backbone_scale
    size = rows * scale, columns * scale
    features = {}
    for n, stage in enumerate(teacher.backbone.stages):
        first = next((module for module in stage.modules() if isinstance(module, nn.Conv2d)), None)
        if first is None:
            raise TrainingError(f"{teacher.spec.name}: stage {n} of the backbone does not begin with a convolution")
        if n == 0:
            features["lift"] = (first.in_channels, *size)
        size = -(-size[0] // first.stride[0]), -(-size[1] // first.stride[1])  # a 3x3 convolution rounds up
        features[f"bev_s{n}"] = (first.out_channels, *size)
    features["bev_neck"] = (teacher.neck.channels, rows, columns)
    tasks = teacher.spec.tasks
    return TapForm(features, frozenset(dense_outputs(tasks)), teacher.spec.geometry.grid, tasks, head=teacher.detection)
