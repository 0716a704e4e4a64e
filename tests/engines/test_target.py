"""Profiles: all that are shipped load; whatever is wrong in a file is named, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bevdeploy.engines.target import _BUDGET_KEYS, _KEYS, load_target, target_names
from bevdeploy.errors import RecipeError
from bevdeploy.paths import data_dir

GOOD = """
title = "A board"
backend = "tensorrt"
precision = "fp16"
sm = 87
tensorrt_min = "10.3"
tensorrt_max = "10.16"
[budget]
mean_ms = 50
p99_ms = 60.5
miss_percent = 0
"""


def test_the_shipped_profiles() -> None:
    assert {"cpu", "orin-agx-64gb", "orin-nx-16gb", "rtx", "x86-dev"} <= set(target_names())


@pytest.mark.parametrize("name", target_names())
def test_every_shipped_profile_loads_with_tinybevs_budget(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert (target.budget.mean_ms, target.budget.p99_ms, target.budget.miss_percent) == (90.9, 90.9, 0.1)
    assert target.informative == (name in ("cpu", "rtx", "x86-dev"))
    if name.startswith("orin"):
        assert (target.sm, target.tensorrt_min, target.tensorrt_max) == (87, "10.3", "10.16")


def test_a_file_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "my-board.toml"
    path.write_text(GOOD)
    target = load_target(path)
    assert (target.name, target.informative, target.power_mode, target.notes) == ("my-board", False, None, "")
    assert (target.budget.mean_ms, target.budget.deadline_ms) == (50.0, 60.5)
    assert load_target(str(path)) == target


def test_10_16_is_above_10_3(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(GOOD.replace('"10.3"', '"11.0"'))
    with pytest.raises(RecipeError, match=r'tensorrt_min "11.0" is above tensorrt_max "10.16"'):
        load_target(path)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"'orin-agx-64' \(did you mean orin-agx-64gb\?\); there are cpu, "):
        load_target("orin-agx-64")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("precision =", "precison =", r"unknown key precison \(did you mean precision\?\)"),
        ("precision =", "precison =", r"missing key precision: one of fp32, fp16, int8"),
        ("p99_ms", "p99ms", r"unknown key budget.p99ms \(did you mean p99_ms\?\)"),
        ("sm = 87", 'sm = "8.7"', r"sm: expected a compute capability such as 87, got '8.7'"),
        ("sm = 87", "sm = true", "sm: expected a compute capability such as 87, got True"),
        ('"tensorrt"', '"tensorflow"', "backend: expected one of onnxruntime, tensorrt,"),
        ('"10.3"', "10.3", 'tensorrt_min: expected a version in quotes such as "10.3", got 10.3'),
        ("mean_ms = 50", "mean_ms = 0", "budget.mean_ms: expected milliseconds above 0, got 0"),
        ("mean_ms = 50", "mean_ms = nan", "budget.mean_ms: expected milliseconds above 0, got nan"),
        ("miss_percent = 0", "miss_percent = 101", "budget.miss_percent: expected percent, 0 to 100, got 101"),
        ("[budget]", "informative = 1\n[budget]", "informative: expected true or false, got 1"),
        ("[budget]", "[budgets]", r"missing key budget: a table with mean_ms"),
        ("sm = 87", "sm = = 87", "not a TOML file"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(RecipeError, match=message) as caught:
        load_target(path)
    assert str(path) in str(caught.value)


def test_all_problems_come_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace("fp16", "fp8").replace("sm = 87", "sm = -1").replace("mean_ms", "mean"))
    with pytest.raises(RecipeError) as caught:
        load_target(path)
    assert len(str(caught.value).splitlines()) == 1 + 4 + 1  # two values, one unknown key, one missing key


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "t.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"t\.toml: (cannot be read|not a TOML file)"):
        load_target(path)


def test_the_readme_describes_every_key_and_profile() -> None:
    text = (data_dir("engines") / "README.md").read_text(encoding="utf-8")
    for name in [*_KEYS, *_BUDGET_KEYS, *target_names()]:
        assert f"`{name}`" in text or f"[{name}]" in text, name
