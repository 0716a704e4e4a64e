"""A student of the real blocks with 68 thousand parameters: 6 x 32 x 64 images, 8 x 8 cells of 12.8 m.

The named students' graphs cost thirty times as much a frame, and their files are sixteen times as large.
"""

from __future__ import annotations

from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry
from bevdeploy.models import Student
from bevdeploy.models.bev_encoder import BEVEncoder
from bevdeploy.models.heads import DetectionHead, MapHead, MotionHead, OccupancyHead, PlanningHead
from bevdeploy.models.image_encoder import ImageEncoder
from bevdeploy.models.spec import StudentSpec
from bevdeploy.models.view_transform import ViewTransform
from bevdeploy.tasks import TaskSpec


def tiny() -> Student:
    """All five tasks, every block as narrow as it goes; the recipe of tinybev_r18_small serves it."""
    grid, bins = BEVGrid.centred(51.2, 12.8, (-5.0, 3.0)), DepthBins(1.0, 61.0, 10.0)
    tasks = TaskSpec(detections=5, occupancy_cell_m=10.0)
    spec = StudentSpec("tinybev_r18_small", ViewGeometry(grid, bins, (32, 64), (2, 4)), 8, tasks, False)
    return Student(
        spec,
        ImageEncoder(4, 8),
        ViewTransform(8, bins.count, 4, 1),
        BEVEncoder(4, (4, 8, 8), 8),
        DetectionHead(8, tasks.detection_tasks, 4),
        MapHead(8, 4, len(tasks.map_classes)),
        OccupancyHead(8, 4, len(tasks.occupancy_steps_s), grid, 50.0, tasks.occupancy_side),
        MotionHead(8, 2, 16, tasks.motion_modes, tasks.motion_steps),
        PlanningHead(8, 2, 16, len(tasks.plan_commands), tasks.plan_steps, False),
    )
