"""Parity: do two runners agree on the same inputs? A gate, not a print.

Dense outputs are compared by relative L2 after removing each output's mean, so that a large constant cannot hide a
wrong pattern. Decoded boxes and trajectories are matched by (class, cell); a box whose score lies within rounding of
rank K, or whose peak is a near tie, may be in one list and not in the other. The graph's decoder is checked against
the NumPy decoder on the graph's own dense tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.runtime.contract import Contract
from bevdeploy.runtime.postprocess import peaks, result_from_dense, sigmoid

Outputs = Mapping[str, NDArray[Any]]

_BY_AGENT = ("agents", "trajectory_offsets", "trajectory_logits", "trajectories")
"""Outputs in order of score, which rounding may swap: compared as decoded trajectories, matched by cell."""
_MAPS = ("map_probabilities", "occupancy_probabilities")
_YAW = 6
"""Column of a box."""
_SINE = 6
"""Channel of the box codes; the cosine follows."""


PARITY_EGO_STATE = np.array([[8.0, 0.5, 0.0, -1.0, 0.3, 0.0, 0.0, 0.0, 0.1]], np.float32)
"""Braking in a bend: what students that read the ego state are compared on."""

PARITY_MOTION = np.array([[[0.995, -0.0998, 4.1], [0.0998, 0.995, 0.3]]], np.float32)
"""Half a second at 8 m/s in a bend: what temporal students are compared on, besides a first frame."""


@dataclass(frozen=True)
class Gates:
    """Tolerances of one precision; they belong to the model's recipe."""

    bev_relative_l2: float
    bev_cosine_gap: float
    """1 - cosine of the BEV features, means removed."""
    dense_relative_l2: float
    """Every other dense output."""
    scores: float
    """Largest difference of a probability."""
    boxes: float
    """Largest difference of a box number, relative to numbers above 1 (m, rad, m/s)."""
    trajectories_m: float
    plans_m: float
    decoder: float
    """As `boxes`, between the graph's decoder and NumPy's on the same dense tensors."""


@dataclass(frozen=True)
class Check:
    """One measured number and what it may be."""

    case: str
    output: str
    measure: str
    value: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Within tolerance; NaN is not."""
        return bool(self.value <= self.tolerance)

    @property
    def excess(self) -> float:
        """Value in tolerances; infinite for NaN, and for anything but 0 where only 0 will do."""
        if self.value == 0:
            return 0.0
        return self.value / self.tolerance if self.tolerance > 0 and np.isfinite(self.value) else float("inf")


@dataclass(frozen=True)
class ParityReport:
    """Every check of a graph against its reference."""

    graph: str
    reference: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """All checks passed, and there were some."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def worst(self) -> list[Check]:
        """For each output and measure the check that is closest to its tolerance, in first-seen order."""
        worst: dict[tuple[str, str], Check] = {}
        for check in self.checks:
            key = (check.output, check.measure)
            held = worst.get(key)
            if held is None or check.excess > held.excess:
                worst[key] = check
        return list(worst.values())

    def document(self) -> dict[str, Any]:
        """The JSON document; numbers that are not finite are text, as JSON has none."""
        return {
            "format": "bevdeploy.parity/1",
            "graph": self.graph,
            "reference": self.reference,
            "passed": self.passed,
            "checks": [
                {
                    **asdict(check),
                    "value": check.value if np.isfinite(check.value) else str(check.value),
                    "passed": check.passed,
                }
                for check in self.checks
            ],
        }


def relative_l2(got: NDArray[Any], want: NDArray[Any]) -> float:
    """||got - want|| / ||want - mean(want)||; infinite where anything is not finite or shapes differ."""
    if got.shape != want.shape or not np.isfinite(got).all() or not np.isfinite(want).all():
        return float("inf")
    exact, reference = got.astype(np.float64), want.astype(np.float64)
    error = np.linalg.norm(exact - reference)
    if error == 0:
        return 0.0
    spread = np.linalg.norm(reference - reference.mean())
    return float(error / spread) if spread > 0 else float("inf")


def cosine_gap(got: NDArray[Any], want: NDArray[Any]) -> float:
    """1 - cosine of two arrays, means removed; infinite where anything is not finite, or one is constant."""
    if got.shape != want.shape or not np.isfinite(got).all() or not np.isfinite(want).all():
        return float("inf")
    one, other = (array.astype(np.float64) - array.mean(dtype=np.float64) for array in (got, want))
    length = np.linalg.norm(one) * np.linalg.norm(other)
    return max(0.0, float(1 - np.vdot(one, other) / length)) if length > 0 else float("inf")


def dense_checks(case: str, got: Outputs, want: Outputs, gates: Gates) -> list[Check]:
    """Relative L2 of every dense output that both have, except those in order of score; the cosine of the BEV."""
    checks = [
        Check(case, "bev", "relative L2", relative_l2(got["bev"], want["bev"]), gates.bev_relative_l2),
        Check(case, "bev", "1 - cosine", cosine_gap(got["bev"], want["bev"]), gates.bev_cosine_gap),
    ]
    return checks + [
        Check(case, name, "relative L2", relative_l2(got[name], want[name]), gates.dense_relative_l2)
        for name in want
        if name in got and name not in (*_BY_AGENT, "bev") and want[name].dtype.kind == "f" and want[name].ndim >= 4
    ]


def decoded_checks(case: str, got: Outputs, want: Outputs, gates: Gates) -> list[Check]:
    """Boxes and trajectories matched by (class, cell), probabilities, plans: outputs of a `frames` graph.

    Where the dense heat map and box codes are there too, near ties and uncertain yaws are told apart from faults.
    """
    checks = _box_checks(case, got, want, gates) if "boxes" in want else []
    if "plans" in want:
        gap_m = _largest(np.abs(got["plans"] - want["plans"]))
        checks.append(Check(case, "plans", "largest difference, m", gap_m, gates.plans_m))
    return checks + [
        Check(case, name, "relative L2", relative_l2(got[name], want[name]), gates.dense_relative_l2)
        for name in _MAPS
        if name in want
    ]


def _box_checks(case: str, got: Outputs, want: Outputs, gates: Gates) -> list[Check]:
    ours, theirs = _by_cell(got), _by_cell(want)
    common = [key for key in theirs if key in ours]
    mine, yours = [ours[key] for key in common], [theirs[key] for key in common]
    score_gap = np.abs(got["scores"][mine] - want["scores"][yours])
    checks = [
        Check(case, "boxes", "unmatched above rank K", float(_unmatched(got, want, gates.scores)), 0.0),
        Check(case, "scores", "largest difference", _largest(score_gap), gates.scores),
        Check(
            case,
            "boxes",
            "largest difference",
            box_gap(got["boxes"][mine], want["boxes"][yours], _yaw_certainty(want)[yours]),
            gates.boxes,
        ),
    ]
    if "trajectories" in want:
        gap_m = np.abs(got["trajectories"][mine] - want["trajectories"][yours])
        modes = np.abs(got["trajectory_probabilities"][mine] - want["trajectory_probabilities"][yours])
        checks += [
            Check(case, "trajectories", "largest difference, m", _largest(gap_m), gates.trajectories_m),
            Check(case, "trajectory_probabilities", "largest difference", _largest(modes), gates.scores),
        ]
    return checks


def decoded_from_dense(outputs: Outputs, contract: Contract) -> dict[str, NDArray[Any]]:
    """What a `frames` graph would have emitted, from the outputs of a `tensor` graph, by the NumPy decoder.

    Raises:
        ContractError: an output is missing, or an agent lies outside the heatmap.
    """
    result, heads = result_from_dense(outputs, contract), contract.tasks.heads
    decoded: dict[str, NDArray[Any]] = {}
    if "detection" in heads:
        _, rows, columns = contract.geometry.grid.shape_zyx
        decoded |= {"boxes": result.boxes, "scores": result.scores, "labels": result.labels}
        decoded["cells"] = outputs["agents"][0] % (rows * columns)
    if "motion" in heads:
        decoded["trajectories"] = result.trajectories_m
        decoded["trajectory_probabilities"] = result.trajectory_probabilities
    if "map" in heads:
        decoded["map_probabilities"] = result.map_probabilities
    if "occupancy" in heads:
        decoded["occupancy_probabilities"] = result.occupancy_probabilities
    if "planning" in heads:
        decoded["plans"] = result.plans_m
    return decoded


def decoder_checks(case: str, outputs: Outputs, contract: Contract, gates: Gates) -> list[Check]:
    """The graph's decoder against NumPy's, both fed with the graph's dense tensors: same boxes, same order."""
    if "agents" not in outputs:
        return []
    heatmap, agents = outputs["heatmap"][0], outputs["agents"][0]
    _, expected = peaks(heatmap, len(agents))
    differing = np.count_nonzero(expected != agents)
    checks = [Check(case, "agents", "differing from NumPy's peaks", float(differing), 0.0)]
    if "boxes" not in outputs:
        return checks
    cells = heatmap.shape[-2] * heatmap.shape[-1]
    moved = np.count_nonzero(outputs["labels"].astype(np.int64) * cells + outputs["cells"] != agents)
    plans = {"plans": outputs["plans"][None]} if "plans" in outputs else {}
    dense = result_from_dense({**outputs, **plans}, contract)
    scores = np.abs(outputs["scores"] - dense.scores)
    checks += [
        Check(case, "labels, cells", "differing from agents", float(moved), 0.0),
        Check(case, "scores", "decoder against NumPy", _largest(scores), gates.decoder),
        Check(case, "boxes", "decoder against NumPy", box_gap(outputs["boxes"], dense.boxes), gates.decoder),
    ]
    if "trajectories" in outputs:
        gap = _relative_gap(outputs["trajectories"], dense.trajectories_m)
        checks.append(Check(case, "trajectories", "decoder against NumPy", gap, gates.decoder))
    return checks


def box_gap(got: NDArray[Any], want: NDArray[Any], certainty: NDArray[Any] | float = 1.0) -> float:
    """Largest difference of two box lists [n, 9], relative to numbers above 1; yaw differs by the shorter way round.

    `certainty` [n] weighs the yaw: its sine and cosine are nearly 0 where the network has no opinion.
    """
    gap = np.abs(got.astype(np.float64) - want)
    gap[:, _YAW] = np.abs((gap[:, _YAW] + np.pi) % (2 * np.pi) - np.pi) * certainty
    return _largest(gap / np.maximum(1.0, np.abs(want)))


def _yaw_certainty(outputs: Outputs) -> NDArray[Any]:
    """Length of each detection's (sine, cosine), at most 1; 1 where the dense codes are not among the outputs."""
    if "box_codes" not in outputs or "agents" not in outputs:
        return np.ones(len(outputs["boxes"]))
    codes = outputs["box_codes"][0]  # [G, 10, Y, X]
    rows, columns = np.divmod(outputs["cells"], codes.shape[-1])
    lengths = np.hypot(codes[:, _SINE, rows, columns], codes[:, _SINE + 1, rows, columns])  # [G, K]
    return np.asarray(np.minimum(1.0, lengths.min(0)))


def _relative_gap(got: NDArray[Any], want: NDArray[Any]) -> float:
    return _largest(np.abs(got.astype(np.float64) - want) / np.maximum(1.0, np.abs(want)))


def _largest(gaps: NDArray[Any]) -> float:
    """The largest number; infinite if any is not finite, 0 for none."""
    if not np.isfinite(gaps).all():
        return float("inf")
    return float(gaps.max()) if gaps.size else 0.0


def _by_cell(outputs: Outputs) -> dict[tuple[int, int], int]:
    """Row of each detection by (class, cell)."""
    pairs = zip(outputs["labels"].tolist(), outputs["cells"].tolist(), strict=True)
    return {pair: row for row, pair in enumerate(pairs)}


def _unmatched(got: Outputs, want: Outputs, tolerance: float) -> int:
    """Detections in one list only, not counting those that rounding explains.

    Either the score is within `tolerance` of the other list's last, or the other heat map has a neighbour there that is
    higher by no more than `tolerance`, so that a near tie decided which of the two is the peak.
    """
    count = 0
    for ours, theirs in ((got, want), (want, got)):
        there = _by_cell(theirs)
        floor = float(theirs["scores"].min()) + tolerance if there else -np.inf
        for key, row in _by_cell(ours).items():
            explained = key in there or ours["scores"][row] <= floor or _nearly_peak(theirs, key, tolerance)
            count += not explained
    return count


def _nearly_peak(outputs: Outputs, key: tuple[int, int], tolerance: float) -> bool:
    """Whether a (class, cell) is within `tolerance` of being the peak of its 3x3 neighbourhood."""
    if "heatmap" not in outputs:
        return False
    label, cell = key
    logits = outputs["heatmap"][0, label]  # [Y, X]
    row, column = divmod(cell, logits.shape[1])
    window = sigmoid(logits[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2])
    return bool(window.max() - sigmoid(logits[row, column]) <= tolerance)
