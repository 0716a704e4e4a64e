"""`bevdeploy compare`: two checkpoints, two ONNX files, or one of each. Two ONNX files need no PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bevdeploy.data import FrameSet
from bevdeploy.engines.comparison import Comparison, Side, contract_differences, reason_not_to_compare
from bevdeploy.engines.graph_cost import cost_of_file, cost_of_model
from bevdeploy.engines.side_by_side import side_by_side
from bevdeploy.errors import EngineError
from bevdeploy.geometry import CameraRig, surround_rig
from bevdeploy.jobs.frames import frame_source
from bevdeploy.jobs.open_pipeline import CHECKPOINTS, default_rig
from bevdeploy.runtime import Contract, OnnxRunner, Pipeline
from bevdeploy.runtime.parity import Check, Gates, ParityReport, decoded_checks, decoded_from_dense, dense_checks

ROUNDING = Gates(dense_relative_l2=1e-4, scores=1e-4, boxes=1e-3, trajectories_m=1e-3, plans_m=1e-3, decoder=1e-5)
"""How far two runs of the same fp32 network may be apart: the fp32 gates of the recipes. A recipe belongs to one
student, and the two files may be of different ones."""


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
    pipeline: Pipeline


def compare(
    a: Path,
    b: Path,
    rig: CameraRig | None = None,
    options: CompareOptions = CompareOptions(),
    advance: Callable[[str], None] = lambda stage: None,
) -> Comparison:
    """Compare cost, contract and outputs of two files.

    A checkpoint fixes no io mode, no geometry mode and no table sizes: beside an ONNX file it is exported as that was.

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
    model = next((runner.contract for runner in runners.values()), None)
    sets = [] if options.data is None else list(frame_source(options.data, rig, options.frames).sets)
    if rig is None:
        rig = sets[0].rig if sets else surround_rig() if model is None else default_rig(model)
    opened = []
    for path in (a, b):
        advance(f"opening {path.name}")
        runner = runners.get(path)
        opened.append(
            _opened_checkpoint(path, rig, model, options.threads) if runner is None else _opened_onnx(path, runner, rig)
        )
    ours, theirs = opened
    reason = "only the cost was asked for" if options.cost_only else None
    reason = reason or reason_not_to_compare(ours.contract, theirs.contract)
    sets = sets or list(frame_source(None, rig, options.frames).sets)
    parity = None if reason is not None else _parity(ours, theirs, sets, advance)
    bench = None
    if options.bench_seconds is not None:
        advance("timing A B A B")
        frames = [each.frames for each in sets if each.rig.digest() == rig.digest()]
        bench = side_by_side(ours.pipeline, theirs.pipeline, frames, options.bench_seconds)
    differences = contract_differences(ours.contract, theirs.contract)
    return Comparison(ours.side, theirs.side, differences, parity, reason, options.cost_only, bench)


def _opened_onnx(path: Path, runner: OnnxRunner, rig: CameraRig) -> _Opened:
    contract = runner.contract
    assert contract is not None
    info = runner.info()
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
    return _Opened(side, contract, Pipeline(runner, contract, rig))


def _opened_checkpoint(path: Path, rig: CameraRig, model: Contract | None, threads: int | None) -> _Opened:
    from bevdeploy.export import TorchRunner, graph_of_student, load_recipe
    from bevdeploy.export.onnx_export import deploy_module
    from bevdeploy.models import load_checkpoint

    student = load_checkpoint(path)
    recipe = load_recipe(student.spec.name)
    io, mode = ("frames", "runtime") if model is None else (model.io, model.geometry_mode)
    sizes = None if model is None or model.geometry != student.spec.geometry else model.table_sizes
    graph = graph_of_student(student, recipe, rig, io, mode, sizes=sizes)
    runner = TorchRunner(deploy_module(student, graph.reference), graph.reference, threads)
    info = runner.info()
    cost = cost_of_model(graph.model)
    side = Side(path.name, "checkpoint", student.spec.name, io, mode, info.precision, info.backend, cost)
    return _Opened(side, graph.contract, Pipeline(runner, graph.reference, rig))


def _parity(a: _Opened, b: _Opened, sets: list[FrameSet], advance: Callable[[str], None]) -> ParityReport:
    checks: list[Check] = []
    for frame_set in sets:
        case = frame_set.token[:24]
        advance(f"comparing outputs: {case}")
        want, got = (_outputs(each.pipeline, frame_set) for each in (a, b))
        checks += dense_checks(case, got, want, ROUNDING)
        decoded = (_decoded(outputs, each.contract) for outputs, each in ((got, b), (want, a)))
        checks += decoded_checks(case, *decoded, ROUNDING)
    return ParityReport(b.side.file, a.side.file, tuple(checks))


def _outputs(pipeline: Pipeline, frame_set: FrameSet) -> dict[str, NDArray[Any]]:
    if frame_set.rig.digest() != pipeline.rig.digest():
        pipeline.recalibrate(frame_set.rig)
    return pipeline.runner.run(pipeline.feeds(frame_set.frames))


def _decoded(outputs: dict[str, NDArray[Any]], contract: Contract) -> dict[str, NDArray[Any]]:
    return outputs if contract.io == "frames" else decoded_from_dense(outputs, contract)
