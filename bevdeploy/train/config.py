"""TrainConfig: what a training fixes besides student, data and seed; presets are in `export/training/`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from bevdeploy.data.augment import Augmentation
from bevdeploy.declaration import Key, is_number, is_one_of, is_positive, is_whole, nearest, toml_document, values_of
from bevdeploy.distill.methods import DISTILLERS, settings_from_table
from bevdeploy.errors import RecipeError, TrainingError
from bevdeploy.paths import data_dir
from bevdeploy.train.detection_targets import CentreRule
from bevdeploy.train.task_weights import TaskWeights

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class TrainConfig:
    """A training. Numbers per step count keyframes, not images."""

    steps: int
    batch: int = 4
    """Keyframes per step and process."""
    learning_rate: float = 2e-3
    """At the peak, after the warm-up."""
    backbone_share: float = 1.0
    """Of the learning rate, for the image backbone; below 1 where it starts from ImageNet."""
    final_share: float = 0.01
    """Of the learning rate, at the end of the cosine."""
    warmup_steps: int = 100
    weight_decay: float = 0.01
    """AdamW's, on weights of convolutions and linear layers only."""
    clip_norm: float = 35.0
    """Gradients are scaled down to this norm: the field's value for BEV detectors."""
    ema_decay: float = 0.998
    """Of the averaged weights, which are the ones that are saved; 0 saves the last ones."""
    frozen_norms: bool = False
    """Batch norms keep their statistics: for fine-tuning with small batches."""
    precision: Precision = "32-true"
    save_every: int = 500
    """Steps between two training states."""
    log_every: int = 10
    """Steps between two rows of the log."""
    cached_variants: int = 0
    """Versions of each keyframe that loading processes keep in memory, the first one not augmented; 0 keeps none and
    augments anew at every draw."""
    weights: TaskWeights = field(default_factory=TaskWeights)
    centres: CentreRule = field(default_factory=CentreRule)
    augmentation: Augmentation | None = None
    """None for no augmentation: a file without the table."""
    distill: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of distillers that differ from their defaults, by method."""

    def digest(self) -> str:
        """Equal for configurations that train the same weights; logging and saving are left out.

        So are the tables of methods, of which a training uses one.
        """
        left_out = ("save_every", "log_every", "distill")
        document = {key: value for key, value in asdict(self).items() if key not in left_out}
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def _share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def _not_negative(value: Any) -> bool:
    return is_number(value) and value >= 0


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _factors(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_positive, value)) and value[0] <= value[1] <= 10


_WHOLE = ("a whole number above 0", is_whole)
_CHECKS: dict[str, tuple[str, Any]] = {
    "steps": _WHOLE,
    "batch": _WHOLE,
    "learning_rate": ("a number above 0", is_positive),
    "backbone_share": ("a number from 0 to 1", _share),
    "final_share": ("a number from 0 to 1", _share),
    "warmup_steps": ("a whole number, 0 or more", _count),
    "weight_decay": ("a number, 0 or more", _not_negative),
    "clip_norm": ("a number above 0", is_positive),
    "ema_decay": ("a number from 0 to below 1", lambda value: _share(value) and value < 1),
    "frozen_norms": ("true or false", lambda value: isinstance(value, bool)),
    "precision": (" or ".join(get_args(Precision)), is_one_of(get_args(Precision))),
    "save_every": _WHOLE,
    "log_every": _WHOLE,
    "cached_variants": ("a whole number, 0 or more", _count),
    "weights": ("a table", _is_table),
    "centres": ("a table", _is_table),
    "augmentation": ("a table", _is_table),
    "distill": ("a table of tables", lambda value: _is_table(value) and all(map(_is_table, value.values()))),
}
_WEIGHT = Key("a weight, 0 or more", _not_negative)
_CENTRES = {
    "overlap": Key("a number from 0 to 1", _share),
    "min_radius_cells": Key("a number, 0 or more", _not_negative),
    "code_radius_cells": Key("a whole number, 0 or more", _count),
    "min_points": Key("a whole number, 0 or more", _count),
    "min_visibility": Key("a whole number, 0 or more", _count),
}
_RANGE = Key("two factors, low then high", _factors)
_ANGLE = Key("degrees from 0 to 180", lambda value: is_number(value) and 0 <= value <= 180)
_SWITCH = Key("true or false", lambda value: isinstance(value, bool))
_AUGMENTATION = {
    "image_scale": _RANGE,
    "image_rotation_deg": _ANGLE,
    "image_flip": _SWITCH,
    "bev_rotation_deg": _ANGLE,
    "bev_flip_x": _SWITCH,
    "bev_flip_y": _SWITCH,
    "bev_scale": _RANGE,
    "bev_translation_m": Key("metres from 0 to 100", lambda value: is_number(value) and 0 <= value <= 100),
}


def preset_names() -> tuple[str, ...]:
    """Names of the trainings that come with bevdeploy."""
    return tuple(sorted(path.stem for path in (data_dir("export") / "training").glob("*.toml")))


def load_train_config(name_or_path: str | Path) -> TrainConfig:
    """The training of a preset's name, or of a TOML file.

    Raises:
        RecipeError: no such preset, or a file with unknown keys or wrong values; all of them are in the message.
    """
    path, names = Path(name_or_path), preset_names()
    if str(name_or_path) in names:
        path = data_dir("export") / "training" / f"{name_or_path}.toml"
    elif path.suffix != ".toml" and not path.is_file():
        raise RecipeError(
            f"no training preset {str(name_or_path)!r}{nearest(str(name_or_path), names)}; there are "
            f"{', '.join(names)}, or give the path of a .toml file (--config)"
        )
    problems: list[str] = []
    keys = {name: Key(*check, required=name == "steps") for name, check in _CHECKS.items()}
    values = given(values_of(toml_document(path), keys, "", problems))
    weights = {field.name: _WEIGHT for field in fields(TaskWeights)}
    tables = {}
    for name, known in (("weights", weights), ("centres", _CENTRES), ("augmentation", _AUGMENTATION)):
        if isinstance(values.get(name), dict):
            tables[name] = given(values_of(values[name], known, f"{name}.", problems))
    problems += _distill_problems(values.get("distill", {}))
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise RecipeError(
            f"{path}: not a usable training:{listed}\nThe keys are described in export/training/README.md"
        )
    if "augmentation" in tables:
        ranges: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in tables["augmentation"].items()
        }
        values["augmentation"] = Augmentation(**ranges)
    values["weights"] = TaskWeights(**tables.get("weights", {}))
    values["centres"] = CentreRule(**tables.get("centres", {}))
    return TrainConfig(**values)


def _distill_problems(tables: Any) -> list[str]:
    problems: list[str] = []
    for method, table in tables.items() if isinstance(tables, dict) else ():
        if method not in DISTILLERS:
            known = ", ".join(DISTILLERS)
            problems.append(f"unknown key distill.{method}{nearest(method, tuple(DISTILLERS))}; there are {known}")
        elif isinstance(table, dict):
            try:
                settings_from_table(DISTILLERS[method].settings, table, f"distill.{method}.")
            except TrainingError as error:
                problems += str(error).splitlines()
    return problems


def given(values: dict[str, Any]) -> dict[str, Any]:
    """The values that a file set; the dataclasses hold the defaults."""
    return {name: value for name, value in values.items() if value is not None}


def with_overrides(config: TrainConfig, **overrides: int | float | str | None) -> TrainConfig:
    """The training with some of its top-level values replaced; None keeps the configured one.

    Raises:
        RecipeError: an unknown name or a value that does not fit.
    """
    problems: list[str] = []
    values_of(given(overrides), {name: Key(*check) for name, check in _CHECKS.items()}, "", problems)
    if problems:
        raise RecipeError("; ".join(problems))
    return replace(config, **given(overrides))
