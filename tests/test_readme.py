"""Documents are run: links lead somewhere, and every command in a page or an error message is one that exists."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from bevdeploy.cli import app
from bevdeploy.data import synthetic_frame_sets
from bevdeploy.geometry import surround_rig

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "export").glob("*.md")])
PAGES += sorted([*(ROOT / "engines").glob("*.md"), *(ROOT / "plugins").rglob("*.md")])
SOURCES = sorted((ROOT / "bevdeploy").rglob("*.py"))

COMMANDS_EVER = (
    "init",
    "export",
    "bench",
    "run",
    "demo",
    "build",
    "plugins",
    "doctor",
    "compare",
    "eval",
    "distill",
    "teach",
    "data",
)
"""Those of the design; a message must not send a user to one that does not exist yet."""

README = (ROOT / "README.md").read_text(encoding="utf-8")


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands_of_page(text: str) -> list[str]:
    lines = [line.strip() for block in blocks(text, "bash") for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`(bevdeploy [^`]+)`", text)
    return [line for line in [*lines, *inline] if line.startswith("bevdeploy ")]


def problems_of(command: str) -> list[str]:
    """Why a command line is not one of ours: an unknown command or option, too many arguments, a missing value."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    words = shlex.split(command, comments=True)[1:]
    if words and words[0].startswith("-"):
        return [] if words[0] in ("--help", "--version") else [f"no option {words[0]}"]
    if words and hasattr(commands.get(words[0]), "commands"):  # a group, such as `bevdeploy data`
        commands, words = commands[words[0]].commands, words[1:]
    if not words or words[0] not in commands:
        return [f"no command in {command!r}"]
    parameters = commands[words[0]].params
    options = {name: p for p in parameters if p.param_type_name == "option" for name in (*p.opts, *p.secondary_opts)}
    places = sum(p.nargs if p.nargs > 0 else 99 for p in parameters if p.param_type_name == "argument")
    problems, rest = [], words[1:]
    while rest:
        word, *rest = rest
        name = word.split("=")[0]
        if not word.startswith("-"):
            places -= 1
        elif name != "--help" and name not in options:
            problems.append(f"{words[0]} has no option {name}")
        elif name != "--help" and not options[name].is_flag and "=" not in word:
            if not rest:
                problems.append(f"{name} needs a value")
            rest = rest[1:]
    return problems + ([f"{words[0]} takes fewer arguments"] if places < 0 else [])


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not re.match(r"https?://|mailto:", target):
            assert (path.parent / target).exists(), f"{page_id(path)} links to {target}"


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_commands_on_a_page_exist(path: Path) -> None:
    for command in commands_of_page(path.read_text(encoding="utf-8")):
        if not command.split()[1].isupper():
            assert problems_of(command) == [], f"{page_id(path)}: {command}"


@pytest.mark.parametrize("path", SOURCES, ids=page_id)
def test_commands_in_messages_exist(path: Path) -> None:
    """An error that names the command which mends it must name one that runs. Interpolated values count as a word."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        text = ""
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(v.value) if isinstance(v, ast.Constant) else "VALUE" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        for match in re.finditer(r"\bbevdeploy (data \w+|" + "|".join(COMMANDS_EVER) + r")\b([^\n;,()`]*)", text):
            options = re.findall(r"(?<!\S)--?[a-z][a-z-]*", match[2])
            problems = problems_of(" ".join(["bevdeploy", match[1], *(f"{name}=VALUE" for name in options)]))
            if match[0] == "bevdeploy data":  # the group itself, named in a text
                continue
            assert problems == [], f"{page_id(path)}, line {node.lineno}: {match[0]}"


def test_a_wrong_command_is_seen() -> None:
    assert problems_of("bevdeploy fly") == ["no command in 'bevdeploy fly'"]
    assert problems_of("bevdeploy bench --engien s.onnx") == [
        "bench has no option --engien",
        "bench takes fewer arguments",
    ]
    assert problems_of("bevdeploy bench --engine") == ["--engine needs a value"]
    assert problems_of("bevdeploy bench --engine s.onnx") == []


def test_the_quickstart_is_the_main_job() -> None:
    quickstart = commands_of_page(README.split("## Quickstart")[1].split("\n## ")[0])
    assert [line.split()[1] for line in quickstart[:4]] == ["init", "export", "bench", "run"]
    assert "make demo" in README
    assert "make test" in README


@pytest.mark.slow
def test_the_quickstart_runs(tmp_path: Path) -> None:
    """As printed, but with the small student, a short measurement and a folder of one made-up frame set as SOURCE."""
    pytest.importorskip("torch")
    image = pytest.importorskip("PIL.Image")
    rig = surround_rig()
    rig.save(tmp_path / "frames" / "rig.json")
    (made_up,) = synthetic_frame_sets(rig, 1, seed=0)
    for camera, frame in zip(rig.cameras, made_up.frames, strict=True):
        image.fromarray(frame).save(tmp_path / "frames" / f"{camera.name}.png")

    extra = {"bench": ["--frames", "5", "--json", "bench.json"], "run": ["--output", "results"]}
    for line in commands_of_page(README.split("## Quickstart")[1].split("\n## ")[0])[:4]:
        words = line.replace("tinybev_r18", "tinybev_r18_small").replace("SOURCE", "frames").split()[1:]
        done = subprocess.run(
            [sys.executable, "-m", "bevdeploy", *words, *extra.get(words[0], [])],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"

    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"s.pth", "s.fp32.onnx", "s.contract.json", "s.parity.json", "bench.json", "results/index.html"} <= written
    assert not [name for name in written if name.endswith(".part")]
    assert json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert "http" not in re.sub(
        r"http://www\.w3\.org/\S+", "", (tmp_path / "results" / "index.html").read_text("utf-8")
    )


def test_every_command_is_introduced() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name in commands:
        assert f"**`{name}`**" in README
