"""The five task heads on the shared BEV features."""

from bevdeploy.models.heads.dense import MapHead as MapHead
from bevdeploy.models.heads.dense import OccupancyHead as OccupancyHead
from bevdeploy.models.heads.detection import DetectionHead as DetectionHead
from bevdeploy.models.heads.motion import MotionHead as MotionHead
from bevdeploy.models.heads.planning import PlanningHead as PlanningHead

__all__ = ["DetectionHead", "MapHead", "MotionHead", "OccupancyHead", "PlanningHead"]
