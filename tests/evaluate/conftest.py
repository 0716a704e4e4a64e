"""The tables of the real frames, their annotations as predictions, and small results of a car."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.evaluate.result_file import Row
from bevdeploy.evaluate.split import tokens_of_split
from bevdeploy.runtime.result import BevResult
from bevdeploy.tasks import TaskSpec

TINY = TaskSpec(
    detections=4,
    occupancy_steps_s=(0.0, 0.5),
    occupancy_half_extent_m=50.0,
    occupancy_cell_m=2.5,
    motion_modes=2,
    motion_steps=6,
)


@pytest.fixture(scope="session")
def tiny_tasks() -> TaskSpec:
    """Two steps of 40 x 40 occupancy cells, two modes of 3 s."""
    return TINY


@pytest.fixture(scope="session")
def database(nuscenes_root: Path) -> Any:
    pytest.importorskip("matplotlib")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the devkit's plotting libraries announce their own future
        nuscenes = pytest.importorskip("nuscenes.nuscenes")
    return nuscenes.NuScenes(version="v1.0-mini", dataroot=str(nuscenes_root), verbose=False)


@pytest.fixture(scope="session")
def real_detections(nuscenes_root: Path) -> Path:
    """10,335 boxes of a real camera detector on mini_val."""
    path = nuscenes_root.parent / "cc_3dt_pure_det.json"
    if not path.is_file():
        pytest.skip(f"no real detections at {path}")
    return path


@pytest.fixture(scope="session")
def annotations_as_results(database: Any) -> dict[str, list[Row]]:
    """What a perfect detector says of mini_val: every box with a point inside, at score 1."""
    from nuscenes.eval.detection.utils import category_to_detection_name

    attributes = {row["token"]: row["name"] for row in database.attribute}
    results: dict[str, list[Row]] = {}
    for token in tokens_of_split(database, "mini_val"):
        results[token] = []
        for annotation in (database.get("sample_annotation", t) for t in database.get("sample", token)["anns"]):
            name = category_to_detection_name(annotation["category_name"])
            if name is None or annotation["num_lidar_pts"] + annotation["num_radar_pts"] == 0:
                continue
            velocity = np.nan_to_num(database.box_velocity(annotation["token"])[:2])
            results[token].append(
                {
                    "sample_token": token,
                    "translation": annotation["translation"],
                    "size": annotation["size"],
                    "rotation": annotation["rotation"],
                    "velocity": velocity.tolist(),
                    "detection_name": name,
                    "detection_score": 1.0,
                    "attribute_name": next((attributes[t] for t in annotation["attribute_tokens"]), ""),
                }
            )
    return results


@pytest.fixture(scope="session")
def car_result() -> Callable[..., BevResult]:
    """A result with the given boxes; everything else is empty or zero."""

    def result(boxes: Any, tasks: TaskSpec = TINY, map_yx: tuple[int, int] = (4, 3), **given: Any) -> BevResult:
        rows = np.asarray(boxes, np.float32).reshape(-1, 9)
        n, modes, steps, side = len(rows), tasks.motion_modes, tasks.motion_steps, tasks.occupancy_side
        fields = {
            "scores": np.linspace(0.9, 0.5, n, dtype=np.float32),
            "labels": np.zeros(n, np.int32),
            "trajectories_m": np.zeros((n, modes, steps, 2), np.float32),
            "trajectory_probabilities": np.full((n, modes), 1 / max(modes, 1), np.float32),
            "map_probabilities": np.zeros((len(tasks.map_classes), *map_yx), np.float32),
            "occupancy_probabilities": np.zeros((len(tasks.occupancy_steps_s), side, side), np.float32),
            "plans_m": np.zeros((len(tasks.plan_commands), tasks.plan_steps, 2), np.float32),
        }
        return BevResult(boxes=rows, tasks=tasks, **{**fields, **given})

    return result
