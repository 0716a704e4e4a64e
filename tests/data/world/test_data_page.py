"""docs/data.md, its section on the synthetic world: the example runs, the table lists the command's options."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from bevdeploy.cli.data import synth
from bevdeploy.data.world import WorldOptions

PAGE = Path(__file__).resolve().parents[3] / "docs" / "data.md"


def section() -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text[text.index("## Synthetic world") :].split("\n## ")[0]


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    (source,) = re.findall(r"^```python\n(.*?)^```", section(), re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(source, str(PAGE), "exec"), names)
    assert (tmp_path / "out" / "tiny" / "v1.0-mini" / "world.json").is_file()


def test_the_table_lists_every_option_and_its_default() -> None:
    rows = re.findall(r"^\| (`--.*?) \| (.*?) \|", section(), re.MULTILINE)
    options = [option for names, _ in rows for option in re.findall(r"--[a-z]+", names)]
    parameters = [name for name in inspect.signature(synth).parameters if name != "out"]
    assert options == [f"--{'json' if name == 'json_file' else name}" for name in parameters]
    stated = dict(rows)
    defaults = WorldOptions()
    assert stated["`--version`"] == f"`{defaults.version}`"
    assert stated["`--width`, `--height`"] == f"{defaults.width_px}, {defaults.height_px}"
    for name in ("scenes", "keyframes", "sweeps", "seed"):
        assert stated[f"`--{name}`"] == str(getattr(defaults, name)), name
        assert inspect.signature(synth).parameters[name].default == getattr(defaults, name)
