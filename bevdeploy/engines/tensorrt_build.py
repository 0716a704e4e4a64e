"""ONNX to plan with TensorRT or TensorRT-RTX: strongly typed, nothing decided here that the graph can decide.

The library's own Python interface is used, not Polygraphy: JetPack brings `tensorrt` and no Polygraphy; Polygraphy
binds to one of the two libraries, by an environment variable, when it is first imported, and this takes either at any
time; and Polygraphy logs a parser's errors where they are wanted as a list. What is called here is the same from
TensorRT 10.3 to 11.x and in TensorRT-RTX.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from bevdeploy.engines.gpu import Gpu
from bevdeploy.engines.target import EngineTarget
from bevdeploy.errors import ContractError, EngineError
from bevdeploy.runtime.contract import Contract, TensorSpec
from bevdeploy.runtime.tensorrt_library import TensorRTLibrary

POLL_S = 0.2
MAX_MESSAGES = 20
"""Of a library's errors; a graph that it cannot take may give one for every node."""

_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}


@dataclass(frozen=True)
class BuiltPlan:
    """A serialised plan and how it came about."""

    content: bytes
    layers: int
    """Of the parsed network, before the builder fuses them."""
    seconds: float
    """Parsing and building."""
    flags: tuple[str, ...]
    compute_capabilities: tuple[int, ...]
    """Empty where TensorRT-RTX leaves it to the machine that loads the plan."""
    timing_cache: bytes | None
    """Measured kernels, for the next build; TensorRT-RTX measures none."""


def check_builder(target: EngineTarget, library: TensorRTLibrary, gpu: Gpu | None) -> None:
    """Refuse a library or a machine that cannot build for the target.

    Raises:
        EngineError: the library is outside the target's range, or the GPU is not the target's.
    """
    if not _within(library.version, target.tensorrt_min, target.tensorrt_max):
        raise EngineError(
            f"{library.name} {library.version} is installed, target {target.name} takes "
            f"{_range(target.tensorrt_min, target.tensorrt_max)}; a plan runs only under the version that built it, "
            "so build on the device with its own library, or set tensorrt_min and tensorrt_max in a profile of your own"
        )
    if library.backend == "tensorrt_rtx":
        served = _served_by_rtx(library.module)
        if target.sm is not None and target.sm not in served:
            raise EngineError(
                f"target {target.name} is compute capability {target.sm}; {library.name} {library.version} serves only "
                f"desktop cards ({', '.join(map(str, served))}), no Jetson and no data-centre GPU; "
                'use a profile with backend = "tensorrt", on the device'
            )
        return
    if gpu is None:
        raise EngineError(
            f"{library.name} measures kernels on the GPU that will run the plan, and this machine has no NVIDIA "
            f"driver; run this command on the {target.title}, or try the graph here: bevdeploy build ONNX -t rtx"
        )
    if target.sm is not None and target.sm != gpu.sm:
        raise EngineError(
            f"target {target.name} is compute capability {target.sm}, the {gpu.name} here is {gpu.sm}; plans do not "
            "move between devices: run this command on the target"
        )


def build_plan(
    model: bytes,
    contract: Contract,
    target: EngineTarget,
    library: TensorRTLibrary,
    gpu: Gpu | None = None,
    *,
    tf32: bool = False,
    timing_cache: bytes = b"",
    advance: Callable[[str], None] = lambda stage: None,
) -> BuiltPlan:
    """Parse and build; Ctrl-C ends it between two steps of the builder.

    Args:
        model: the serialised ONNX model, types as they are to be computed.
        contract: inputs and outputs that the network must have.
        target: `check_builder` has accepted it.
        library: of the target's backend.
        gpu: the GPU to build on; TensorRT-RTX needs none.
        tf32: let matrix products and convolutions of float32 round their factors to ten bits.
        timing_cache: of an earlier build; one of another version or GPU is left aside.
        advance: told what the builder does, a few times a second.

    Raises:
        EngineError: parser or builder refused the graph; their errors are in the message.
        ContractError: the network's inputs or outputs are not the contract's.
    """
    trt, started = library.module, time.perf_counter()
    log = _error_log(trt)
    try:
        builder = trt.Builder(log)
    except TypeError as error:  # the binding's way to say that there is none
        raise EngineError(f"{library.name} {library.version} does not start:{_listed(log.errors)}") from error
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    advance("parsing")
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        errors = [_parser_error(parser.get_error(n)) for n in range(parser.num_errors)]
        raise EngineError(
            f"the ONNX parser of {library.name} {library.version} refuses the graph:{_listed(errors or log.errors)}"
        )
    _check_tensors("input", [network.get_input(n) for n in range(network.num_inputs)], contract.inputs)
    _check_tensors("output", [network.get_output(n) for n in range(network.num_outputs)], contract.outputs)

    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # kinds of layers for `bench --layers`
    flags = ["strongly_typed"]
    if tf32:
        flags.append("tf32")
        config.set_flag(trt.BuilderFlag.TF32)
    else:
        config.clear_flag(trt.BuilderFlag.TF32)  # set by default: it would lose 13 bits of every float32 island
    if target.workspace_mib is not None:
        flags.append(f"workspace_mib={target.workspace_mib}")
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, target.workspace_mib << 20)
    if library.backend == "tensorrt_rtx":
        capabilities = () if target.sm is None else (target.sm,)
        config.num_compute_capabilities = len(capabilities)
        for n, sm in enumerate(capabilities):
            if not config.set_compute_capability(trt.ComputeCapability(sm), n):
                raise EngineError(f"{library.name} {library.version} refuses compute capability {sm}")
    else:
        capabilities = () if gpu is None else (gpu.sm,)
        _set_timing_cache(config, timing_cache)

    serialised = _built(trt, builder, network, config, advance)
    if serialised is None:
        raise EngineError(f"{library.name} {library.version} could not build the graph:{_listed(log.errors)}")
    measured = bytes(config.get_timing_cache().serialize()) if library.backend == "tensorrt" else None
    return BuiltPlan(
        bytes(serialised), network.num_layers, time.perf_counter() - started, tuple(flags), capabilities, measured
    )


def _built(trt: Any, builder: Any, network: Any, config: Any, advance: Callable[[str], None]) -> Any:
    """Build in a thread of its own: a signal is seen by the main thread only, which must not be inside the library."""
    progress = _progress(trt)
    config.progress_monitor = progress
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="builder") as pool:
        building = pool.submit(builder.build_serialized_network, network, config)
        try:
            while not wait([building], POLL_S).done:
                advance(f"building: {progress.stage}")
        except BaseException:
            progress.stopped = True  # the builder gives up at its next step, and leaving the block waits for that
            raise
        return building.result()


def _progress(trt: Any) -> Any:
    class Progress(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stage = "starting"
            self.stopped = False
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps
            self.stage = phase_name.lower()

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self.stage = f"{phase_name.lower()}, {step + 1} of {self.steps.get(phase_name, step + 1)}"
            return not self.stopped

    return Progress()


def _error_log(trt: Any) -> Any:
    class ErrorLog(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity <= trt.ILogger.ERROR:  # the smaller, the graver
                self.errors.append(msg)

    return ErrorLog()


def _set_timing_cache(config: Any, content: bytes) -> None:
    """Start from an earlier build's measurements; those of another version or GPU are refused, and begun anew."""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _check_tensors(what: str, tensors: Sequence[Any], specs: Sequence[TensorSpec]) -> None:
    got = {t.name: (_DTYPES.get(t.dtype.name, t.dtype.name), tuple(t.shape)) for t in tensors}
    want = {spec.name: (spec.dtype, spec.shape) for spec in specs}
    differing = [name for name in (*want, *(set(got) - set(want))) if got.get(name) != want.get(name)]
    if differing:
        listed = _listed(
            [f"{name}: {got.get(name, 'none')}, the contract has {want.get(name, 'none')}" for name in differing]
        )
        raise ContractError(
            f"the network's {what}s are not the contract's:{listed}\nExport again: bevdeploy export CHECKPOINT"
        )


def _parser_error(error: Any) -> str:
    name = error.node_name() or "the model"
    kind = error.node_operator() if hasattr(error, "node_operator") else ""
    return f"{name} ({kind}): {error.desc()}" if kind else f"{name}: {error.desc()}"


def _listed(messages: Sequence[str]) -> str:
    """One message per line, without repetitions."""
    distinct = list(dict.fromkeys(" ".join(message.split()) for message in messages)) or ["no reason given"]
    rest = len(distinct) - MAX_MESSAGES
    return "".join(f"\n  {message}" for message in distinct[:MAX_MESSAGES]) + (
        f"\n  and {rest} more" if rest > 0 else ""
    )


def _served_by_rtx(trt: Any) -> list[int]:
    names = trt.ComputeCapability.__members__
    return sorted(int(name.removeprefix("SM")) for name in names if re.fullmatch(r"SM\d+", name))


def _within(version: str, lowest: str | None, highest: str | None) -> bool:
    have = _numbers(version)
    if lowest is not None and have < _numbers(lowest):
        return False
    return highest is None or have[: len(_numbers(highest))] <= _numbers(highest)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _range(lowest: str | None, highest: str | None) -> str:
    if lowest is None or highest is None:
        return f"{lowest} and later" if highest is None else f"up to {highest}"
    return f"{lowest} to {highest}"
