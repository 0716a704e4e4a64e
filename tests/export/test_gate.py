"""The parity gate is proven by graphs that must fail it, and names what is wrong with each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import onnx
import pytest

from bevdeploy.export import ExportRecipe, ParityCase, StudentGraph, parity_of_graph
from bevdeploy.geometry import Camera, CameraRig, tables_from_rig
from bevdeploy.geometry.pool_tables import TABLE_NAMES
from bevdeploy.runtime.parity import ParityReport

GraphOf = Callable[[str, str], StudentGraph]
Change = Callable[[onnx.ModelProto], onnx.ModelProto]
Gate = Callable[[str, Change], ParityReport]

DENSE = {"bev", "heatmap", "box_codes", "map_logits", "occupancy_logits"}
"""What every fault before the heads must move."""


@pytest.fixture(scope="module")
def gate(graph_of: GraphOf, recipe: ExportRecipe, cases: list[ParityCase]) -> Gate:
    """The real gate on a changed graph, for the street frame alone."""

    def report(io: str, change: Change) -> ParityReport:
        graph = graph_of(io, "runtime")
        opened = change(graph.opened)
        model = change(graph.model) if io == "frames" else opened
        return parity_of_graph(replace(graph, model=model, opened=opened), recipe, cases[:1], "mutant")

    return report


def failed(report: ParityReport) -> set[str]:
    """Outputs with a failed check; a report with one must not pass, in its document neither."""
    names = {check.output for check in report.checks if not check.passed}
    assert report.passed == (not names) == report.document()["passed"]
    return names


@pytest.mark.parametrize("io", ["frames", "tensor"])
def test_a_mutant_without_a_fault_passes(gate: Gate, mutants: ModuleType, io: str) -> None:
    report = gate(io, mutants.unchanged)
    assert failed(report) == set() and len(report.checks) >= 14


@pytest.mark.parametrize("io", ["frames", "tensor"])
def test_a_zeroed_bev_fails(gate: Gate, mutants: ModuleType, io: str) -> None:
    assert failed(gate(io, mutants.zeroed_bev)) >= DENSE


@pytest.mark.parametrize("io", ["frames", "tensor"])
def test_a_transposed_bev_fails(gate: Gate, mutants: ModuleType, io: str) -> None:
    assert failed(gate(io, mutants.transposed_bev)) >= DENSE


@pytest.mark.parametrize("io", ["frames", "tensor"])
def test_another_cameras_extrinsics_fail(
    gate: Gate, mutants: ModuleType, graph_of: GraphOf, rig: CameraRig, io: str
) -> None:
    """The camera at the front left is taken for the one at the back; every table fits, only the cells are wrong."""
    sizes = graph_of(io, "runtime").contract.table_sizes
    cameras = list(rig.cameras)
    left, back = rig.names.index("CAM_FRONT_LEFT"), rig.names.index("CAM_BACK")
    held = cameras[left]
    cameras[left] = Camera(held.name, held.width_px, held.height_px, held.K, cameras[back].ego_from_cam)
    wrong = tables_from_rig(CameraRig(tuple(cameras)), graph_of(io, "runtime").contract.geometry, sizes)
    assert failed(gate(io, lambda model: mutants.other_rig(model, wrong.arrays()))) >= DENSE


@pytest.mark.parametrize("io", ["frames", "tensor"])
def test_a_rig_knocked_by_half_a_degree_fails_against_the_true_one(
    gate: Gate, mutants: ModuleType, graph_of: GraphOf, cases: list[ParityCase], io: str
) -> None:
    contract = graph_of(io, "runtime").contract
    knocked = tables_from_rig(cases[-1].rig, contract.geometry, contract.table_sizes)
    assert failed(gate(io, lambda model: mutants.other_rig(model, knocked.arrays()))) >= DENSE


@pytest.mark.parametrize("io", ["frames", "tensor"])
@pytest.mark.parametrize(("first", "second"), [(0, 2), (1, 4)])
def test_swapped_cameras_fail(gate: Gate, mutants: ModuleType, io: str, first: int, second: int) -> None:
    assert failed(gate(io, lambda model: mutants.swapped_cameras(model, first, second))) >= DENSE


@pytest.mark.parametrize("io", ["frames", "tensor"])
def test_weights_in_float16_fail_the_fp32_gate(gate: Gate, mutants: ModuleType, io: str) -> None:
    report = gate(io, mutants.half_weights)
    assert failed(report) >= DENSE
    worst = max(check.value for check in report.checks if check.output == "bev")
    assert 1e-4 < worst < 0.1  # rounding, not nonsense


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("pixels", [0.5, -0.05])
def test_a_shifted_resize_fails(gate: Gate, mutants: ModuleType, axis: int, pixels: float) -> None:
    assert failed(gate("frames", lambda model: mutants.shifted_resize(model, axis, pixels))) >= DENSE


XY_SWAPPED = (1, 0, 2, 3, 4, 5, 6, 7, 8)
WIDTH_AND_LENGTH_SWAPPED = (0, 1, 2, 4, 3, 5, 6, 7, 8)


@pytest.mark.parametrize("order", [XY_SWAPPED, WIDTH_AND_LENGTH_SWAPPED])
def test_swapped_box_columns_fail_and_nothing_else_does(gate: Gate, mutants: ModuleType, order: tuple[int]) -> None:
    report = gate("frames", lambda model: mutants.reordered_output(model, "boxes", 1, order))
    assert failed(report) == {"boxes"}
    measures = {check.measure for check in report.checks if not check.passed}
    assert measures == {"largest difference", "decoder against NumPy"}


def test_sizes_without_the_exponential_fail_and_nothing_else_does(gate: Gate, mutants: ModuleType) -> None:
    assert failed(gate("frames", mutants.log_sizes)) == {"boxes"}


def test_detections_in_another_order_fail_the_decoder(gate: Gate, mutants: ModuleType) -> None:
    order = [1, 0, *range(2, 50)]
    assert failed(gate("frames", lambda model: mutants.reordered_output(model, "cells", 0, order))) >= {"labels, cells"}
    assert "agents" in failed(gate("tensor", lambda model: mutants.reordered_output(model, "agents", 1, order)))


@pytest.mark.parametrize("io", ["frames", "tensor"])
@pytest.mark.parametrize("order", [(1, 0, 2, 3, 4, 5), (5, 0, 1, 2, 3, 4)])
def test_trajectory_modes_in_another_order_fail(
    gate: Gate, mutants: ModuleType, io: str, order: tuple[int, ...]
) -> None:
    name, axis = ("trajectories", 1) if io == "frames" else ("trajectory_offsets", 2)
    assert failed(gate(io, lambda model: mutants.reordered_output(model, name, axis, order))) == {"trajectories"}


FRAMES_OUTPUTS = {
    "boxes": "boxes",
    "scores": "scores",
    "trajectories": "trajectories",
    "trajectory_probabilities": "trajectory_probabilities",
    "map_probabilities": "map_probabilities",
    "occupancy_probabilities": "occupancy_probabilities",
    "plans": "plans",
}
TENSOR_OUTPUTS = {
    "heatmap": "heatmap",
    "box_codes": "box_codes",
    "map_logits": "map_logits",
    "occupancy_logits": "occupancy_logits",
    "trajectory_offsets": "trajectories",
    "trajectory_logits": "trajectory_probabilities",
    "plans": "plans",
}
"""Each float output of the file, and the check that must fail when it is broken."""


@pytest.mark.parametrize("factor", [float("nan"), 1.01])
@pytest.mark.parametrize(
    ("io", "output"),
    [*(("frames", name) for name in FRAMES_OUTPUTS), *(("tensor", name) for name in TENSOR_OUTPUTS)],
)
def test_every_output_is_watched(gate: Gate, mutants: ModuleType, io: str, output: str, factor: float) -> None:
    """NaN, one per cent too large: whichever float output of the file it befalls, the gate names it."""
    watched = (FRAMES_OUTPUTS if io == "frames" else TENSOR_OUTPUTS)[output]
    broken = failed(gate(io, lambda model: mutants.scaled_output(model, output, factor)))
    assert watched in broken


def test_the_mutants_fail_on_the_shipped_graph_alone(
    mutants: ModuleType, graph_of: GraphOf, recipe: ExportRecipe, cases: list[ParityCase]
) -> None:
    """A fault in the file that ships, while the graph with opened outputs is right."""
    graph = graph_of("frames", "runtime")
    shipped = replace(graph, model=mutants.transposed_bev(graph.model))
    assert failed(parity_of_graph(shipped, recipe, cases[:1], "mutant")) & {"boxes", "map_probabilities"}


def test_mutants_leave_the_good_graph_as_it_is(mutants: ModuleType, graph_of: GraphOf) -> None:
    model = graph_of("frames", "runtime").model
    before = model.SerializeToString(deterministic=True)
    zeros = {name: np.zeros(1, np.int32) for name in TABLE_NAMES}
    for mutant in (
        mutants.zeroed_bev(model),
        mutants.other_rig(model, zeros),
        mutants.half_weights(model),
        mutants.log_sizes(model),
        mutants.shifted_resize(model, 0, 0.5),
        mutants.swapped_cameras(model, 0, 1),
    ):
        assert mutant.SerializeToString(deterministic=True) != before
    assert model.SerializeToString(deterministic=True) == before
