"""Declarations in TOML: every key checked, every problem of a file in one message, the nearest known key suggested."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bevdeploy.errors import RecipeError

MAX_WHOLE = 2**63 - 1
MAX_NUMBER = sys.float_info.max
"""Beyond are infinity, NaN, which compares with nothing, and whole numbers that no float holds."""


@dataclass(frozen=True)
class Key:
    """What a key of a file may hold."""

    expects: str
    """In words, for the message."""
    accepts: Callable[[Any], bool]
    default: Any = None
    required: bool = False


def is_text(value: Any) -> bool:
    """A string that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def is_whole(value: Any) -> bool:
    """A whole number above 0, of 64 bits as TOML has them."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_WHOLE


def is_number(value: Any) -> bool:
    """A finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -MAX_NUMBER <= value <= MAX_NUMBER


def is_positive(value: Any) -> bool:
    """A finite number above 0."""
    return is_number(value) and value > 0


def is_one_of(values: Sequence[str]) -> Callable[[Any], bool]:
    """A check for one of some strings."""
    return lambda value: isinstance(value, str) and value in values


def toml_document(path: Path) -> Mapping[str, Any]:
    """The tables of a TOML file.

    Raises:
        RecipeError: the file cannot be read, or is not TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        document: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return document
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise RecipeError(f"{path}: not a TOML file ({error})") from error


def values_of(table: Mapping[str, Any], keys: Mapping[str, Key], prefix: str, problems: list[str]) -> dict[str, Any]:
    """A value for every key; what is wrong is appended to `problems`, nothing is raised."""
    for name in table:
        if name not in keys:
            problems.append(f"unknown key {prefix}{name}{nearest(name, tuple(keys))}")
    values = {}
    for name, key in keys.items():
        values[name] = table.get(name, key.default)
        if name not in table:
            if key.required:
                problems.append(f"missing key {prefix}{name}: {key.expects}")
        elif not key.accepts(table[name]):
            problems.append(f"{prefix}{name}: expected {key.expects}, got {_shown(table[name])}")
    return values


def nearest(name: str, known: Sequence[str]) -> str:
    """' (did you mean x?)', or nothing when no known name is close."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # Python writes no number of more than 4,300 digits
        return "a value too large to show"
