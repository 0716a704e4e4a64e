"""`--option key=value` as a builder's arguments, typed by the builder's own defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def builder_arguments(student: str, options: Sequence[str]) -> dict[str, bool | int | float | str]:
    """Typed arguments of a student's builder.

    Raises:
        CheckpointError: an unknown student or key, or a value of the wrong type.
    """
    from bevdeploy.models import STUDENTS

    return arguments_of("student", STUDENTS, student, options)


def teacher_arguments(teacher: str, options: Sequence[str]) -> dict[str, bool | int | float | str]:
    """Typed arguments of a teacher's builder.

    Raises:
        CheckpointError: an unknown teacher or key, or a value of the wrong type.
    """
    from bevdeploy.models.teachers import TEACHERS

    return arguments_of("teacher", TEACHERS, teacher, options)


def arguments_of(
    what: str, builders: Mapping[str, Callable[..., Any]], name: str, options: Sequence[str]
) -> dict[str, bool | int | float | str]:
    """Typed arguments of a named builder.

    Raises:
        CheckpointError: an unknown name or key, or a value of the wrong type.
    """
    import inspect
    import math

    from bevdeploy.declaration import nearest
    from bevdeploy.errors import CheckpointError

    if name not in builders:
        known = tuple(builders)
        raise CheckpointError(f"unknown {what} {name!r}{nearest(name, known)}; known are {', '.join(known)}")
    parameters = inspect.signature(builders[name]).parameters
    arguments: dict[str, bool | int | float | str] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or key not in parameters:
            hint = "" if key in parameters else nearest(key, tuple(parameters))
            raise CheckpointError(f"--option {option}{hint}: expected key=value with key in {', '.join(parameters)}")
        kind = type(parameters[key].default)
        try:
            value = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"--option {option[:80]}: expected a value of type {kind.__name__}") from error
        if isinstance(value, float) and not math.isfinite(value):
            raise CheckpointError(f"--option {option}: expected a finite number")
        arguments[key] = value
    return arguments
