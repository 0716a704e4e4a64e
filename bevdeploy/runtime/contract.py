"""The contract of an exported graph: names, shapes, units, orders and preprocessing, as JSON beside the ONNX file.

The graph carries the contract's digest in its metadata, so that a graph cannot be run under another graph's contract.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import BevDeployError, ContractError
from bevdeploy.geometry.frustum import ViewGeometry
from bevdeploy.geometry.grid import BEVGrid, DepthBins
from bevdeploy.geometry.map_grid import map_grid
from bevdeploy.geometry.pool_tables import TableSizes
from bevdeploy.paths import write_text
from bevdeploy.tasks import TaskSpec

CONTRACT_FORMAT = "bevdeploy.contract/1"
CONTRACT_DIGEST_KEY = "bevdeploy.contract"
"""Key of the digest in the ONNX file's metadata."""

DTYPES = ("float32", "float16", "float64", "uint8", "int8", "int32", "int64", "bool")
"""NumPy names of the types that inputs and outputs may have."""

IoMode = Literal["frames", "tensor"]

_LATER = (("geometry", "pool_per_cell", 1), ("tasks", "map_half_extent_m", None), ("tasks", "map_cell_m", None))
"""Table, key, and the value at which the key is left out, so that contracts without it keep their digest."""
GeometryMode = Literal["runtime", "baked"]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of the graph."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """NumPy name: uint8, int32, float32, float16."""
    unit: str
    meaning: str


@dataclass(frozen=True)
class StateSpec:
    """An output of one frame that a later frame takes as an input: the memory of a graph that has none."""

    output: str
    """Its name."""
    input: str
    """Where a later frame takes it, as it is: same shape and dtype. Zeros, and a motion of the identity, where there
    is nothing to take: at the start, in another scene, and after a gap."""
    motion: str
    """Input [1, 2, 3] beside it: present BEV plane to that of the earlier frame, metres, as `geometry.plane_motion`."""
    interval_s: float
    """Age of the earlier frame in training: at a higher frame rate, the one that is nearest to it is taken."""
    max_gap_s: float
    """The oldest frame that is taken."""


@dataclass(frozen=True)
class Preprocessing:
    """From raw RGB frames to the network image; inside the graph with `--io frames`, on the host with `--io tensor`."""

    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Per channel R, G, B, on the 0..255 scale (ImageNet's, as torchvision's weights expect)."""
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    resize: Literal["linear", "antialias"] = "linear"

    def __post_init__(self) -> None:
        channels = (*self.mean, *self.std)
        if len(self.mean) != 3 or len(self.std) != 3 or not all(math.isfinite(value) for value in channels):
            raise ContractError(f"mean and std must be three finite numbers each, got {self.mean} and {self.std}")
        if min(self.std) <= 0 or self.resize not in ("linear", "antialias"):
            raise ContractError(f"std must be positive and resize linear or antialias, got {self.std}, {self.resize!r}")


@dataclass(frozen=True)
class Contract:
    """Everything a caller needs to run the graph without its checkpoint."""

    student: str
    io: IoMode
    geometry_mode: GeometryMode
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    cameras: tuple[str, ...]
    """Camera names in network order."""
    raw_hw: tuple[int, int]
    """Raw image height and width, px."""
    geometry: ViewGeometry
    table_sizes: TableSizes
    tasks: TaskSpec
    preprocessing: Preprocessing
    rig_digest: str | None = None
    """Digest of the rig that was baked in; None with runtime geometry."""
    state: tuple[StateSpec, ...] = ()
    """What is handed from frame to frame; none for students of single frames."""

    def digest(self) -> str:
        """SHA-256 of the canonical document: that of the contract as it is read back, where 5 m is 5.0 m."""
        canonical = _contract_from_document(self.document()).document()
        return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        """The JSON document; without `state` where there is none, and without the keys of `_LATER` that say nothing."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        if not self.state:
            del plain["state"]
        for table, key, nothing in _LATER:
            if plain[table][key] == nothing:
                del plain[table][key]
        return {"format": CONTRACT_FORMAT, **plain}

    def save(self, path: Path) -> None:
        """Write the contract beside its graph."""
        write_text(path, json.dumps(self.document(), indent=1) + "\n")

    def takes(self, name: str) -> bool:
        """Whether the graph has an input of this name."""
        return any(spec.name == name for spec in self.inputs)

    def check_inputs(self, feeds: Mapping[str, NDArray[np.generic]]) -> None:
        """Refuse feeds whose names, shapes or dtypes differ from the contract.

        Raises:
            ContractError: names the input, what was expected and what came.
        """
        expected = {spec.name for spec in self.inputs}
        if set(feeds) != expected:
            raise ContractError(f"the graph takes the inputs {sorted(expected)}, got {sorted(feeds)}")
        for spec in self.inputs:
            array = feeds[spec.name]
            if tuple(array.shape) != spec.shape or array.dtype != np.dtype(spec.dtype):
                raise ContractError(
                    f"{spec.name}: expected {spec.dtype} {spec.shape}, got {array.dtype} {tuple(array.shape)}"
                )


def contract_path(graph: Path) -> Path:
    """`s.fp32.onnx` and `s.TARGET.fp16.plan` share `s.contract.json`."""
    return graph.with_name(graph.name.split(".")[0] + ".contract.json")


def load_contract(path: Path) -> Contract:
    """The contract of a file.

    Raises:
        ContractError: the file is missing, is not a contract, or contradicts itself.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ContractError(
            f"{path}: missing; a graph runs only beside its contract. Keep the files of one export together, "
            "or write them again: bevdeploy export CHECKPOINT"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ContractError(f"{path}: cannot be read as a contract ({error})") from error
    if not isinstance(document, dict) or document.get("format") != CONTRACT_FORMAT:
        raise ContractError(f'{path}: not a contract: "format" must be "{CONTRACT_FORMAT}"')
    try:
        return _contract_from_document(document)
    except BevDeployError as error:
        raise ContractError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ContractError(f"{path}: damaged contract ({type(error).__name__}: {error}); export again") from error


def _contract_from_document(document: Mapping[str, Any]) -> Contract:
    names = {field.name for field in fields(Contract)}
    unknown = set(document) - names - {"format"}
    if unknown:
        raise ContractError(f"unknown keys {sorted(unknown)}")
    if document["io"] not in ("frames", "tensor") or document["geometry_mode"] not in ("runtime", "baked"):
        raise ContractError(f"unknown mode: io {document['io']!r}, geometry {document['geometry_mode']!r}")
    view, pre = document["geometry"], document["preprocessing"]
    tasks = TaskSpec(**{key: _tuples(value) for key, value in document["tasks"].items()})
    grid = BEVGrid.from_document(view["grid"])
    map_grid(grid, tasks)
    return Contract(
        student=str(document["student"]),
        io=document["io"],
        geometry_mode=document["geometry_mode"],
        inputs=tuple(_tensor_from_document(spec) for spec in document["inputs"]),
        outputs=tuple(_tensor_from_document(spec) for spec in document["outputs"]),
        cameras=tuple(str(name) for name in document["cameras"]),
        raw_hw=_pair(document["raw_hw"]),
        geometry=ViewGeometry(
            grid,
            DepthBins(**{key: float(value) for key, value in view["depth_bins"].items()}),
            _pair(view["net_hw"]),
            _pair(view["feature_hw"]),
            int(view.get("pool_per_cell", 1)),
        ),
        table_sizes=TableSizes(**{key: int(value) for key, value in document["table_sizes"].items()}),
        tasks=tasks,
        preprocessing=Preprocessing(**{key: _tuples(value) for key, value in pre.items()}),
        rig_digest=None if document["rig_digest"] is None else str(document["rig_digest"]),
        state=tuple(_state_from_document(state) for state in document.get("state", ())),
    )


def _tensor_from_document(spec: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(int(size) for size in spec["shape"])
    if spec["dtype"] not in DTYPES:
        raise ValueError(f"unknown dtype {spec['dtype']!r}")
    return TensorSpec(str(spec["name"]), shape, str(spec["dtype"]), str(spec["unit"]), str(spec["meaning"]))


def _state_from_document(state: Mapping[str, Any]) -> StateSpec:
    output, taken, motion = (str(state[key]) for key in ("output", "input", "motion"))
    return StateSpec(output, taken, motion, float(state["interval_s"]), float(state["max_gap_s"]))


def _pair(value: Any) -> tuple[int, int]:
    first, second = value
    return int(first), int(second)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
