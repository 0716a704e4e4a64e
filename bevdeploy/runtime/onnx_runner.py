"""The ONNX Runtime runner: the same file on a laptop's CPU and on an NVIDIA GPU, checked against its contract."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import ContractError, EngineError, MissingDependencyError
from bevdeploy.runtime.contract import CONTRACT_DIGEST_KEY, Contract, TensorSpec, contract_path, load_contract
from bevdeploy.runtime.runner import Arrays, LayerTime, RunnerInfo

CPU = ("CPUExecutionProvider",)
CUDA = ("CUDAExecutionProvider", "CPUExecutionProvider")

PRECISION_KEY = "bevdeploy.precision"
"""Key of the precision (fp32, fp16) in the ONNX file's metadata; fp32 where it is absent."""

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
_KERNEL_SUFFIX = "_kernel_time"
WARMUP_RUNS = 3
"""Runs of a fresh session that a profile leaves out: the first two still allocate."""


class OnnxRunner:
    """A session of ONNX Runtime; `open` for files, `from_bytes` for models in memory."""

    def __init__(
        self,
        model: str | bytes,
        contract: Contract | None = None,
        threads: int | None = None,
        providers: Sequence[str] = CPU,
    ) -> None:
        """A session of a file's path or of a serialised model; None for `threads` means all available cores.

        Raises:
            MissingDependencyError: ONNX Runtime, or one of the providers, is not installed.
            EngineError: the model cannot be loaded.
        """
        self._model = model
        self._name = model if isinstance(model, str) else "the model"
        self._threads = available_cores() if threads is None else threads
        self._providers = tuple(providers)
        self.contract = contract
        self._session = self._opened(self._options())
        self._outputs = [output.name for output in self._session.get_outputs()]
        used = self._session.get_providers()
        if used[: len(self._providers)] != list(self._providers):
            raise EngineError(
                f"{self._name}: ONNX Runtime fell back from {self._providers[0]} to {used[0]}; "
                "its CUDA and cuDNN libraries are missing or of another version than onnxruntime-gpu was built for"
            )

    @classmethod
    def open(
        cls,
        path: Path,
        threads: int | None = None,
        contract: Contract | None = None,
        providers: Sequence[str] = CPU,
    ) -> OnnxRunner:
        """The runner of an exported file; without `contract`, the one beside the file is loaded.

        Raises:
            MissingDependencyError: ONNX Runtime, or one of the providers, is not installed.
            EngineError: the file is missing or damaged, or was not exported by bevdeploy.
            ContractError: the contract is missing or damaged, or belongs to another export.
        """
        path = Path(path)
        if not path.is_file():
            raise EngineError(f"{path}: no such ONNX file; write one: bevdeploy export CHECKPOINT")
        runner = cls(str(path), None, threads, providers)
        digest = runner.metadata().get(CONTRACT_DIGEST_KEY)
        if digest is None:
            raise EngineError(
                f"{path}: not exported by bevdeploy (no {CONTRACT_DIGEST_KEY!r} in its metadata); "
                "write it again: bevdeploy export CHECKPOINT"
            )
        beside = contract_path(path)
        contract = contract or load_contract(beside)
        if digest != contract.digest():
            raise ContractError(
                f"{path} and {beside.name} are of different exports (digests {digest[:12]} and "
                f"{contract.digest()[:12]}); keep the files of one export together, or export again"
            )
        session = runner._session
        _check_tensors(f"{path}: input", session.get_inputs(), contract.inputs)
        _check_tensors(f"{path}: output", session.get_outputs(), contract.outputs)
        runner.contract = contract
        return runner

    @classmethod
    def from_bytes(
        cls,
        model_bytes: bytes,
        contract: Contract | None = None,
        threads: int | None = None,
        providers: Sequence[str] = CPU,
    ) -> OnnxRunner:
        """The runner of a serialised model; it may have more outputs than its contract, as parity needs.

        Raises:
            MissingDependencyError: ONNX Runtime, or one of the providers, is not installed.
            EngineError: the model cannot be loaded.
            ContractError: an input, or an output of the contract, differs from it.
        """
        runner = cls(model_bytes, contract, threads, providers)
        if contract is not None:
            names = {spec.name for spec in contract.outputs}
            declared = [output for output in runner._session.get_outputs() if output.name in names]
            _check_tensors("input", runner._session.get_inputs(), contract.inputs)
            _check_tensors("output", declared, contract.outputs)
        return runner

    def metadata(self) -> dict[str, str]:
        """The model's own key-value pairs."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def info(self) -> RunnerInfo:
        """ONNX Runtime on the CPU or on CUDA."""
        return RunnerInfo(
            backend="onnxruntime",
            device=self._providers[0].removesuffix("ExecutionProvider").lower(),
            threads=self._threads,
            precision=self.metadata().get(PRECISION_KEY, "fp32"),
            versions={"onnxruntime": str(_onnxruntime().__version__), "numpy": np.__version__},
        )

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Outputs of one frame by name.

        Raises:
            ContractError: a feed's name, shape or dtype differs from the contract.
            EngineError: ONNX Runtime could not run the graph.
        """
        return self._run(self._session, feeds)

    def profile(self, feeds: Arrays, frames: int) -> list[LayerTime]:
        """Mean time of each node, as ONNX Runtime fused them, over `frames` runs after the warm-up; longest first.

        Raises:
            ContractError: as `run`.
            EngineError: as `run`, or `frames` is less than 1.
        """
        if frames < 1:
            raise EngineError(f"a profile needs at least 1 frame, got {frames}")
        with tempfile.TemporaryDirectory(prefix="bevdeploy-profile-") as folder:
            options = self._options()
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "frames")
            session = self._opened(options)
            for _ in range(WARMUP_RUNS + frames):
                self._run(session, feeds)
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        return layers_from_events(events, frames)

    def _run(self, session: Any, feeds: Arrays) -> dict[str, NDArray[Any]]:
        if self.contract is not None:
            self.contract.check_inputs(feeds)
        with _engine_errors(f"{self._name}: cannot be run"):
            return dict(zip(self._outputs, session.run(self._outputs, dict(feeds)), strict=True))

    def _options(self) -> Any:
        options = _onnxruntime().SessionOptions()
        options.log_severity_level = 4  # what it logs as an error comes as an exception too
        options.intra_op_num_threads = self._threads
        return options

    def _opened(self, options: Any) -> Any:
        onnxruntime = _onnxruntime()
        missing = [name for name in self._providers if name not in onnxruntime.get_available_providers()]
        if missing:
            raise MissingDependencyError(
                f"this ONNX Runtime has no {', '.join(missing)}; "
                "pip uninstall onnxruntime && pip install 'bevdeploy[gpu]'"
            )
        with _engine_errors(f"{self._name}: cannot be loaded as an ONNX graph; copy it again, or export again"):
            return onnxruntime.InferenceSession(self._model, options, providers=list(self._providers))


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def layers_from_events(events: Sequence[Mapping[str, Any]], frames: int) -> list[LayerTime]:
    """Layer times of the last `frames` runs in a profile of ONNX Runtime."""
    runs_us = sorted(event["ts"] for event in events if event["name"] == "model_run")
    total_us: dict[str, float] = defaultdict(float)
    kinds: dict[str, str] = {}
    for event in events:
        name = event["name"]
        if event.get("cat") != "Node" or not name.endswith(_KERNEL_SUFFIX) or event["ts"] < runs_us[-frames]:
            continue
        node = name.removesuffix(_KERNEL_SUFFIX)
        total_us[node] += event["dur"]
        kinds[node] = event["args"]["op_name"]
    layers = [LayerTime(node, kinds[node], us / 1e3 / frames) for node, us in total_us.items()]
    return sorted(layers, key=lambda layer: -layer.mean_ms)


def _check_tensors(what: str, actual: Sequence[Any], specs: Sequence[TensorSpec]) -> None:
    """Compare a session's tensors with the contract's."""
    tensors = {tensor.name: tensor for tensor in actual}
    names = {spec.name for spec in specs}
    if set(tensors) != names:
        raise ContractError(f"{what} names are {sorted(tensors)}, the contract has {sorted(names)}; export again")
    for spec in specs:
        dtype, shape = _DTYPES.get(tensors[spec.name].type, tensors[spec.name].type), tuple(tensors[spec.name].shape)
        if (dtype, shape) != (spec.dtype, spec.shape):
            raise ContractError(
                f"{what} {spec.name} is {dtype} {shape}, the contract has {spec.dtype} {spec.shape}; export again"
            )


def _onnxruntime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingDependencyError(
            f"ONNX Runtime is not installed ({error}); pip install 'bevdeploy[cpu]' or, for CUDA, 'bevdeploy[gpu]'"
        ) from error


@contextmanager
def _engine_errors(what: str) -> Iterator[None]:
    """ONNX Runtime's exceptions, which share no base class, as one line of EngineError."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    native = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    expected: tuple[type[Exception], ...] = (*native, RuntimeError, ValueError)
    try:
        yield
    except expected as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EngineError(f"{what} ({first_line})") from error
