"""The public surface is a list someone wrote: every listed name is there and is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil

import pytest

import bevdeploy

ROOMS = sorted(module.name for module in pkgutil.iter_modules(bevdeploy.__path__) if module.ispkg)


def test_the_root_exports_the_version_and_the_root_error() -> None:
    assert bevdeploy.__all__ == ["BevDeployError", "__version__"]
    assert issubclass(bevdeploy.BevDeployError, Exception)


def test_the_rooms_were_found() -> None:
    assert {"geometry", "runtime", "export", "engines", "cli"} <= set(ROOMS)


@pytest.mark.parametrize("name", ROOMS)
def test_listed_names_exist_and_are_documented(name: str) -> None:
    room = importlib.import_module(f"bevdeploy.{name}")
    assert room.__doc__, f"bevdeploy/{name}/__init__.py says nothing about the room"
    listed = getattr(room, "__all__", [])
    assert list(listed) == sorted(set(listed)), "one alphabetical list without doubles"
    for public in listed:
        value = getattr(room, public)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert inspect.getdoc(value), f"bevdeploy.{name}.{public} has no docstring"
            assert value.__module__.startswith("bevdeploy."), f"bevdeploy.{name}.{public} is not ours"


@pytest.mark.parametrize("name", ROOMS)
def test_what_a_room_re_exports_is_what_it_lists(name: str) -> None:
    """`from ... import x as x` is the mark of a public name: type checkers read it, `__all__` repeats it."""
    room = importlib.import_module(f"bevdeploy.{name}")
    tree = ast.parse(inspect.getsource(room))
    re_exported = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == alias.asname
    }
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} | {"app"}
    listed = set(getattr(room, "__all__", []))
    assert re_exported <= listed <= re_exported | defined


def test_no_public_name_hides_a_room() -> None:
    assert not set(bevdeploy.__all__) & set(ROOMS)


def test_errors_share_one_root() -> None:
    errors = importlib.import_module("bevdeploy.errors")
    classes = [value for value in vars(errors).values() if inspect.isclass(value)]
    assert len(classes) > 5
    drawn = errors.__doc__ or ""
    for error in classes:
        assert issubclass(error, bevdeploy.BevDeployError)
        assert error.__name__ in drawn, f"{error.__name__} is missing in the drawn tree"
