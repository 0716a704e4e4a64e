"""Comparison: do two students cost the same, take and give the same, compute the same? Card and JSON come from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bevdeploy.engines.graph_cost import GraphCost
from bevdeploy.engines.side_by_side import SideBySide
from bevdeploy.runtime.contract import Contract
from bevdeploy.runtime.parity import ParityReport

COMPARE_FORMAT = "bevdeploy.compare/1"
ABSENT = "absent"

Kind = Literal["checkpoint", "onnx"]
Outputs = Literal["identical", "equal", "different", "not compared"]

_NAMES_ONLY = ("student", "rig_digest")
"""Keys of a contract that change nothing about what a caller passes and gets."""


@dataclass(frozen=True)
class Side:
    """One of the two files."""

    file: str
    kind: Kind
    student: str
    io: str
    geometry_mode: str
    precision: str
    """Of the graph whose cost is counted; a checkpoint itself is run in fp32."""
    backend: str
    cost: GraphCost
    """Of the ONNX file, or of the graph that the checkpoint exports to."""


@dataclass(frozen=True)
class Difference:
    """One key of the contract with two values."""

    key: str
    a: str
    b: str
    binds: bool
    """It changes what a caller passes or gets; a student's name does not."""


@dataclass(frozen=True)
class Comparison:
    """Everything that was compared."""

    a: Side
    b: Side
    contract: tuple[Difference, ...]
    parity: ParityReport | None
    """B against A; None where outputs were not compared."""
    not_compared: str | None
    """Why outputs were not compared."""
    cost_only: bool
    """Other outputs are no failure."""
    bench: SideBySide | None = None

    @property
    def same_cost(self) -> bool:
        """Parameters, operators by type and MACs are equal."""
        return self.a.cost == self.b.cost

    @property
    def same_interface(self) -> bool:
        """A caller can put one in the other's place."""
        return not any(difference.binds for difference in self.contract)

    @property
    def outputs(self) -> Outputs:
        """`identical` to the last bit, `equal` within rounding, or `different`."""
        if self.parity is None:
            return "not compared"
        if all(check.value == 0 for check in self.parity.checks):
            return "identical"
        return "equal" if self.parity.passed else "different"

    @property
    def passed(self) -> bool:
        """Same cost, same interface and, unless only the cost counts, same outputs."""
        return self.same_cost and self.same_interface and (self.cost_only or self.outputs in ("identical", "equal"))

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        cost = "same inference cost" if self.same_cost else "another inference cost"
        interface = "" if self.same_interface else ", another contract"
        half = "fp16" if "fp16" in (self.a.precision, self.b.precision) else "fp32"
        outputs = {
            "identical": "identical outputs",
            "equal": f"the same outputs within the rounding of {half}",
            "different": "other outputs",
            "not compared": "outputs not compared",
        }[self.outputs]
        return f"{cost}{interface}, {outputs}" + (f" ({self.not_compared})" if self.not_compared else "")

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "format": COMPARE_FORMAT,
            "a": asdict(self.a),
            "b": asdict(self.b),
            "same_cost": self.same_cost,
            "same_interface": self.same_interface,
            "outputs": self.outputs,
            "not_compared": self.not_compared,
            "cost_only": self.cost_only,
            "passed": self.passed,
            "verdict": self.verdict,
            "contract_differences": [asdict(difference) for difference in self.contract],
            "parity": None if self.parity is None else self.parity.document(),
            "bench": None if self.bench is None else self.bench.document(),
        }


def contract_differences(a: Contract, b: Contract) -> tuple[Difference, ...]:
    """Keys in which two contracts differ, each tensor one key: `inputs.frames`, `geometry.grid.cell_m`."""
    ours, theirs = dict(_flat(a.document())), dict(_flat(b.document()))
    return tuple(
        Difference(key, ours.get(key, ABSENT), theirs.get(key, ABSENT), key not in _NAMES_ONLY)
        for key in dict.fromkeys((*ours, *theirs))
        if ours.get(key, ABSENT) != theirs.get(key, ABSENT)
    )


def reason_not_to_compare(a: Contract, b: Contract) -> str | None:
    """Why outputs of two graphs cannot be laid side by side; None where they can, whatever their io and geometry."""
    if (a.cameras, a.raw_hw) != (b.cameras, b.raw_hw):
        return "they take other cameras or other image sizes"
    if a.tasks != b.tasks or a.geometry.grid != b.geometry.grid:
        return "they emit other tasks or another BEV grid"
    return None


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves by dotted key; a list of tensors is keyed by their names, and what words say of a tensor is left out."""
    for key, value in document.items():
        if key in ("inputs", "outputs") and not prefix:
            yield f"{key}.order", ", ".join(tensor["name"] for tensor in value)
            for tensor in value:
                yield f"{key}.{tensor['name']}", f"{tensor['dtype']} {tensor['shape']}, {tensor['unit']}"
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
