"""Who may import whom. The absences matter: what runs in a car knows no model, and nothing imports the command line."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "bevdeploy"

LEAVES = {"", "errors", "paths", "tasks", "declaration"}  # "" is the root: the version
MAY_IMPORT: dict[str, set[str]] = {
    "": set(),
    "errors": set(),
    "paths": set(),
    "tasks": set(),
    "declaration": set(),
    "geometry": set(),
    "batch": {"geometry", "ops"},
    "ops": {"geometry"},
    "models": {"ops", "geometry", "batch"},
    "data": {"geometry", "batch"},
    "plugins": set(),
    "runtime": {"geometry", "plugins"},
    "export": {"models", "ops", "geometry", "batch", "runtime"},
    "engines": {"runtime", "plugins"},
    "evaluate": {"geometry", "runtime"},
    "distill": {"models", "geometry", "batch"},
    "train": {"models", "data", "distill", "ops", "geometry", "batch"},
    "report": {"runtime", "engines", "evaluate", "geometry"},
}
MAY_IMPORT["jobs"] = set(MAY_IMPORT)
MAY_IMPORT["cli"] = set(MAY_IMPORT)
MAY_IMPORT["__main__"] = {"cli"}

SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "_data" not in path.parts)


def room(module: str) -> str:
    """`bevdeploy.geometry.rig` is in geometry; `bevdeploy` itself is the root, ''."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> set[str]:
    """Dotted names of ours that a file imports anywhere, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import; write the full name"
            assert node.module is not None
            if node.module == "bevdeploy":  # `from bevdeploy import geometry` imports a room, `__version__` does not
                rooms = {alias.name for alias in node.names if alias.name in MAY_IMPORT}
                found |= {f"bevdeploy.{name}" for name in rooms} or {"bevdeploy"}
            else:
                found.add(node.module)
    return {name for name in found if name.split(".")[0] == "bevdeploy"}


def breaches(path: Path) -> list[str]:
    own = room(module_name(path))
    allowed = MAY_IMPORT[own] | LEAVES | {own}
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for name in sorted(imported(ast.parse(path.read_text(encoding="utf-8"))))
        if room(name) not in allowed
    ]


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_stay_inside_the_table(path: Path) -> None:
    assert breaches(path) == []


def test_every_room_is_in_the_table() -> None:
    rooms = {room(module_name(path)) for path in SOURCES}
    assert rooms <= set(MAY_IMPORT)
    assert len(SOURCES) > 20, "the sources were not found"


def test_a_breach_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    bad = tmp_path / "bevdeploy" / "runtime" / "bad.py"
    bad.parent.mkdir(parents=True)
    bad.write_text(
        "from bevdeploy.errors import BevDeployError\n"
        "def late():\n"
        "    import bevdeploy.models.student\n"
        "    from bevdeploy import export, __version__\n"
    )
    assert breaches(bad) == [
        "bevdeploy/runtime/bad.py imports bevdeploy.export",
        "bevdeploy/runtime/bad.py imports bevdeploy.models.student",
    ]


@pytest.mark.parametrize("folder", ["export", "engines", "plugins"])
def test_folders_of_declarations_hold_no_python(folder: str) -> None:
    """With an editable install these names resolve as namespace packages; Python in them would be importable twice."""
    assert (ROOT / folder).is_dir()
    assert [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".pyi", ".pyc")] == []
