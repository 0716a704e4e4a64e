"""One function per named student. `STUDENTS` at the end is the whole registry.

`tinybev_r18` is inspired by TinyBEV's abstract (arXiv 2509.18372: ResNet-18, lift-splat, five tasks, 28 M
parameters); the paper's block sizes are not public, these are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry, map_grid
from bevdeploy.models.bev_encoder import BEVEncoder
from bevdeploy.models.bevdepth import bevdepth_r50
from bevdeploy.models.bevfusion_camera import bevfusion_camera, bevfusion_camera_r50
from bevdeploy.models.heads import DetectionHead, MapHead, MotionHead, OccupancyHead, PlanningHead
from bevdeploy.models.image_encoder import ImageEncoder
from bevdeploy.models.resnet import STRIDE_C4
from bevdeploy.models.spec import StudentSpec
from bevdeploy.models.student import Student
from bevdeploy.models.view_transform import ViewTransform
from bevdeploy.tasks import TaskSpec

MIN_SIDE = 8
"""Cells along x and y: the BEV encoder and the attention memory divide them by 4, and a norm needs more than one."""


def tinybev_r18(
    image_height_px: int = 256, image_width_px: int = 704, cell_m: float = 0.512, ego_state: bool = False
) -> Student:
    """The 28.1 M student: 6 x 256 x 704 images, 200 x 200 cells of 0.512 m, five tasks."""
    geometry = _geometry((image_height_px, image_width_px), 51.2, cell_m, DepthBins(1.0, 60.0, 1.0))
    spec = StudentSpec("tinybev_r18", geometry, 256, TaskSpec(), ego_state)
    return _tinybev(spec, width=64, neck=256, context=64, bev_widths=(128, 256, 416), shared=64, hidden=128, heads=8)


def tinybev_r18_small(
    image_height_px: int = 128,
    image_width_px: int = 352,
    cell_m: float = 1.6,
    ego_state: bool = False,
    half_extent_m: float = 51.2,
) -> Student:
    """The same code at 2.9 instead of 196 GMACs, for tests and the demo: 6 x 128 x 352 images, 64 x 64 cells.

    Depth bins, 30 of them, and the occupancy grid shrink with `half_extent_m`, the reach of the BEV grid.
    """
    if not 1.0 <= half_extent_m <= 200.0:
        raise GeometryError(f"the BEV grid reaches 1 to 200 m, got half_extent_m = {half_extent_m}")
    reach = half_extent_m / 51.2
    bins = DepthBins(1.0, 1.0 + 60.0 * reach, 2.0 * reach)
    geometry = _geometry((image_height_px, image_width_px), half_extent_m, cell_m, bins)
    tasks = TaskSpec(detections=50, occupancy_half_extent_m=50.0 * reach, occupancy_cell_m=2.0 * reach)
    spec = StudentSpec("tinybev_r18_small", geometry, 64, tasks, ego_state)
    return _tinybev(spec, width=16, neck=64, context=32, bev_widths=(32, 48, 64), shared=32, hidden=32, heads=4)


def _geometry(net_hw: tuple[int, int], half_extent_m: float, cell_m: float, bins: DepthBins) -> ViewGeometry:
    feature_hw = math.ceil(net_hw[0] / STRIDE_C4), math.ceil(net_hw[1] / STRIDE_C4)
    return ViewGeometry(BEVGrid.centred(half_extent_m, cell_m, (-5.0, 3.0)), bins, net_hw, feature_hw)


def _tinybev(
    spec: StudentSpec,
    *,
    width: int,
    neck: int,
    context: int,
    bev_widths: tuple[int, int, int],
    shared: int,
    hidden: int,
    heads: int,
) -> Student:
    grid, channels = spec.geometry.grid, spec.bev_channels
    z_count = grid.count[2]
    if min(grid.count[:2]) < MIN_SIDE:
        raise GeometryError(
            f"BEV grid of {grid.count[0]} x {grid.count[1]} cells, at least {MIN_SIDE} x {MIN_SIDE} are needed; "
            "use smaller cells (--option cell_m=METRES)"
        )
    body = (
        ImageEncoder(width, neck),
        ViewTransform(neck, spec.geometry.depth_bins.count, context, z_count),
        BEVEncoder(context * z_count, bev_widths, channels),
    )
    return Student(spec, *body, **task_heads(spec, shared=shared, hidden=hidden, heads=heads))


def task_heads(spec: StudentSpec, *, shared: int, hidden: int, heads: int) -> dict[str, Any]:
    """The heads of the tasks in `spec`, by `Student`'s argument: widths of convolutions, and attention heads."""
    tasks, channels, grid = spec.tasks, spec.bev_channels, spec.geometry.grid
    extent_m, side = tasks.occupancy_half_extent_m, tasks.occupancy_side
    commands, steps = len(tasks.plan_commands), tasks.plan_steps
    builders: dict[str, Callable[[], nn.Module]] = {
        "detection": lambda: DetectionHead(channels, tasks.detection_tasks, shared),
        "map_head": lambda: MapHead(channels, hidden, len(tasks.map_classes), grid, map_grid(grid, tasks)),
        "occupancy": lambda: OccupancyHead(channels, hidden, len(tasks.occupancy_steps_s), grid, extent_m, side),
        "motion": lambda: MotionHead(channels, heads, 2 * channels, tasks.motion_modes, tasks.motion_steps),
        "planning": lambda: PlanningHead(channels, heads, 2 * channels, commands, steps, spec.ego_state),
    }
    return {name: build() for name, build in builders.items() if name.removesuffix("_head") in tasks.heads}


STUDENTS: dict[str, Callable[..., Student]] = {
    "tinybev_r18": tinybev_r18,
    "tinybev_r18_small": tinybev_r18_small,
    "bevdepth_r50": bevdepth_r50,
    "bevfusion_camera": bevfusion_camera,
    "bevfusion_camera_r50": bevfusion_camera_r50,
}
