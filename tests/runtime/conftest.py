"""Contracts of a small student, and outputs that fit them."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bevdeploy.geometry import CameraRig, ViewGeometry, indices_from_rig
from bevdeploy.geometry.pool_tables import TABLE_NAMES, sizes_of_need
from bevdeploy.runtime import Contract, Preprocessing, TensorSpec, contract_path
from bevdeploy.runtime.contract import CONTRACT_DIGEST_KEY
from bevdeploy.runtime.manifest import EngineManifest, manifest_path
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


@pytest.fixture(scope="session")
def fakes() -> tuple[ModuleType, ModuleType]:
    """The modules fake_pycuda and fake_tensorrt beside this file; tests are no package."""
    return module_beside("fake_pycuda"), module_beside("fake_tensorrt")


def module_beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class PlanMaker:
    """Plans of the fake library, as `bevdeploy build` lays them out, and a machine that may run them."""

    folder: Path
    contract: Contract
    graph: bytes
    fakes: tuple[ModuleType, ModuleType]
    monkeypatch: pytest.MonkeyPatch

    def machine(self, backend: str = "tensorrt", version: str = "10.3.0", **options: Any) -> tuple[Any, ModuleType]:
        """Install PyCUDA and a library; gives the GPU and the library."""
        pycuda, tensorrt = self.fakes
        gpu = pycuda.FakeGpu(**{key: options.pop(key) for key in ("sm", "memory_bytes") if key in options})
        for name, module in pycuda.pycuda_modules(gpu).items():
            self.monkeypatch.setitem(sys.modules, name, module)
        library = tensorrt.tensorrt_module(gpu, version, name=backend, **options)
        self.monkeypatch.setitem(sys.modules, backend, library)
        return gpu, library

    def plan(self, contract: Contract | None = None, content: bytes | None = None, **changes: Any) -> Path:
        """A plan with manifest and contract; keyword arguments replace fields of the manifest."""
        contract = contract or self.contract
        path = self.folder / "s.orin-agx-64gb.fp16.plan"
        content = self.fakes[1].plan_of(self.graph) if content is None else content
        fields: dict[str, Any] = {
            "plan": path.name,
            "plan_sha256": hashlib.sha256(content).hexdigest(),
            "onnx": "s.fp16.onnx",
            "onnx_sha256": hashlib.sha256(self.graph).hexdigest(),
            "contract_digest": contract.digest(),
            "rig_digest": contract.rig_digest,
            "target": "orin-agx-64gb",
            "backend": "tensorrt",
            "library_version": "10.3.0",
            "cuda_version": "12.6",
            "compute_capabilities": (87,),
            "pool": "native",
            "plugin_sha256": None,
            "precision": "fp16",
            "flags": ("strongly_typed",),
            "bevdeploy_version": "0.1.0",
        }
        path.write_bytes(content)
        contract.save(contract_path(path))
        EngineManifest(**{**fields, **changes}).save(manifest_path(path))
        return path


@pytest.fixture
def plan_maker(
    tmp_path: Path,
    table_contract: Contract,
    table_graph: bytes,
    fakes: tuple[ModuleType, ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> PlanMaker:
    return PlanMaker(tmp_path, table_contract, table_graph, fakes, monkeypatch)


@pytest.fixture
def table_contract(make_contract: Callable[..., Contract], decoded: dict[str, np.ndarray]) -> Contract:
    """Frames and pool tables in, everything that is decoded out."""
    outputs = (TensorSpec(name, array.shape, str(array.dtype), "1", "") for name, array in decoded.items())
    return make_contract(outputs=tuple(outputs))


@pytest.fixture
def table_graph(table_contract: Contract, decoded: dict[str, np.ndarray]) -> bytes:
    """Each output is its array of `decoded` plus a sum of the pixels that `row_depth` and `cell_row` point at."""
    onnx = pytest.importorskip("onnx")
    helper, proto = onnx.helper, onnx.TensorProto
    pixels = math.prod(table_contract.inputs[0].shape)
    constants = {"size": np.int32(pixels), "flat": np.array([-1]), **{f"{name}_of": a for name, a in decoded.items()}}
    nodes = [
        helper.make_node("Cast", ["frames"], ["grey"], "grey", to=proto.FLOAT),
        helper.make_node("Reshape", ["grey", "flat"], ["pixels"], "pixels"),
    ]
    sums = []
    for table in (spec.name for spec in table_contract.inputs[1:]):
        nodes += [
            helper.make_node("Mod", [table, "size"], [f"{table}_index"], f"{table}_index"),
            helper.make_node("Gather", ["pixels", f"{table}_index"], [f"{table}_grey"], f"{table}_grey"),
            helper.make_node("ReduceMean", [f"{table}_grey"], [f"{table}_mean"], f"{table}_mean", keepdims=0),
        ]
        sums.append(f"{table}_mean")
    nodes.append(helper.make_node("Sum", sums, ["sum"], "sum"))
    for name, array in decoded.items():
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        nodes.append(helper.make_node("Cast", ["sum"], [f"{name}_sum"], f"{name}_sum", to=kind))
        nodes.append(helper.make_node("Add", [f"{name}_of", f"{name}_sum"], [name], name))
    inputs, outputs = (
        [
            helper.make_tensor_value_info(spec.name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), spec.shape)
            for spec in specs
        ]
        for specs in (table_contract.inputs, table_contract.outputs)
    )
    held = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "tables", inputs, outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {CONTRACT_DIGEST_KEY: table_contract.digest()})
    return model.SerializeToString()
