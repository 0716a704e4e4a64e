"""The ten detection classes: nuScenes categories and sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Kind:
    """A sort of object; sizes are near nuScenes' means of the class."""

    class_name: str
    category: str
    size_wlh_m: tuple[float, float, float]
    spread: tuple[float, float, float]
    """Relative standard deviations; draws stay within two of them."""

    def size(self, draws: np.random.Generator) -> tuple[float, float, float]:
        """Width, length, height of one."""
        factors = 1 + np.clip(draws.normal(0.0, 1.0, 3), -2, 2) * self.spread
        width, length, height = (np.array(self.size_wlh_m) * factors).round(3).tolist()
        return width, length, height


KINDS = {
    "car": Kind("car", "vehicle.car", (1.92, 4.6, 1.7), (0.035, 0.06, 0.05)),
    "truck": Kind("truck", "vehicle.truck", (2.45, 6.9, 2.85), (0.03, 0.09, 0.07)),
    "tractor": Kind("truck", "vehicle.truck", (2.48, 5.9, 3.1), (0.02, 0.04, 0.04)),
    "bus": Kind("bus", "vehicle.bus.rigid", (2.8, 10.8, 3.4), (0.02, 0.05, 0.03)),
    "trailer": Kind("trailer", "vehicle.trailer", (2.55, 10.6, 3.7), (0.02, 0.06, 0.04)),
    "pulled": Kind("trailer", "vehicle.trailer", (2.5, 7.6, 3.5), (0.02, 0.05, 0.05)),
    "construction_vehicle": Kind("construction_vehicle", "vehicle.construction", (2.65, 6.2, 3.1), (0.04, 0.07, 0.07)),
    "motorcycle": Kind("motorcycle", "vehicle.motorcycle", (0.78, 2.1, 1.3), (0.06, 0.05, 0.05)),
    "bicycle": Kind("bicycle", "vehicle.bicycle", (0.6, 1.72, 1.2), (0.06, 0.04, 0.05)),
    "motorcyclist": Kind("motorcycle", "vehicle.motorcycle", (0.82, 2.15, 1.6), (0.05, 0.04, 0.04)),
    "cyclist": Kind("bicycle", "vehicle.bicycle", (0.64, 1.76, 1.72), (0.05, 0.04, 0.04)),
    "adult": Kind("pedestrian", "human.pedestrian.adult", (0.66, 0.72, 1.75), (0.06, 0.08, 0.05)),
    "child": Kind("pedestrian", "human.pedestrian.child", (0.5, 0.52, 1.28), (0.05, 0.05, 0.06)),
    "worker": Kind("pedestrian", "human.pedestrian.construction_worker", (0.7, 0.74, 1.8), (0.05, 0.05, 0.04)),
    "barrier": Kind("barrier", "movable_object.barrier", (2.45, 0.52, 1.0), (0.02, 0.04, 0.03)),
    "cone": Kind("traffic_cone", "movable_object.trafficcone", (0.41, 0.41, 0.95), (0.04, 0.04, 0.12)),
}
