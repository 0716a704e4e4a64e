"""Export recipes: every file loads, every mistake is named, all mistakes of a file in one message."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from bevdeploy.errors import RecipeError
from bevdeploy.export import load_recipe
from bevdeploy.export.recipe import recipe_names
from bevdeploy.models import STUDENTS
from bevdeploy.paths import data_dir
from bevdeploy.runtime.parity import Gates

FILES = sorted(data_dir("export").glob("*.toml"))
GATES = tuple(field.name for field in fields(Gates))
GOOD = 'student = "s"\n[gates.fp32]\n' + "".join(f"{name} = 1e-3\n" for name in GATES)


def refused(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_recipe_loads_and_names_a_student(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.student == path.stem and recipe.student in STUDENTS
    assert recipe == load_recipe(path.stem)
    assert recipe.opset == 20 and recipe.gates["fp32"].dense_relative_l2 <= 1e-4


def test_every_student_has_its_recipe() -> None:
    assert set(recipe_names()) == set(STUDENTS) == {path.stem for path in FILES}


def test_the_readme_lists_every_key_and_every_recipe() -> None:
    text = (data_dir("export") / "README.md").read_text(encoding="utf-8")
    for name in (*GATES, "student", "opset", "resize", "table_headroom", "[gates.fp32]", *recipe_names()):
        assert f"| `{name}` |" in text, name


def test_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    recipe = load_recipe(path)
    assert (recipe.opset, recipe.resize, recipe.table_headroom) == (20, "linear", 1.25)
    assert recipe == load_recipe(str(path))
    with pytest.raises(RecipeError, match=r"the recipe of s has no table \[gates\.fp16\]"):
        recipe.gates_of("fp16")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("student", "studnet", "unknown key studnet (did you mean student?)"),
        ("student", "studnet", "missing key student: a student's name"),
        ("scores", "score", "unknown key gates.fp32.score (did you mean scores?)"),
        ("scores", "score", "missing key gates.fp32.scores"),
        ("fp32", "fp23", "unknown key gates.fp23 (did you mean fp32?)"),
        ('"s"', "18", "student: expected a student's name, got 18"),
        ('"s"', '" "', "student: expected a student's name, got ' '"),
        ('"s"', '"s"\nopset = 21', "opset: expected an opset from 18 to 20, got 21"),
        ('"s"', '"s"\nopset = "20"', "opset: expected an opset from 18 to 20, got '20'"),
        ('"s"', '"s"\nopset = true', "opset: expected"),
        ('"s"', '"s"\nresize = "cubic"', "resize: expected linear or antialias, got 'cubic'"),
        ('"s"', '"s"\ntable_headroom = 0.9', "table_headroom: expected a number from 1 to 8, got 0.9"),
        ('"s"', '"s"\ntable_headroom = inf', "table_headroom: expected"),
        ('"s"', '"s"\nheadroom = 2', "unknown key headroom (did you mean table_headroom?)"),
        ("scores = 1e-3", "scores = 0", "gates.fp32.scores: expected a tolerance above 0, got 0"),
        ("scores = 1e-3", "scores = nan", "gates.fp32.scores: expected a tolerance above 0, got nan"),
        ("scores = 1e-3", 'scores = "1e-3"', "gates.fp32.scores: expected a tolerance above 0, got '1e-3'"),
        ("scores = 1e-3", "scores = true", "gates.fp32.scores: expected"),
        ("decoder = 1e-3", "", "missing key gates.fp32.decoder"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in refused(tmp_path / "mine.toml", GOOD.replace(old, new, 1))


@pytest.mark.parametrize("tail", ["", "gates = 3\n", "[gates]\n", "gates = {fp32 = 1}\n"])
def test_missing_gates(tmp_path: Path, tail: str) -> None:
    assert "gates" in refused(tmp_path / "mine.toml", 'student = "s"\n' + tail)


def test_all_mistakes_are_in_one_message(tmp_path: Path) -> None:
    text = GOOD.replace('"s"', '"s"\nopsett = 20\nresize = 3\ntable_headroom = -1').replace("boxes = 1e-3", "boxs = -1")
    message = refused(tmp_path / "mine.toml", text)
    listed = [line.strip() for line in message.splitlines() if line.startswith("  ")]
    assert len(listed) == 5
    for word in (
        "opsett (did you mean opset?)",
        "resize",
        "table_headroom",
        "boxs (did you mean boxes?)",
        "fp32.boxes",
    ):
        assert sum(word in line for line in listed) == 1, word
    assert message.endswith("The keys are described in export/README.md")


@pytest.mark.parametrize("content", [b"student = ", b"\xff\xfe\x00", b"[" * 20_000])
def test_what_is_not_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"mine\.toml: not a TOML file"):
        load_recipe(path)


def test_a_missing_file_and_an_unknown_name() -> None:
    with pytest.raises(RecipeError, match=r"absent\.toml: cannot be read"):
        load_recipe(Path("absent.toml"))
    with pytest.raises(RecipeError) as caught:
        load_recipe("tinybev_r18_smal")
    message = str(caught.value)
    assert "no export recipe 'tinybev_r18_smal' (did you mean tinybev_r18_small?)" in message
    assert f"{', '.join(recipe_names())}, or give the path of a .toml file (-r)" in message
