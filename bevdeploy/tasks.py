"""What the five tasks emit: class orders, horizons and commands. Shared by models, contracts and reports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

DETECTION_TASKS: tuple[tuple[str, ...], ...] = (
    ("car",),
    ("truck", "construction_vehicle"),
    ("bus", "trailer"),
    ("barrier",),
    ("motorcycle", "bicycle"),
    ("pedestrian", "traffic_cone"),
)
"""The ten nuScenes classes in CenterPoint's six groups; a group shares one set of box branches."""

BOX_FIELDS = ("x_m", "y_m", "z_m", "width_m", "length_m", "height_m", "yaw_rad", "vx_mps", "vy_mps")
"""Columns of a decoded box: centre in the ego frame, size in nuScenes order, yaw about z, velocity in the ego frame."""

EGO_STATE = 9
"""Numbers of the ego state: velocity (m/s), acceleration (m/s2) and rotation rate (rad/s), three each."""

LOG_SIZE_RANGE = (-5.0, 6.0)
"""Log sizes are clamped to it before exp, 7 mm to 400 m: no code of an untrained or broken head overflows."""

HEADS = ("detection", "map", "occupancy", "motion", "planning")
"""The five tasks, in the order of their outputs."""

BEVFUSION_MAP_CLASSES = ("drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area", "divider")
"""The six map classes of BEVFusion (Liu et al., 2023), in its order; lane and road dividers are one."""

NOT_A_PEAK = -1e4
"""Logit of a heat-map cell that is no peak; finite in float16."""


@dataclass(frozen=True)
class TaskSpec:
    """Sizes, orders and units of a student's outputs. A task of size 0 is one that the student does not have."""

    detection_tasks: tuple[tuple[str, ...], ...] = DETECTION_TASKS
    detections: int = 100
    """K, boxes decoded per frame."""
    map_classes: tuple[str, ...] = ("divider", "crossing", "boundary", "drivable")
    map_half_extent_m: float | None = None
    """With `map_cell_m` the map's own square grid; None for that of the BEV features."""
    map_cell_m: float | None = None
    occupancy_steps_s: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0)
    occupancy_half_extent_m: float = 50.0
    occupancy_cell_m: float = 0.5
    motion_modes: int = 6
    motion_steps: int = 12
    plan_commands: tuple[str, ...] = ("right", "left", "straight")
    """UniAD's order."""
    plan_steps: int = 6
    step_s: float = 0.5
    """Seconds between the steps of motion and plan."""

    @property
    def heads(self) -> tuple[str, ...]:
        """The tasks that the student has, of `HEADS`; motion is that of detected agents."""
        sizes = {
            "detection": len(self.detection_tasks),
            "map": len(self.map_classes),
            "occupancy": len(self.occupancy_steps_s),
            "motion": self.motion_modes if self.detection_tasks else 0,
            "planning": len(self.plan_commands),
        }
        return tuple(head for head in HEADS if sizes[head])

    def only(self, *heads: str) -> TaskSpec:
        """The same sizes for some of the tasks, and none of the others."""
        nothing: dict[str, dict[str, Any]] = {
            "detection": {"detection_tasks": (), "detections": 0},
            "map": {"map_classes": (), "map_half_extent_m": None, "map_cell_m": None},
            "occupancy": {"occupancy_steps_s": ()},
            "motion": {"motion_modes": 0},
            "planning": {"plan_commands": ()},
        }
        gone = {key: value for head in HEADS if head not in heads for key, value in nothing[head].items()}
        return replace(self, **gone)

    @property
    def classes(self) -> tuple[str, ...]:
        """Detection classes in output order."""
        return tuple(name for group in self.detection_tasks for name in group)

    @property
    def group_of_class(self) -> tuple[int, ...]:
        """For each class the index of its group, whose box branches it shares."""
        return tuple(group for group, names in enumerate(self.detection_tasks) for _ in names)

    @property
    def occupancy_side(self) -> int:
        """Cells along each side of the occupancy grid."""
        return round(2 * self.occupancy_half_extent_m / self.occupancy_cell_m)
