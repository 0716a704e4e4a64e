"""`bevdeploy compare`: two checkpoints, two ONNX files, or one of each. Two ONNX files need no PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bevdeploy.data import FrameSet
from bevdeploy.engines.comparison import Comparison, Side, contract_differences, reason_not_to_compare
from bevdeploy.engines.graph_cost import cost_of_file, cost_of_model
from bevdeploy.engines.side_by_side import side_by_side
from bevdeploy.errors import EngineError, RecipeError
from bevdeploy.geometry import CameraRig, surround_rig
from bevdeploy.jobs.frames import frame_source
from bevdeploy.jobs.open_pipeline import CHECKPOINTS, default_rig
from bevdeploy.jobs.plan_parity import gates_of_student
from bevdeploy.runtime import Contract, OnnxRunner, Pipeline, Runner
from bevdeploy.runtime.contract import GeometryMode, IoMode
from bevdeploy.runtime.parity import (
    PARITY_EGO_STATE,
    PARITY_MOTION,
    Check,
    Gates,
    ParityReport,
    decoded_checks,
    decoded_from_dense,
    dense_checks,
)

STAND_IN = "tinybev_r18"
"""Whose tolerances judge a student that has no recipe of its own among those that come with bevdeploy."""


@dataclass(frozen=True)
class CompareOptions:
    """What the command line may change."""

    data: Path | None = None
    """nuScenes root or folder of frames; None takes the synthetic street."""
    frames: int = 2
    cost_only: bool = False
    """Outputs are neither compared nor judged."""
    bench_seconds: float | None = None
    threads: int | None = None


@dataclass(frozen=True, eq=False)
class _Opened:
    side: Side
    contract: Contract
    """As exported: with baked geometry, without tables."""
    runner: Runner
    takes: Contract
    """What the runner is fed: a checkpoint takes its tables as inputs even beside baked geometry."""


def compare(
    a: Path,
    b: Path,
    rig: CameraRig | None = None,
    options: CompareOptions = CompareOptions(),
    advance: Callable[[str], None] = lambda stage: None,
) -> Comparison:
    """Compare cost, contract and outputs of two files.

    A checkpoint fixes no io mode, no geometry mode, no precision and no table sizes: beside an ONNX file it is exported
    as that was. Outputs are the same within the tolerances of A's recipe, those for fp16 where either file is fp16.

    Raises:
        EngineError: a file is neither a checkpoint nor an ONNX file, or cannot be opened.
        CheckpointError: a checkpoint cannot be used.
        ContractError: an ONNX file does not belong to its contract, or the rig does not fit it.
        GeometryError: the rig cannot be used.
        FrameSourceError: the frames cannot be used.
        MissingDependencyError: a library is missing that one of the files needs.
    """
    for path in (a, b):
        if path.suffix != ".onnx" and path.suffix not in CHECKPOINTS:
            raise EngineError(f"{path}: neither an ONNX file (.onnx) nor a checkpoint ({', '.join(CHECKPOINTS)})")
    runners = {path: OnnxRunner.open(path, options.threads) for path in dict.fromkeys((a, b)) if path.suffix == ".onnx"}
    model = next(iter(runners.values()), None)
    sets = [] if options.data is None else list(frame_source(options.data, rig, options.frames).sets)
    if rig is None and sets:
        rig = sets[0].rig
    if rig is None and not (options.cost_only and options.bench_seconds is None and len(runners) == len({a, b})):
        rig = surround_rig() if model is None else default_rig(_contract_of(model))
    opened = []
    for path in (a, b):
        advance(f"opening {path.name}")
        if path in runners:
            opened.append(_opened_onnx(path, runners[path]))
        else:
            assert rig is not None
            opened.append(_opened_checkpoint(path, rig, model, options.threads))
    ours, theirs = opened
    reason = "only the cost was asked for" if options.cost_only else None
    reason = reason or reason_not_to_compare(ours.contract, theirs.contract)
    parity, bench = None, None
    if rig is not None and (reason is None or options.bench_seconds is not None):
        pair = [Pipeline(each.runner, each.takes, rig) for each in opened]
        sets = sets or list(frame_source(None, rig, options.frames).sets)
        if reason is None:
            parity = _parity(ours, theirs, pair, sets, advance)
        if options.bench_seconds is not None:
            advance("timing A B A B")
            frames = [each.frames for each in sets if each.rig.digest() == rig.digest()]
            bench = side_by_side(pair[0], pair[1], frames, options.bench_seconds)
    differences = contract_differences(ours.contract, theirs.contract)
    return Comparison(ours.side, theirs.side, differences, parity, reason, options.cost_only, bench)


def _contract_of(runner: OnnxRunner) -> Contract:
    assert runner.contract is not None, "OnnxRunner.open gives it one"
    return runner.contract


def _opened_onnx(path: Path, runner: OnnxRunner) -> _Opened:
    contract, info = _contract_of(runner), runner.info()
    side = Side(
        path.name,
        "onnx",
        contract.student,
        contract.io,
        contract.geometry_mode,
        info.precision,
        info.backend,
        cost_of_file(path),
    )
    return _Opened(side, contract, runner, contract)


def _opened_checkpoint(path: Path, rig: CameraRig, model: OnnxRunner | None, threads: int | None) -> _Opened:
    from bevdeploy.export import TorchRunner, graph_of_student, load_recipe
    from bevdeploy.export.onnx_export import deploy_module
    from bevdeploy.models import load_checkpoint

    student = load_checkpoint(path)
    recipe = load_recipe(student.spec.name)
    io: IoMode = "frames"
    mode: GeometryMode = "runtime"
    precision, sizes = "fp32", None
    if model is not None:
        contract = _contract_of(model)
        io, mode, precision = contract.io, contract.geometry_mode, model.info().precision
        sizes = contract.table_sizes if contract.geometry == student.spec.geometry else None
    graph = graph_of_student(student, recipe, rig, io, mode, sizes, "fp16" if precision == "fp16" else "fp32")
    runner = TorchRunner(deploy_module(student, graph.reference), graph.reference, threads)
    cost = cost_of_model(graph.model)
    side = Side(path.name, "checkpoint", student.spec.name, io, mode, graph.precision, runner.info().backend, cost)
    return _Opened(side, graph.contract, runner, graph.reference)


def _parity(
    a: _Opened, b: _Opened, pair: Sequence[Pipeline], sets: Sequence[FrameSet], advance: Callable[[str], None]
) -> ParityReport:
    gates = _gates(a.side, b.side)
    checks: list[Check] = []
    for frame_set in sets:
        case = frame_set.token[:24]
        advance(f"comparing outputs: {case}")
        want, got = (_outputs(each, frame_set) for each in pair)
        if "bev" in got and "bev" in want:
            checks += dense_checks(case, got, want, gates)
        checks += decoded_checks(case, _decoded(got, b.contract), _decoded(want, a.contract), gates)
    return ParityReport(b.side.file, a.side.file, tuple(checks))


def _gates(a: Side, b: Side) -> Gates:
    precision = "fp16" if "fp16" in (a.precision, b.precision) else "fp32"
    try:
        return gates_of_student(a.student, precision)
    except RecipeError:
        return gates_of_student(STAND_IN, precision)


def _outputs(pipeline: Pipeline, frame_set: FrameSet) -> dict[str, NDArray[Any]]:
    if frame_set.rig.digest() != pipeline.rig.digest():
        pipeline.recalibrate(frame_set.rig)
    feeds = pipeline.feeds(frame_set.frames, PARITY_EGO_STATE)
    outputs = pipeline.runner.run(feeds)
    if not pipeline.contract.state:
        return outputs
    for state in pipeline.contract.state:  # what a moving vehicle is fed with next
        feeds |= {state.input: outputs[state.output], state.motion: PARITY_MOTION}
    return pipeline.runner.run(feeds)


def _decoded(outputs: dict[str, NDArray[Any]], contract: Contract) -> dict[str, NDArray[Any]]:
    return outputs if contract.io == "frames" else {**outputs, **decoded_from_dense(outputs, contract)}
