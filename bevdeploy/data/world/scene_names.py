"""Names of scenes that nuScenes' own splits know."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Literal

from bevdeploy.data.world.town import TOWN_PLANS
from bevdeploy.errors import MissingDependencyError

Version = Literal["v1.0-mini", "v1.0-trainval"]

Names = tuple[str, ...]

_MINI: tuple[Names, Names] = (
    tuple(f"scene-{k:04d}" for k in (61, 553, 655, 757, 796, 1077, 1094, 1100)),
    ("scene-0103", "scene-0916"),
)
_PER_VAL = 5
"""One of so many scenes is for validation, as in nuScenes mini."""


def scene_names(version: Version, count: int) -> tuple[tuple[str, str], ...]:
    """`count` scenes of a version: name and location, those for training first; every fifth scene is for validation.

    Names are the official ones of the version's splits, so that the devkit's `create_splits_scenes` divides them.

    Raises:
        ValueError: `count` is less than two or more than the version has, or there is no such version.
        MissingDependencyError: v1.0-trainval without nuscenes-devkit.
    """
    if version == "v1.0-mini":
        train, val = _MINI
    elif version == "v1.0-trainval":
        train, val = _official()
    else:
        raise ValueError(f"no version {version!r}; there are v1.0-mini and v1.0-trainval")
    validation = max(1, round(count / _PER_VAL))
    if count < 2 or validation > len(val) or count - validation > len(train):
        raise ValueError(f"{version} has 2 to {_most(len(train), len(val))} scenes of ours, not {count}")
    locations = tuple(TOWN_PLANS)
    chosen = [(name, k) for k, name in enumerate(train[: count - validation])]
    chosen += [(name, k) for k, name in enumerate(val[:validation])]
    return tuple((name, locations[k % len(locations)]) for name, k in chosen)


def _most(train: int, val: int) -> int:
    return max(count for count in range(2, train + val + 1) if _fits(count, train, val))


def _fits(count: int, train: int, val: int) -> bool:
    validation = max(1, round(count / _PER_VAL))
    return validation <= val and count - validation <= train


def _official() -> tuple[Names, Names]:
    """Of the devkit's file, read without running it: the devkit brings in its drawing libraries, more than a second."""
    found = importlib.util.find_spec("nuscenes")
    if found is None or not found.submodule_search_locations:
        raise MissingDependencyError(
            "the names of v1.0-trainval's scenes come from nuscenes-devkit, which is not installed;"
            " install it with: pip install 'bevdeploy[nuscenes]'"
        )
    path = Path(found.submodule_search_locations[0]) / "utils" / "splits.py"
    try:
        lists = {
            statement.targets[0].id: ast.literal_eval(statement.value)
            for statement in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(statement, ast.Assign)
            and isinstance(statement.targets[0], ast.Name)
            and isinstance(statement.value, ast.List)
        }
        train = {*lists["train_detect"], *lists["train_track"]}
        return tuple(sorted(train)), tuple(lists["val"])
    except (OSError, ValueError, SyntaxError, KeyError) as error:
        raise MissingDependencyError(
            f"{path}: the names of v1.0-trainval's scenes are not in it ({type(error).__name__}: {error}); install "
            "nuscenes-devkit 1.2 with: pip install 'bevdeploy[nuscenes]'"
        ) from error
