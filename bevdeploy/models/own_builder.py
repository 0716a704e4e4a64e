"""A user's own student by `package.module:function`. Importing runs the user's code: only on the user's own flag."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from torch import nn

from bevdeploy.errors import CheckpointError
from bevdeploy.models.spec import StudentSpec
from bevdeploy.models.student import Student

_FORM = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)")


def own_student(builder: str, arguments: Mapping[str, Any]) -> Student:
    """What the builder returns for a checkpoint's arguments: any module with the `spec` and the forward of a student.

    Its forward is not called here.

    Raises:
        CheckpointError: the builder cannot be found or called, or returns no student.
    """
    function = builder_of(builder)
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    try:
        student = function(**arguments)
    except Exception as error:  # the user's code may raise anything
        raise CheckpointError(f"--builder {builder}: calling it with ({given}) failed: {_named(error)}") from error
    if not isinstance(student, nn.Module) or not isinstance(getattr(student, "spec", None), StudentSpec):
        what = f"a {type(student).__name__}" + (" without one" if isinstance(student, nn.Module) else "")
        raise CheckpointError(
            f"--builder {builder}: must return a torch module whose `spec` is a bevdeploy.models.StudentSpec, "
            f"got {what}; see docs/own_model.md"
        )
    return cast(Student, student)  # from here on only its spec, its weights and its forward are used


def builder_of(builder: str) -> Callable[..., Any]:
    """The function of `package.module:function`; the current folder is looked in first.

    Raises:
        CheckpointError: the text has another form, or module or function are not there.
    """
    form = _FORM.fullmatch(builder)
    if form is None:
        raise CheckpointError(f"--builder {builder}: expected package.module:function, such as my_students:lean")
    module, name = form["module"], form["function"]
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # and it stays: the function, or the forward, may import more
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # the user's code may raise anything
        raise CheckpointError(
            f"--builder {builder}: importing {module} failed: {_named(error)} (the current folder, PYTHONPATH and "
            "installed packages are looked in)"
        ) from error
    if not callable(found):
        problem = f"has no {name}" if found is None else f"has a {name} that is a {type(found).__name__}, no function"
        raise CheckpointError(f"--builder {builder}: {module} {problem}")
    return cast("Callable[..., Any]", found)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
