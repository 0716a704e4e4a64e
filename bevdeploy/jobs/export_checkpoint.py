"""`bevdeploy export`: checkpoint to ONNX file, contract and parity report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bevdeploy.errors import GeometryError, OutputError, RecipeError
from bevdeploy.export import ParityCase, graph_of_student, load_recipe, parity_of_graph, write_export
from bevdeploy.export.own_student import check_student, tracing_errors
from bevdeploy.export.recipe import Precision
from bevdeploy.geometry import Camera, CameraRig, surround_rig
from bevdeploy.geometry.frames import compose, rotation_from_quaternion
from bevdeploy.geometry.pool_tables import sizes_of_need
from bevdeploy.geometry.ranks import seen_indices
from bevdeploy.jobs.frames import frame_source
from bevdeploy.models import load_checkpoint
from bevdeploy.paths import check_writable
from bevdeploy.runtime.contract import Contract, GeometryMode, IoMode
from bevdeploy.runtime.parity import ParityReport

NOISE_SEED = 7
NOISE_MEAN, NOISE_STD = 115.0, 58.0
"""About those of ImageNet, 0..255: normalised, the noise has variance 1."""
MOVED = "moved rig"
"""Name of the case; left out where the tables have no head room for it."""
MOVED_DEG = 0.5


@dataclass(frozen=True)
class ExportOptions:
    """What the command line may change."""

    io: IoMode = "frames"
    geometry_mode: GeometryMode = "runtime"
    precision: Precision = "fp32"
    recipe: str | None = None
    """Name or path; None takes the student's own."""
    table_headroom: float | None = None
    """Replaces the recipe's."""
    data: Path | None = None
    """Camera frames for parity; None takes the synthetic street."""
    data_frames: int = 3
    builder: str | None = None
    """`package.module:function` of a student that is not bevdeploy's; importing it runs its code."""


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how close it is."""

    onnx: Path
    contract: Path
    parity_file: Path
    student: str
    onnx_bytes: int
    options: ExportOptions
    parity: ParityReport

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        fields = asdict(self)
        del fields["parity"]
        return {**fields, "parity": self.parity.document()}


def export_checkpoint(
    checkpoint: Path,
    output: Path | None = None,
    rig: CameraRig | None = None,
    options: ExportOptions = ExportOptions(),
    advance: Callable[[str], None] = lambda stage: None,
) -> ExportReport:
    """Export and check; files are written even when a gate fails, so that the report can be read.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        RecipeError: the recipe cannot be used.
        GeometryError: the rig cannot be used.
        FrameSourceError: the frames for parity cannot be used.
        OutputError: a file cannot be written.
    """
    advance("reading the checkpoint")
    student = load_checkpoint(checkpoint, options.builder)
    recipe = load_recipe(options.recipe or student.spec.name)
    recipe.gates_of(options.precision)
    if options.table_headroom is not None:
        recipe = replace(recipe, table_headroom=options.table_headroom)
    if recipe.student != student.spec.name:
        raise RecipeError(
            f"{options.recipe}: a recipe for {recipe.student}, but {checkpoint} holds {student.spec.name}; "
            f'leave out --recipe, or write one with student = "{student.spec.name}"'
        )
    path = output or default_output(checkpoint, options.precision)
    if path.suffix != ".onnx":
        raise OutputError(f"{path}: the name of an ONNX file ends in .onnx; give another with --output")
    check_writable(path)
    cases = parity_cases(rig, options)
    if options.builder is not None:
        advance("checking the student's outputs")
        check_student(student, recipe, rig or cases[0].rig)
    advance("tracing")
    with tracing_errors(options.builder):
        graph = graph_of_student(
            student, recipe, rig or cases[0].rig, options.io, options.geometry_mode, precision=options.precision
        )
    cases = [case for case in cases if case.name != MOVED or _fits(graph.contract, case.rig)]
    report = parity_of_graph(graph, recipe, cases, path.name, lambda case: advance(f"parity: {case}"))
    advance("writing")
    onnx_path, contract, parity_file = write_export(graph, report, path)
    return ExportReport(onnx_path, contract, parity_file, student.spec.name, onnx_path.stat().st_size, options, report)


def _fits(contract: Contract, rig: CameraRig) -> bool:
    """Whether the graph's tables have room for a rig."""
    need, room = sizes_of_need(seen_indices(rig, contract.geometry)), contract.table_sizes
    return need.rows <= room.rows and need.sums1 <= room.sums1 and need.sums2 <= room.sums2


def default_output(checkpoint: Path, precision: Precision) -> Path:
    """`s.pth` to `s.fp32.onnx`, `s.v2.pth` to `s_v2.fp32.onnx`: a graph's name ends at its first dot."""
    return checkpoint.with_name(f"{checkpoint.stem.replace('.', '_')}.{precision}.onnx")


def parity_cases(rig: CameraRig | None, options: ExportOptions) -> list[ParityCase]:
    """Frames, noise and, with runtime geometry, a second calibration.

    Raises:
        FrameSourceError: the frames cannot be used.
        GeometryError: baked geometry, and the frames come from another rig than the one to bake.
    """
    given = None if options.data is None else list(frame_source(options.data, rig, options.data_frames).sets)
    rig = rig or (given[0].rig if given else surround_rig())
    seen = given or list(frame_source(None, rig, 1).sets)
    baked = options.geometry_mode == "baked"
    if baked and rig.digest() not in {each.rig.digest() for each in seen}:
        raise GeometryError("the rig to bake has taken none of the frames for parity; leave out --data, or --rig")
    cases = [
        ParityCase(f"{each.token[:24]}", each.frames, each.rig)
        for each in seen
        if not baked or each.rig.digest() == rig.digest()
    ]
    rng = np.random.default_rng(NOISE_SEED)
    height_px, width_px = rig.image_hw
    noise = rng.normal(NOISE_MEAN, NOISE_STD, (len(rig.cameras), height_px, width_px, 3)).clip(0, 255).astype(np.uint8)
    cases.append(ParityCase("noise", tuple(noise), rig))
    if not baked:
        cases.append(ParityCase(MOVED, cases[0].frames, moved_rig(cases[0].rig)))
    return cases


def moved_rig(rig: CameraRig) -> CameraRig:
    """The same cameras after a knock: each turned by half a degree about its axis and shifted by 2 cm."""
    half = np.deg2rad(MOVED_DEG) / 2
    knock = compose(rotation_from_quaternion([np.cos(half), 0, np.sin(half), 0]), [0.02, 0, 0])  # camera frame
    return CameraRig(tuple(Camera(c.name, c.width_px, c.height_px, c.K, c.ego_from_cam @ knock) for c in rig.cameras))
