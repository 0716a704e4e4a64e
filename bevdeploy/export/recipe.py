"""Export recipes: one TOML file per student in `export/`. Tolerances belong to the model, so they live here."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from bevdeploy.declaration import Key, is_number, is_one_of, is_positive, is_text, is_whole, nearest, toml_document
from bevdeploy.declaration import values_of as checked
from bevdeploy.errors import RecipeError
from bevdeploy.paths import data_dir
from bevdeploy.runtime.parity import Gates

Resize = Literal["linear", "antialias"]
Precision = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class ExportRecipe:
    """How one student is exported."""

    student: str
    """Builder's name, as the checkpoint has it."""
    opset: int
    """20: float16 scales of Q/DQ need 19, and 21 breaks an optimizer of ONNX Runtime 1.31."""
    resize: Resize
    """`linear` is the resize of training; `antialias` serves weights trained on antialiased images."""
    table_headroom: float
    """Pool tables are this much larger than the export rig needs, so that another rig fits."""
    gates: dict[Precision, Gates]
    """Tolerances of each precision's file against PyTorch in fp32; a precision without them cannot be exported."""

    def gates_of(self, precision: Precision) -> Gates:
        """The tolerances of one precision.

        Raises:
            RecipeError: the recipe has none for it.
        """
        if precision not in self.gates:
            raise RecipeError(f"the recipe of {self.student} has no table [gates.{precision}]; see export/README.md")
        return self.gates[precision]


_KEYS = {
    "student": Key("a student's name", is_text, required=True),
    "opset": Key("an opset from 18 to 20", lambda value: is_whole(value) and 18 <= value <= 20, default=20),
    "resize": Key("linear or antialias", is_one_of(("linear", "antialias")), default="linear"),
    "table_headroom": Key("a number from 1 to 8", lambda value: is_number(value) and 1 <= value <= 8, default=1.25),
    "gates": Key("a table with fp32 and fp16", lambda value: isinstance(value, dict), required=True),
}
_PRECISIONS = {
    name: Key("a table of tolerances", lambda value: isinstance(value, dict), required=name == "fp32")
    for name in get_args(Precision)
}
_GATES = {
    name: Key("a tolerance above 0", is_positive, required=True) for name in (field.name for field in fields(Gates))
}


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that come with bevdeploy."""
    return tuple(sorted(path.stem for path in data_dir("export").glob("*.toml")))


def load_recipe(name_or_path: str | Path) -> ExportRecipe:
    """The recipe of a student's name, or of a TOML file.

    Raises:
        RecipeError: no such recipe, or a file with unknown keys or wrong values; all of them are in the message.
    """
    path, names = Path(name_or_path), recipe_names()
    if str(name_or_path) in names or (path.suffix != ".toml" and not path.is_file()):
        if str(name_or_path) not in names:
            raise RecipeError(
                f"no export recipe {str(name_or_path)!r}{nearest(str(name_or_path), names)}; there are "
                f"{', '.join(names)}, or give the path of a .toml file (-r)"
            )
        path = data_dir("export") / f"{name_or_path}.toml"
    problems: list[str] = []
    values = checked(toml_document(path), _KEYS, "", problems)
    precisions = checked(_table(values["gates"]), _PRECISIONS, "gates.", problems)
    gates = {
        name: checked(_table(table), _GATES, f"gates.{name}.", problems)
        for name, table in precisions.items()
        if table is not None
    }
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise RecipeError(f"{path}: not a usable export recipe:{listed}\nThe keys are described in export/README.md")
    return ExportRecipe(**{**values, "gates": {name: Gates(**table) for name, table in gates.items()}})


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
