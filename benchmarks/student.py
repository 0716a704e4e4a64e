"""A whole student and its backbone: ONNX Runtime against PyTorch eager in both memory layouts, threads equal.

The student is untrained, exported for the made-up rig and fed with the made-up street: latency does not depend on
weights. All contenders get the same arrays and their outputs are compared before anything is timed.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.side_by_side import (
    Comparison,
    Goal,
    Turns,
    arguments_of_benchmark,
    document_of,
    publish,
    side_by_side,
)
from bevdeploy.engines.machine import machine_state
from bevdeploy.export import ExportRecipe, graph_of_student, load_recipe
from bevdeploy.export.onnx_export import deploy_module
from bevdeploy.export.onnx_graph import onnx_from_module
from bevdeploy.geometry import surround_rig
from bevdeploy.jobs.frames import frame_source
from bevdeploy.jobs.init_checkpoint import init_checkpoint
from bevdeploy.models import Student, load_checkpoint
from bevdeploy.models.builders import STUDENTS
from bevdeploy.ops.bev_pool_node import NODE
from bevdeploy.runtime.contract import IoMode
from bevdeploy.runtime.onnx_runner import OnnxRunner, available_cores
from bevdeploy.runtime.pipeline import Pipeline
from bevdeploy.runtime.runner import LayerTime

WHOLE, BACKBONE = 1.0, 1.4
POOL_PERCENT = 6.0
POOL_LAYERS = f"_inlfunc_{NODE}_"
"""How ONNX Runtime names the nodes of an inlined function."""
PROFILED_FRAMES = 5
RTOL = 1e-3
"""Relative L2 between float32 graphs of some fifty layers."""
UNORDERED = ("boxes", "labels", "cells", "agents", "trajectories", "trajectory_probabilities")
"""Outputs per agent: two equal scores may change places."""
LAYOUTS = {"eager, contiguous": torch.contiguous_format, "eager, channels_last": torch.channels_last}
ORT = "ONNX Runtime"

Arrays = Mapping[str, NDArray[Any]]
Work = Callable[[], Arrays]


def whole(
    students: Mapping[str, Student], recipe: ExportRecipe, io: IoMode, threads: int
) -> tuple[dict[str, Work], tuple[LayerTime, ...]]:
    """Contenders on one graph, and ONNX Runtime's layers."""
    rig = surround_rig()
    frames = next(iter(frame_source(None, rig, 1).sets)).frames
    graph = graph_of_student(next(iter(students.values())), recipe, rig, io, "runtime")
    runner = OnnxRunner.from_bytes(graph.model.SerializeToString(), graph.contract, threads)
    feeds = Pipeline(runner, graph.contract, rig).feeds(frames)
    contenders: dict[str, Work] = {ORT: lambda: runner.run(feeds)}
    tensors = [torch.from_numpy(feeds[spec.name].copy()) for spec in graph.contract.inputs]
    names = [spec.name for spec in graph.contract.outputs]
    for layout, student in students.items():
        contenders[layout] = eager(deploy_module(student, graph.contract).eval(), tensors, names)
    check(contenders)
    return contenders, tuple(runner.profile(feeds, PROFILED_FRAMES))


def backbone(students: Mapping[str, Student], recipe: ExportRecipe, threads: int) -> dict[str, Work]:
    """Contenders on the image backbone alone, images [6, 3, H, W]."""
    names = ["c4", "c5"]
    first = next(iter(students.values()))
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 3, *first.spec.geometry.net_hw, generator=generator)
    model = onnx_from_module(first.image_encoder.backbone, [images], ["images"], names, recipe.opset)
    runner = OnnxRunner.from_bytes(model.SerializeToString(), threads=threads)
    feeds = {"images": images.numpy()}
    contenders: dict[str, Work] = {ORT: lambda: runner.run(feeds)}
    for layout, student in students.items():
        arranged = images.contiguous(memory_format=LAYOUTS[layout])
        contenders[layout] = eager(student.image_encoder.backbone, [arranged], names)
    check(contenders)
    return contenders


def eager(module: nn.Module, tensors: list[Tensor], names: list[str]) -> Work:
    """A module on fixed inputs; a frames graph returns more than its contract, at the end."""

    def run() -> Arrays:
        with torch.inference_mode():
            outputs = module(*tensors)
        return {name: output.numpy() for name, output in zip(names, outputs, strict=False)}

    return run


def check(contenders: Mapping[str, Work]) -> None:
    """Every contender against the first.

    Raises:
        ArithmeticError: one of them computes something else.
    """
    outputs = {name: {key: np.array(value) for key, value in work().items()} for name, work in contenders.items()}
    first, *others = outputs
    for other in others:
        for name, want in outputs[first].items():
            error = float(np.linalg.norm(outputs[other][name].astype(np.float64) - want) / np.linalg.norm(want))
            if name not in UNORDERED and not error <= RTOL:
                raise ArithmeticError(f"{name}: {other} and {first} differ by {error:.1e} (relative L2), not {RTOL:g}")


def in_layout(path: Path, layout: torch.memory_format) -> Student:
    """A student whose convolutions work in one layout from the first to the last."""
    student = load_checkpoint(path).to(memory_format=layout)
    student.image_encoder.register_forward_pre_hook(
        lambda module, inputs: (inputs[0].contiguous(memory_format=layout),)
    )
    return student


def goal_of_better_eager(times: Comparison, bound: float) -> Goal:
    """ONNX Runtime against the faster of the two layouts."""
    better = min(LAYOUTS, key=times.median_ms)
    what = f"{times.name}: {ORT} against {better}, the better eager layout"
    return Goal(what, times.ratio(better, ORT), bound, at_least=True)


def pool_goal(io: IoMode, layers: tuple[LayerTime, ...]) -> Goal:
    """Share of the pool node's layers.

    Raises:
        LookupError: ONNX Runtime named them in another way.
    """
    pool_ms = sum(layer.mean_ms for layer in layers if layer.name.startswith(POOL_LAYERS))
    if pool_ms == 0:
        raise LookupError(f"no layer of the profile starts with {POOL_LAYERS}")
    percent = 100 * pool_ms / sum(layer.mean_ms for layer in layers)
    return Goal(f"{io} graph: share of the pool node in {ORT}'s layers", percent, POOL_PERCENT, False, "%")


def main() -> None:
    parser = arguments_of_benchmark("A whole student in ONNX Runtime against PyTorch eager in two layouts.", rounds=7)
    parser.add_argument("--student", choices=tuple(STUDENTS), default="tinybev_r18")
    parser.add_argument("--threads", type=int, default=available_cores(), help="threads of both, inside one operator")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    before = machine_state()
    recipe = load_recipe(options.student)
    turns = Turns(options.rounds, calls=1, settle=0, pause_s=0.05)
    with tempfile.TemporaryDirectory(prefix="bevdeploy-benchmark-") as folder:
        checkpoint = Path(folder) / "student.pth"
        init_checkpoint(options.student, checkpoint, {})
        students = {name: in_layout(checkpoint, layout) for name, layout in LAYOUTS.items()}
    comparisons, goals, kinds = [], [], {}
    times = side_by_side(f"{options.student}, backbone", backbone(students, recipe, options.threads), turns)
    comparisons.append(times)
    goals.append(goal_of_better_eager(times, BACKBONE))
    graphs: tuple[IoMode, ...] = ("frames", "tensor")
    for io in graphs:
        contenders, layers = whole(students, recipe, io, options.threads)
        times = side_by_side(f"{options.student}, {io} graph", contenders, turns)
        comparisons.append(times)
        goals += [goal_of_better_eager(times, WHOLE), pool_goal(io, layers)]
        by_kind: Counter[str] = Counter()
        for layer in layers:
            by_kind["BevPool" if layer.name.startswith(POOL_LAYERS) else layer.kind] += layer.mean_ms
        kinds[io] = dict(by_kind.most_common())
    versions = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    machine = (before, machine_state())
    document = document_of(
        options.student, comparisons, goals, turns, options.threads, versions, machine, layer_kinds_ms=kinds
    )
    publish(document, "student", options.json, options.markdown)


if __name__ == "__main__":
    main()
