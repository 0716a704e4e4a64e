"""Contracts of a small student, and outputs that fit them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bevdeploy.geometry import CameraRig, ViewGeometry, indices_from_rig
from bevdeploy.geometry.pool_tables import TABLE_NAMES, sizes_of_need
from bevdeploy.runtime import Contract, Preprocessing, TensorSpec
from bevdeploy.tasks import TaskSpec


@pytest.fixture
def tasks() -> TaskSpec:
    """Five boxes, two modes of three steps, an occupancy grid of 8 x 8."""
    return TaskSpec(detections=5, occupancy_half_extent_m=4.0, occupancy_cell_m=1.0, motion_modes=2, motion_steps=3)


@pytest.fixture
def make_contract(small_rig: CameraRig, small_view: ViewGeometry, tasks: TaskSpec) -> Callable[..., Contract]:
    """A contract of the small rig; keyword arguments replace its fields."""

    def contract(**changes: Any) -> Contract:
        io = changes.get("io", "frames")
        sizes = sizes_of_need(indices_from_rig(small_rig, small_view)).grown(1.25)
        frames = TensorSpec("frames", (6, 36, 64, 3), "uint8", "grey level", "raw RGB images")
        images = TensorSpec("images", (1, 6, 3, 16, 32), "float32", "1", "normalised images")
        shapes = ((sizes.rows, 16), (sizes.rows, 16), (sizes.sums1, 8), (sizes.sums2, 8), (12, 20))
        tables = tuple(
            TensorSpec(name, shape, "int32", "1", "pool table") for name, shape in zip(TABLE_NAMES, shapes, strict=True)
        )
        if changes.get("geometry_mode") == "baked":
            tables = ()
        fields: dict[str, Any] = {
            "student": "small",
            "io": io,
            "geometry_mode": "runtime",
            "inputs": (frames if io == "frames" else images, *tables),
            "outputs": (TensorSpec("boxes", (5, 9), "float32", "m", "boxes"),),
            "cameras": small_rig.names,
            "raw_hw": (36, 64),
            "geometry": small_view,
            "table_sizes": sizes,
            "tasks": tasks,
            "preprocessing": Preprocessing(),
        }
        return Contract(**{**fields, **changes})

    return contract


@pytest.fixture
def frames(rng: np.random.Generator) -> list[np.ndarray]:
    """One RGB image for each camera of the small rig."""
    return [rng.integers(0, 256, (36, 64, 3), dtype=np.uint8) for _ in range(6)]


@pytest.fixture
def decoded(rng: np.random.Generator, tasks: TaskSpec) -> dict[str, np.ndarray]:
    """Outputs of an `--io frames` graph."""
    modes = rng.random((5, 2)).astype(np.float32)
    return {
        "boxes": rng.normal(size=(5, 9)).astype(np.float32),
        "scores": np.array([0.9, 0.8, 0.5, 0.2, 0.1], np.float32),
        "labels": np.array([0, 9, 3, 3, 1], np.int32),
        "cells": np.array([0, 1, 2, 3, 239], np.int32),
        "trajectories": rng.normal(size=(5, 2, 3, 2)).astype(np.float32),
        "trajectory_probabilities": modes / modes.sum(1, keepdims=True),
        "map_probabilities": rng.random((4, 12, 20)).astype(np.float32),
        "occupancy_probabilities": rng.random((5, 8, 8)).astype(np.float32),
        "plans": rng.normal(size=(3, 6, 2)).astype(np.float32),
    }


@pytest.fixture
def dense(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Outputs of an `--io tensor` graph; five agents."""

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return {
        "bev": normal(1, 256, 12, 20),
        "heatmap": normal(1, 10, 12, 20),
        "box_codes": normal(1, 6, 10, 12, 20),
        "map_logits": normal(1, 4, 12, 20),
        "occupancy_logits": normal(1, 5, 8, 8),
        "agents": np.array([[0, 479, 240, 2399, 1000]], np.int32),
        "trajectory_offsets": normal(1, 5, 2, 3, 2),
        "trajectory_logits": normal(1, 5, 2),
        "plans": normal(1, 3, 6, 2),
    }
