"""BEVFusion's camera-only map segmentation (Liu et al., ICRA 2023): six classes; sizes of its public configuration.

What differs from it: z, and the frame of the grid, are the ego vehicle's rather than the lidar's; the upsampling of the
BEV neck does not align corners; and `bevfusion_camera_r50` has ResNet-50 in place of Swin-T.
"""

from __future__ import annotations

import math

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry, map_grid
from bevdeploy.models.bev_encoder import BEVEncoder
from bevdeploy.models.heads import MapHead
from bevdeploy.models.lss_fpn import STRIDE, LSSFPNEncoder
from bevdeploy.models.lss_transform import POOL_PER_CELL, LSSTransform
from bevdeploy.models.resnet50 import ResNet50
from bevdeploy.models.spec import StudentSpec
from bevdeploy.models.student import Student
from bevdeploy.models.swin import SwinT
from bevdeploy.tasks import BEVFUSION_MAP_CLASSES, TaskSpec

HALF_EXTENT_M, MAP_HALF_EXTENT_M = 51.2, 50.0
"""Of the BEV features, and of the map inside them."""
WIDTH = 64
"""Of the published size; all channels grow and shrink with it."""
MIN_SIDE = 8
"""Cells along x and y: the BEV encoder divides them by 4, and a norm needs more than one."""


def bevfusion_camera(
    image_height_px: int = 256,
    image_width_px: int = 704,
    cell_m: float = 0.8,
    half_extent_m: float = 51.2,
    depth_step_m: float = 0.5,
    map_cell_m: float = 0.5,
    width: int = 64,
    drop_path: float = 0.3,
) -> Student:
    """49.1 M parameters: Swin-T, 6 x 256 x 704 images, depths from 1 to 60 m, 128 x 128 cells, a map of 200 x 200.

    A `width` below 64 shrinks all channels alike, 8 to an eighth: for tests. Depths and the map shrink with
    `half_extent_m`. `drop_path` is the share of samples that skip the last residual branch in training.

    Raises:
        GeometryError: sizes that do not fit together.
    """
    _check_width(width)
    if not 0 <= drop_path < 1:
        raise GeometryError(f"drop_path is a share from 0 to below 1, got {drop_path}")
    spec = _spec(
        "bevfusion_camera", (image_height_px, image_width_px), cell_m, half_extent_m, depth_step_m, map_cell_m, width
    )
    return _student(spec, SwinT(spec.geometry.net_hw, 96 * width // WIDTH, drop_path=drop_path), width)


def bevfusion_camera_r50(
    image_height_px: int = 256,
    image_width_px: int = 704,
    cell_m: float = 0.8,
    half_extent_m: float = 51.2,
    depth_step_m: float = 0.5,
    map_cell_m: float = 0.5,
    width: int = 64,
) -> Student:
    """45.7 M parameters: as `bevfusion_camera`, with the convolutions of ResNet-50 as its backbone.

    Raises:
        GeometryError: sizes that do not fit together.
    """
    _check_width(width)
    spec = _spec(
        "bevfusion_camera_r50",
        (image_height_px, image_width_px),
        cell_m,
        half_extent_m,
        depth_step_m,
        map_cell_m,
        width,
    )
    return _student(spec, ResNet50(width), width)


def _check_width(width: int) -> None:
    if width % 8 or not 8 <= width <= 256:
        raise GeometryError(f"width must be a multiple of 8 from 8 to 256, got {width}")


def _spec(
    name: str,
    net_hw: tuple[int, int],
    cell_m: float,
    half_extent_m: float,
    depth_step_m: float,
    map_cell_m: float,
    width: int,
) -> StudentSpec:
    if not 1.0 <= half_extent_m <= 200.0:
        raise GeometryError(f"the BEV grid reaches 1 to 200 m, got half_extent_m = {half_extent_m}")
    reach = half_extent_m / HALF_EXTENT_M
    grid = BEVGrid.centred(half_extent_m, cell_m, (-10.0, 10.0))
    if min(grid.count[:2]) < MIN_SIDE:
        raise GeometryError(
            f"BEV grid of {grid.count[0]} x {grid.count[1]} cells, at least {MIN_SIDE} x {MIN_SIDE} are needed; "
            "use smaller cells (--option cell_m=METRES)"
        )
    feature_hw = math.ceil(net_hw[0] / STRIDE), math.ceil(net_hw[1] / STRIDE)
    bins = DepthBins(1.0, 1.0 + 59.0 * reach, depth_step_m)
    geometry = ViewGeometry(grid, bins, net_hw, feature_hw, POOL_PER_CELL)
    tasks = TaskSpec(
        map_classes=BEVFUSION_MAP_CLASSES, map_half_extent_m=MAP_HALF_EXTENT_M * reach, map_cell_m=map_cell_m
    ).only("map")
    return StudentSpec(name, geometry, 256 * width // WIDTH, tasks)


def _student(spec: StudentSpec, backbone: SwinT | ResNet50, width: int) -> Student:
    grid, features, context = spec.geometry.grid, 256 * width // WIDTH, 80 * width // WIDTH
    bev_widths = 160 * width // WIDTH, 320 * width // WIDTH, 640 * width // WIDTH
    classes = len(spec.tasks.map_classes)
    return Student(
        spec,
        LSSFPNEncoder(backbone, features),
        LSSTransform(features, spec.geometry.depth_bins.count, context),
        BEVEncoder(context, bev_widths, spec.bev_channels),
        map_head=MapHead(spec.bev_channels, spec.bev_channels, classes, grid, map_grid(grid, spec.tasks)),
    )
