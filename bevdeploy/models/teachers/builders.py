"""One function per named teacher. `TEACHERS` at the end is the whole registry.

Sizes of `centerpoint_pillar` and `bevfusion_lc` are the published ones by default (CenterPoint's 0.2 m pillars,
mmdet3d's configuration; BEVFusion's map segmentation, with pillars in place of its sparse encoder and ResNet-18 in
place of Swin-T: ours); `width` and `cell_m` scale them down. `planner_lc` stands for UniAD where UniAD cannot run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from torch import nn

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry
from bevdeploy.models.blocks import conv_bn_relu
from bevdeploy.models.builders import task_heads
from bevdeploy.models.image_encoder import ImageEncoder
from bevdeploy.models.resnet import STRIDE_C4
from bevdeploy.models.spec import StudentSpec
from bevdeploy.models.teachers.pillars import PillarEncoder
from bevdeploy.models.teachers.second import SecondBackbone, SecondFPN
from bevdeploy.models.teachers.teacher import CameraBranch, Teacher, fused
from bevdeploy.models.view_transform import ViewTransform
from bevdeploy.tasks import TaskSpec

HALF_EXTENT_M = 51.2
HEIGHT_M = (-5.0, 3.0)
DEPTHS_M = (1.0, 60.0)
LIDAR_FEATURES = 5
"""x, y, z, intensity, age."""
VIRTUAL_FEATURES = 17
"""MVP's points (Yin et al., 2021): x, y, z, reflectance, 11 label numbers, virtual flag, age."""
BEVFUSION_CLASSES = ("drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area", "divider")


def centerpoint_pillar(
    cell_m: float = 0.8, pillars_per_cell: int = 4, width: int = 64, virtual_points: bool = False
) -> Teacher:
    """CenterPoint with pillars: lidar to boxes. Features at 0.8 m cells; 384 channels at width 64."""
    grid = BEVGrid.centred(HALF_EXTENT_M, cell_m, HEIGHT_M)
    widths, strides, layers = (width, 2 * width, 4 * width), (2, 4, 8), (3, 5, 5)
    fine = _finer(grid, pillars_per_cell)
    backbone = SecondBackbone(width, widths, layers, (2, 2, 2))
    neck = SecondFPN(widths, strides, pillars_per_cell, 2 * width)
    spec = _spec("centerpoint_pillar", grid, (STRIDE_C4, STRIDE_C4), neck.channels, TaskSpec().only("detection"))
    features = VIRTUAL_FEATURES if virtual_points else LIDAR_FEATURES
    pillars = PillarEncoder(fine, features, width)
    heads = task_heads(spec, shared=width, hidden=width, heads=8)
    return Teacher(spec, pillars, nn.Identity(), None, nn.Identity(), backbone, neck, **heads)


def bevfusion_lc(
    image_height_px: int = 256,
    image_width_px: int = 704,
    cell_m: float = 0.8,
    pillars_per_cell: int = 4,
    width: int = 64,
) -> Teacher:
    """BEVFusion with camera and lidar: six map classes; 512 channels at width 64."""
    tasks = TaskSpec(map_classes=BEVFUSION_CLASSES).only("map")
    return _camera_and_lidar(
        "bevfusion_lc", (image_height_px, image_width_px), cell_m, pillars_per_cell, width, tasks, ego_state=False
    )


def planner_lc(
    image_height_px: int = 256,
    image_width_px: int = 704,
    cell_m: float = 0.8,
    pillars_per_cell: int = 4,
    width: int = 64,
    occupancy_cell_m: float = 0.5,
    ego_state: bool = True,
) -> Teacher:
    """Camera and lidar to the five tasks of a student: what a large planner teaches."""
    tasks = TaskSpec(occupancy_cell_m=occupancy_cell_m)
    return _camera_and_lidar(
        "planner_lc", (image_height_px, image_width_px), cell_m, pillars_per_cell, width, tasks, ego_state
    )


def _camera_and_lidar(
    name: str,
    net_hw: tuple[int, int],
    cell_m: float,
    pillars_per_cell: int,
    width: int,
    tasks: TaskSpec,
    ego_state: bool,
) -> Teacher:
    """BEVFusion's two branches, fuser and SECOND decoder; `width` 64 gives its channel counts (80 + 256 to 256)."""
    grid = BEVGrid.centred(HALF_EXTENT_M, cell_m, HEIGHT_M)
    image_width, context, lidar = width, 5 * width // 4, 4 * width
    backbone = SecondBackbone(lidar, (2 * width, 4 * width), (5, 5), (1, 2))
    neck = SecondFPN(backbone.widths, (1, 2), 1, 4 * width)
    spec = _spec(name, grid, net_hw, neck.channels, tasks, ego_state)
    camera = CameraBranch(
        ImageEncoder(image_width, 4 * image_width),
        ViewTransform(4 * image_width, spec.geometry.depth_bins.count, context, grid.count[2]),
    )
    return Teacher(
        spec,
        PillarEncoder(_finer(grid, pillars_per_cell), LIDAR_FEATURES, width),
        _down(width, lidar, pillars_per_cell),
        camera,
        fused(camera.channels + lidar, lidar),
        backbone,
        neck,
        **task_heads(spec, shared=width, hidden=2 * width, heads=8),
    )


def _spec(
    name: str, grid: BEVGrid, net_hw: tuple[int, int], channels: int, tasks: TaskSpec, ego_state: bool = False
) -> StudentSpec:
    feature_hw = math.ceil(net_hw[0] / STRIDE_C4), math.ceil(net_hw[1] / STRIDE_C4)
    geometry = ViewGeometry(grid, DepthBins(*DEPTHS_M, 1.0), net_hw, feature_hw)
    return StudentSpec(name, geometry, channels, tasks, ego_state)


def _finer(grid: BEVGrid, factor: int) -> BEVGrid:
    """The same area in `factor` x `factor` pillars per cell.

    Raises:
        GeometryError: the factor is no power of two.
    """
    if factor < 1 or factor & (factor - 1):
        raise GeometryError(f"pillars_per_cell must be a power of two, got {factor}")
    (x, y, z), (size_x, size_y, size_z) = grid.count, grid.cell_m
    return BEVGrid(grid.lower_m, (size_x / factor, size_y / factor, size_z), (x * factor, y * factor, z))


def _down(inputs: int, outputs: int, factor: int) -> nn.Sequential:
    """[B, inputs, f*Y, f*X] to [B, outputs, Y, X] by convolutions of stride 2."""
    stages: list[nn.Module] = []
    widths = [min(outputs, inputs * 2**n) for n in range(int(math.log2(factor)) + 1)]
    for before, after in pairwise(widths):
        stages.append(conv_bn_relu(before, after, stride=2))
    return nn.Sequential(*stages, conv_bn_relu(widths[-1], outputs))


TEACHERS: dict[str, Callable[..., Any]] = {
    "centerpoint_pillar": centerpoint_pillar,
    "bevfusion_lc": bevfusion_lc,
    "planner_lc": planner_lc,
}
