"""Target profiles: the device an engine is built for and the budget it must meet there, as TOML in `engines/`."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from bevdeploy.declaration import (
    Key,
    is_number,
    is_one_of,
    is_positive,
    is_text,
    is_whole,
    nearest,
    toml_document,
    values_of,
)
from bevdeploy.errors import RecipeError
from bevdeploy.paths import data_dir

Backend = Literal["onnxruntime", "tensorrt", "tensorrt_rtx", "pytorch"]
Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class Budget:
    """What the application figure must meet: frames in memory to BEV result."""

    mean_ms: float
    """Mean latency at most; 90.9 ms are 11 FPS."""
    p99_ms: float
    """99th percentile at most. It is the deadline too: a frame that takes longer has missed it."""
    miss_percent: float
    """Share of frames that may miss the deadline, 0..100."""

    @property
    def deadline_ms(self) -> float:
        """Latency above which a frame counts as missed."""
        return self.p99_ms


@dataclass(frozen=True)
class EngineTarget:
    """One device, or one class of devices."""

    name: str
    """File name without `.toml`."""
    title: str
    backend: Backend
    """What runs there; a figure measured with another backend says nothing about this target."""
    precision: Precision
    sm: int | None
    """CUDA compute capability, 87 for Orin; None where there is no GPU, or any will do."""
    tensorrt_min: str | None
    """First supported version; None without TensorRT."""
    tensorrt_max: str | None
    """Last supported version with everything below it: 10.16 includes 10.16.2."""
    workspace_mib: int | None
    """Scratch memory the TensorRT builder may plan with; None leaves it to the builder."""
    power_mode: str | None
    """Name as `nvpmodel -q` prints it, in which the budget must be met; None where there is no such tool."""
    informative: bool
    """The budget is shown and never fails."""
    budget: Budget
    notes: str

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)


def _is_version(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d+(\.\d+){1,3}", value) is not None


_VERSION = 'a version in quotes such as "10.3"'
_KEYS = {
    "title": Key("a text", is_text, required=True),
    "backend": Key(f"one of {', '.join(get_args(Backend))}", is_one_of(get_args(Backend)), required=True),
    "precision": Key(f"one of {', '.join(get_args(Precision))}", is_one_of(get_args(Precision)), required=True),
    "sm": Key("a compute capability such as 87", is_whole),
    "tensorrt_min": Key(_VERSION, _is_version),
    "tensorrt_max": Key(_VERSION, _is_version),
    "workspace_mib": Key("a whole number of MiB above 0", is_whole),
    "power_mode": Key("a text", is_text),
    "informative": Key("true or false", lambda value: isinstance(value, bool), default=False),
    "notes": Key("a text", lambda value: isinstance(value, str), default=""),
    "budget": Key(
        "a table with mean_ms, p99_ms and miss_percent", lambda value: isinstance(value, dict), required=True
    ),
}
_BUDGET_KEYS = {
    "mean_ms": Key("milliseconds above 0", is_positive, required=True),
    "p99_ms": Key("milliseconds above 0", is_positive, required=True),
    "miss_percent": Key("percent, 0 to 100", lambda value: is_number(value) and 0 <= value <= 100, required=True),
}


def target_names() -> tuple[str, ...]:
    """Names of the profiles that come with bevdeploy."""
    return tuple(sorted(path.stem for path in data_dir("engines").glob("*.toml")))


def load_target(name_or_path: str | Path) -> EngineTarget:
    """The target of a name such as `orin-agx-64gb`, or of a TOML file.

    Raises:
        RecipeError: no such profile, or a file with unknown keys or wrong values; all of them are in the message.
    """
    path = _target_path(name_or_path)
    document = toml_document(path)
    problems: list[str] = []
    values = values_of(document, _KEYS, "", problems)
    limits = values["budget"] if isinstance(values["budget"], dict) else None
    budget = values_of(limits, _BUDGET_KEYS, "budget.", problems) if limits is not None else {}
    lowest, highest = values["tensorrt_min"], values["tensorrt_max"]
    if _is_version(lowest) and _is_version(highest) and _version(lowest) > _version(highest):
        problems.append(f'tensorrt_min "{lowest}" is above tensorrt_max "{highest}"')
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise RecipeError(f"{path}: not a usable target profile:{listed}\nThe keys are described in engines/README.md")
    limits_ms = Budget(**{key: float(value) for key, value in budget.items()})
    return EngineTarget(**{**values, "name": path.stem, "budget": limits_ms})


def _target_path(name_or_path: str | Path) -> Path:
    given = Path(name_or_path)
    names = target_names()
    if str(name_or_path) in names:
        return data_dir("engines") / f"{name_or_path}.toml"
    if given.suffix == ".toml" or given.is_file():
        return given
    raise RecipeError(
        f"no target profile {str(name_or_path)!r}{nearest(str(name_or_path), names)}; there are {', '.join(names)}, "
        "or give the path of a .toml file"
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
