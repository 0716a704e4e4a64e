"""DISTILLERS: every method by its name, and settings from a table of names and values."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bevdeploy.declaration import nearest
from bevdeploy.distill.bridgeta import BridgeTA, BridgeTASettings
from bevdeploy.distill.direct import DirectDistillation, DirectSettings
from bevdeploy.distill.distillbev import DistillBEV
from bevdeploy.distill.dualdistill import DualDistill, DualDistillSettings
from bevdeploy.distill.masked_features import MaskedFeatureSettings
from bevdeploy.distill.none import NoDistillation, NoSettings
from bevdeploy.distill.protocol import Distiller
from bevdeploy.distill.taps import TapForm
from bevdeploy.distill.tinybev import TinyBEV, TinyBEVSettings
from bevdeploy.errors import TrainingError


class Method(NamedTuple):
    """How a distiller is built."""

    build: Callable[[TapForm, TapForm, Any], Distiller]
    """Student's form, teacher's form, settings."""
    settings: type[Any]
    """A frozen dataclass."""


DISTILLERS: dict[str, Method] = {
    "none": Method(NoDistillation, NoSettings),
    "direct": Method(DirectDistillation, DirectSettings),
    "bridgeta": Method(BridgeTA, BridgeTASettings),
    "tinybev": Method(TinyBEV, TinyBEVSettings),
    "distillbev": Method(DistillBEV, MaskedFeatureSettings),
    "dualdistill": Method(DualDistill, DualDistillSettings),
}


def build_distiller(name: str, student: TapForm, teacher: TapForm, table: Mapping[str, Any] | None = None) -> Distiller:
    """A method by its name.

    Args:
        name: a key of `DISTILLERS`.
        student: what the student taps.
        teacher: what the teacher taps.
        table: settings that differ from the defaults, as read from TOML; a nested dataclass is a table of its own.

    Raises:
        TrainingError: the name or a setting is unknown, a value has another type, or the teacher does not fit.
    """
    if name not in DISTILLERS:
        raise TrainingError(
            f"no distiller {name!r}{nearest(name, tuple(DISTILLERS))}; there are {', '.join(DISTILLERS)}"
        )
    method = DISTILLERS[name]
    return method.build(student, teacher, settings_from_table(method.settings, table or {}, f"{name}."))


def settings_from_table(settings: type[Any], table: Mapping[str, Any], prefix: str = "") -> Any:
    """A settings dataclass with the values of a table.

    Raises:
        TrainingError: a key is unknown or a value has another type; all such keys are in the message.
    """
    problems: list[str] = []
    made = _from_table(settings, table, prefix, problems)
    if problems:
        raise TrainingError("\n".join(problems))
    return made


def _from_table(settings: type[Any], table: Mapping[str, Any], prefix: str, problems: list[str]) -> Any:
    types = typing.get_type_hints(settings)
    names = [field.name for field in dataclasses.fields(settings)]
    values = {}
    for key, value in table.items():
        if key not in names:
            problems.append(f"unknown setting {prefix}{key}{nearest(key, names)}")
        elif dataclasses.is_dataclass(types[key]) and isinstance(types[key], type) and isinstance(value, Mapping):
            values[key] = _from_table(types[key], value, f"{prefix}{key}.", problems)
        elif (given := _as_type(value, types[key])) is None:
            problems.append(f"{prefix}{key}: expected {_in_words(types[key])}, got {value!r}")
        else:
            values[key] = given
    return settings(**values)


def _as_type(value: Any, wanted: Any) -> Any:
    """The value in the type of a settings field, or None where it does not fit."""
    if typing.get_origin(wanted) is typing.Literal:
        return value if value in typing.get_args(wanted) else None
    if typing.get_origin(wanted) is tuple:
        names = list(value) if isinstance(value, list | tuple) else [None]
        return tuple(names) if all(isinstance(name, str) for name in names) else None
    if wanted is bool or isinstance(value, bool):
        return value if wanted is bool and isinstance(value, bool) else None
    if wanted is float:
        return float(value) if isinstance(value, int | float) and value >= 0 and value == value else None
    if wanted is int:
        return value if isinstance(value, int) and value > 0 else None
    return value if isinstance(value, wanted) else None


def _in_words(wanted: Any) -> str:
    if typing.get_origin(wanted) is typing.Literal:
        return " or ".join(repr(choice) for choice in typing.get_args(wanted))
    if typing.get_origin(wanted) is tuple:
        return "a list of names"
    known = {float: "a number from 0 up", int: "a whole number above 0", bool: "true or false"}
    return known.get(wanted, "a table")
