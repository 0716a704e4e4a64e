"""One function per named teacher. `TEACHERS` at the end is the whole registry.

Sizes of `centerpoint_pillar` and `bevfusion_lc` are the published ones by default (CenterPoint's 0.2 m pillars,
mmdet3d's configuration; BEVFusion's map segmentation, with pillars in place of its sparse encoder and ResNet-18 in
place of Swin-T: ours). `planner_lc` stands for UniAD where UniAD cannot run. Each has a `_small` form with the images,
cells, depth bins and tasks of `tinybev_r18_small`.

As in that student, depth bins and the occupancy grid shrink with `half_extent_m`, the reach of the BEV grid:
`depth_step_m` and `occupancy_cell_m` are those at 51.2 m. Detections and class groups are the students' own, so
that outputs of motion align.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry
from bevdeploy.models.blocks import conv_bn_relu
from bevdeploy.models.builders import MIN_SIDE, task_heads
from bevdeploy.models.image_encoder import ImageEncoder
from bevdeploy.models.resnet import STRIDE_C4
from bevdeploy.models.spec import StudentSpec
from bevdeploy.models.teachers.pillars import PillarEncoder
from bevdeploy.models.teachers.second import SecondBackbone, SecondFPN
from bevdeploy.models.teachers.teacher import CameraBranch, Teacher, fused
from bevdeploy.models.view_transform import ViewTransform
from bevdeploy.tasks import BEVFUSION_MAP_CLASSES, TaskSpec

FULL_EXTENT_M = 51.2
HEIGHT_M = (-5.0, 3.0)
DEPTHS_M = (1.0, 60.0)
"""At a half extent of 51.2 m."""
LIDAR_FEATURES = 5
"""x, y, z, intensity, age."""
VIRTUAL_FEATURES = 17
"""MVP's points (Yin et al., 2021): x, y, z, reflectance, 11 label numbers, virtual flag, age."""


@dataclass(frozen=True)
class _Size:
    """What all teachers scale with."""

    cell_m: float
    pillars_per_cell: int
    width: int
    half_extent_m: float
    net_hw: tuple[int, int] = (STRIDE_C4, STRIDE_C4)
    depth_step_m: float = 1.0

    @property
    def reach(self) -> float:
        """Of the grid, as a share of the full one."""
        return self.half_extent_m / FULL_EXTENT_M


def centerpoint_pillar(
    cell_m: float = 0.8,
    pillars_per_cell: int = 4,
    width: int = 64,
    virtual_points: bool = False,
    half_extent_m: float = FULL_EXTENT_M,
    detections: int = 100,
) -> Teacher:
    """CenterPoint with pillars: lidar to boxes. Features at 0.8 m cells; 384 channels at width 64."""
    size = _Size(cell_m, pillars_per_cell, width, half_extent_m)
    return _centerpoint("centerpoint_pillar", size, detections, virtual_points)


def centerpoint_pillar_small(
    cell_m: float = 1.6,
    pillars_per_cell: int = 2,
    width: int = 16,
    virtual_points: bool = False,
    half_extent_m: float = FULL_EXTENT_M,
    detections: int = 50,
) -> Teacher:
    """The same on the grid of `tinybev_r18_small`; 96 channels."""
    size = _Size(cell_m, pillars_per_cell, width, half_extent_m)
    return _centerpoint("centerpoint_pillar_small", size, detections, virtual_points)


def bevfusion_lc(
    image_height_px: int = 256,
    image_width_px: int = 704,
    cell_m: float = 0.8,
    pillars_per_cell: int = 4,
    width: int = 64,
    half_extent_m: float = FULL_EXTENT_M,
    depth_step_m: float = 1.0,
    student_classes: bool = False,
) -> Teacher:
    """BEVFusion with camera and lidar; 512 channels at width 64.

    Six map classes, or the four of a student with `student_classes`, so that map outputs can be compared.
    """
    net_hw = image_height_px, image_width_px
    size = _Size(cell_m, pillars_per_cell, width, half_extent_m, net_hw, depth_step_m)
    return _camera_and_lidar("bevfusion_lc", size, _map_tasks(size, student_classes), False)


def bevfusion_lc_small(
    image_height_px: int = 128,
    image_width_px: int = 352,
    cell_m: float = 1.6,
    pillars_per_cell: int = 2,
    width: int = 16,
    half_extent_m: float = FULL_EXTENT_M,
    depth_step_m: float = 2.0,
    student_classes: bool = True,
) -> Teacher:
    """The same with images and grid of `tinybev_r18_small` and its four map classes; 128 channels."""
    net_hw = image_height_px, image_width_px
    size = _Size(cell_m, pillars_per_cell, width, half_extent_m, net_hw, depth_step_m)
    return _camera_and_lidar("bevfusion_lc_small", size, _map_tasks(size, student_classes), False)


def planner_lc(
    image_height_px: int = 256,
    image_width_px: int = 704,
    cell_m: float = 0.8,
    pillars_per_cell: int = 4,
    width: int = 64,
    occupancy_cell_m: float = 0.5,
    ego_state: bool = True,
    half_extent_m: float = FULL_EXTENT_M,
    depth_step_m: float = 1.0,
    detections: int = 100,
) -> Teacher:
    """Camera and lidar to the five tasks of a student: what a large planner teaches."""
    net_hw = image_height_px, image_width_px
    size = _Size(cell_m, pillars_per_cell, width, half_extent_m, net_hw, depth_step_m)
    return _camera_and_lidar("planner_lc", size, _all_tasks(size, detections, occupancy_cell_m), ego_state)


def planner_lc_small(
    image_height_px: int = 128,
    image_width_px: int = 352,
    cell_m: float = 1.6,
    pillars_per_cell: int = 2,
    width: int = 16,
    occupancy_cell_m: float = 2.0,
    ego_state: bool = True,
    half_extent_m: float = FULL_EXTENT_M,
    depth_step_m: float = 2.0,
    detections: int = 50,
) -> Teacher:
    """The same with images, geometry and tasks of `tinybev_r18_small`; 128 channels."""
    net_hw = image_height_px, image_width_px
    size = _Size(cell_m, pillars_per_cell, width, half_extent_m, net_hw, depth_step_m)
    return _camera_and_lidar("planner_lc_small", size, _all_tasks(size, detections, occupancy_cell_m), ego_state)


def _centerpoint(name: str, size: _Size, detections: int, virtual_points: bool) -> Teacher:
    """Strides 2, 4, 8 of the pillars, brought to the cells."""
    width, factor = size.width, size.pillars_per_cell
    widths, strides, layers = (width, 2 * width, 4 * width), (2, 4, 8), (3, 5, 5)
    grid = _grid(size, multiple=max(1, strides[-1] // factor))
    backbone = SecondBackbone(width, widths, layers, (2, 2, 2))
    neck = SecondFPN(widths, strides, factor, 2 * width)
    tasks = _all_tasks(size, detections, 0.5).only("detection")
    spec = _spec(name, grid, size, neck.channels, tasks)
    pillars = PillarEncoder(_finer(grid, factor), VIRTUAL_FEATURES if virtual_points else LIDAR_FEATURES, width)
    heads = task_heads(spec, shared=width, hidden=width, heads=8)
    return Teacher(spec, pillars, nn.Identity(), None, nn.Identity(), backbone, neck, **heads)


def _camera_and_lidar(name: str, size: _Size, tasks: TaskSpec, ego_state: bool) -> Teacher:
    """BEVFusion's two branches, fuser and SECOND decoder; `width` 64 gives its channel counts (80 + 256 to 256)."""
    grid, width = _grid(size, multiple=2), size.width
    image_width, context, lidar = width, 5 * width // 4, 4 * width
    backbone = SecondBackbone(lidar, (2 * width, 4 * width), (5, 5), (1, 2))
    neck = SecondFPN(backbone.widths, (1, 2), 1, 4 * width)
    spec = _spec(name, grid, size, neck.channels, tasks, ego_state)
    camera = CameraBranch(
        ImageEncoder(image_width, 4 * image_width),
        ViewTransform(4 * image_width, spec.geometry.depth_bins.count, context, grid.count[2]),
    )
    return Teacher(
        spec,
        PillarEncoder(_finer(grid, size.pillars_per_cell), LIDAR_FEATURES, width),
        _down(width, lidar, size.pillars_per_cell),
        camera,
        fused(camera.channels + lidar, lidar),
        backbone,
        neck,
        **task_heads(spec, shared=width, hidden=2 * width, heads=8),
    )


def _map_tasks(size: _Size, student_classes: bool) -> TaskSpec:
    tasks = TaskSpec() if student_classes else TaskSpec(map_classes=BEVFUSION_MAP_CLASSES)
    return tasks.only("map")


def _all_tasks(size: _Size, detections: int, occupancy_cell_m: float) -> TaskSpec:
    return TaskSpec(
        detections=detections,
        occupancy_half_extent_m=50.0 * size.reach,
        occupancy_cell_m=occupancy_cell_m * size.reach,
    )


def _grid(size: _Size, multiple: int) -> BEVGrid:
    """The area in cells, a multiple of `multiple` along each side, so that all stages come back to one resolution.

    Raises:
        GeometryError: a size is out of its range.
    """
    if not 1.0 <= size.half_extent_m <= 200.0:
        raise GeometryError(f"the BEV grid reaches 1 to 200 m, got half_extent_m = {size.half_extent_m}")
    if size.width < 4 or size.width % 4:
        raise GeometryError(f"width must be a multiple of 4, got {size.width}")
    factor = size.pillars_per_cell
    if factor < 1 or factor & (factor - 1):
        raise GeometryError(f"pillars_per_cell must be a power of two, got {factor}")
    grid = BEVGrid.centred(size.half_extent_m, size.cell_m, HEIGHT_M)
    cells = grid.count[0]
    if cells < MIN_SIDE or cells % multiple:
        raise GeometryError(
            f"BEV grid of {cells} x {cells} cells, a multiple of {multiple} and at least {MIN_SIDE} are needed; use "
            "other cells (--option cell_m=METRES) or another half_extent_m"
        )
    return grid


def _spec(
    name: str, grid: BEVGrid, size: _Size, channels: int, tasks: TaskSpec, ego_state: bool = False
) -> StudentSpec:
    """The spec, checked.

    Raises:
        GeometryError: depth bins or detections make no sense.
    """
    cells = grid.count[0] * grid.count[1]
    if tasks.detection_tasks and not 1 <= tasks.detections <= cells:
        raise GeometryError(f"detections must be from 1 to the number of cells, {cells}, got {tasks.detections}")
    (first_m, last_m), step_m = DEPTHS_M, size.depth_step_m
    if not 0.1 <= step_m <= last_m - first_m:
        raise GeometryError(f"depth_step_m must be from 0.1 to {last_m - first_m:g}, got {step_m}")
    bins = math.ceil((last_m - first_m) / step_m)
    depth_bins = DepthBins(first_m, first_m + bins * step_m * size.reach, step_m * size.reach)
    feature_hw = math.ceil(size.net_hw[0] / STRIDE_C4), math.ceil(size.net_hw[1] / STRIDE_C4)
    return StudentSpec(name, ViewGeometry(grid, depth_bins, size.net_hw, feature_hw), channels, tasks, ego_state)


def _finer(grid: BEVGrid, factor: int) -> BEVGrid:
    """The same area in `factor` x `factor` pillars per cell."""
    (x, y, z), (size_x, size_y, size_z) = grid.count, grid.cell_m
    return BEVGrid(grid.lower_m, (size_x / factor, size_y / factor, size_z), (x * factor, y * factor, z))


def _down(inputs: int, outputs: int, factor: int) -> nn.Sequential:
    """[B, inputs, f*Y, f*X] to [B, outputs, Y, X] by convolutions of stride 2."""
    stages: list[nn.Module] = []
    widths = [min(outputs, inputs * 2**n) for n in range(int(math.log2(factor)) + 1)]
    for before, after in pairwise(widths):
        stages.append(conv_bn_relu(before, after, stride=2))
    return nn.Sequential(*stages, conv_bn_relu(widths[-1], outputs))


TEACHERS: dict[str, Callable[..., Teacher]] = {
    "centerpoint_pillar": centerpoint_pillar,
    "centerpoint_pillar_small": centerpoint_pillar_small,
    "bevfusion_lc": bevfusion_lc,
    "bevfusion_lc_small": bevfusion_lc_small,
    "planner_lc": planner_lc,
    "planner_lc_small": planner_lc_small,
}
