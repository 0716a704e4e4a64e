"""docs/orin.md: each step says whether it was run; its commands, names and quoted messages are those of the code."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bevdeploy.engines.installation import LIBRARIES
from bevdeploy.engines.target import load_target, target_names
from bevdeploy.jobs.build_engine import BACKENDS
from bevdeploy.runtime.manifest import plan_path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "orin.md"
TEXT = PAGE.read_text(encoding="utf-8")
MARK = re.compile(r"\*\*(run|not run on a device)\*\*: \S")
PLACES = ("On the workstation", "On the board")


def readme_tests() -> ModuleType:
    """The checks of every page's commands, which this page's are put to as well."""
    spec = importlib.util.spec_from_file_location("readme_tests", ROOT / "tests" / "test_readme.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def section(title: str, text: str = TEXT) -> str:
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def steps(text: str) -> dict[str, str]:
    """Titles of the numbered steps and what stands below each."""
    parts = re.split(r"^### (.+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def mark_of(step: str) -> str | None:
    """The mark that a step opens with."""
    found = MARK.match(step.lstrip("\n"))
    return found[1] if found else None


def commands() -> list[list[str]]:
    return [shlex.split(line, comments=True) for line in readme_tests().commands_of_page(TEXT)]


STEPS = {title: body for place in PLACES for title, body in steps(section(place)).items()}


def test_the_steps_are_numbered_without_a_gap() -> None:
    assert [int(title.split(".")[0]) for title in STEPS] == list(range(1, len(STEPS) + 1))
    assert set(re.findall(r"^### (.+)$", TEXT, re.MULTILINE)) == set(STEPS), "a step outside of its section"


@pytest.mark.parametrize("title", STEPS)
def test_every_step_has_a_mark_and_something_to_copy(title: str) -> None:
    assert mark_of(STEPS[title]) is not None, f"{title}: opens with no mark"
    assert "```bash\n" in STEPS[title], f"{title}: nothing to copy"


def test_no_step_on_the_board_claims_to_have_been_run() -> None:
    """Until an Orin was there: whoever runs a step on one changes its mark and this test."""
    assert {mark_of(body) for body in steps(section("On the board")).values()} == {"not run on a device"}


def test_commands_outside_of_the_steps_are_marked() -> None:
    outside = TEXT
    for place in PLACES:
        outside = outside.replace(section(place), "")
    for block in re.findall(r"^```bash\n(.*?)^```", outside, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            assert line.endswith("# not run on a device"), line


def test_a_missing_mark_is_seen() -> None:
    assert mark_of("\n\n**run**: here\n") == "run"
    assert mark_of("\n**not run on a device**: no board\n") == "not run on a device"
    assert mark_of("\n**run on a device**: a claim\n") is None
    assert mark_of("\n```bash\nls\n```\n**run**: too late\n") is None
    assert mark_of("\n**run**\n") is None  # where?


def test_its_commands_exist() -> None:
    problems_of = readme_tests().problems_of
    lines = readme_tests().commands_of_page(TEXT)
    assert {line.split()[1] for line in lines} >= {"export", "build", "doctor", "bench", "run"}
    for line in lines:
        assert problems_of(line) == [], line


def test_its_targets_exist_and_are_built_for() -> None:
    own = re.findall(r"`(\S+\.toml)`:\n\n```toml\n", TEXT)
    named = {words[words.index("-t") + 1] for words in commands() if "-t" in words}
    assert named >= {"orin-agx-64gb", "rtx"}
    for name in named - set(own):
        assert load_target(name).backend in BACKENDS, name
    assert set(re.findall(r"\borin-(?:agx|nx)-\d+gb\b", TEXT)) == {n for n in target_names() if n.startswith("orin-")}


def test_its_versions_are_those_of_the_profiles() -> None:
    for name in ("orin-agx-64gb", "orin-nx-16gb"):
        target = load_target(name)
        assert f"TensorRT {target.tensorrt_min} to {target.tensorrt_max}" in TEXT
        assert f"`{name}` asks for {target.power_mode}" in TEXT or f"`{name}` for {target.power_mode}" in TEXT


def test_its_own_profile_can_be_loaded(tmp_path: Path) -> None:
    ((name, text),) = re.findall(r"`(\S+\.toml)`:\n\n```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    (tmp_path / name).write_text(text, encoding="utf-8")
    own, shipped = load_target(tmp_path / name), load_target("orin-nx-16gb")
    assert own.workspace_mib is not None and shipped.workspace_mib is not None
    assert own.workspace_mib < shipped.workspace_mib
    for field in ("backend", "precision", "sm", "tensorrt_min", "tensorrt_max", "power_mode", "budget"):
        assert getattr(own, field) == getattr(shipped, field), field


def test_its_plans_are_named_as_build_names_them() -> None:
    expected = plan_path(Path("s.fp16.onnx"), "orin-agx-64gb", "fp16").name
    assert set(re.findall(r"[\w.-]+\.plan\b", TEXT)) == {expected}
    assert Path(expected).with_suffix(".timing").name in TEXT


def test_its_bench_times_enough_frames() -> None:
    """At the budget's deadline, a thousand frames must fit into the seconds that the command allows."""
    lines = [words for words in commands() if words[1] == "bench"]
    assert lines
    for words in lines:
        budget = load_target(words[words.index("-t") + 1]).budget
        assert float(words[words.index("--seconds") + 1]) > 1000 * budget.mean_ms / 1e3


def test_the_messages_it_quotes_are_in_the_code() -> None:
    literals: list[str] = []
    for path in (ROOT / "bevdeploy").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                literals.append(node.value)  # the parts of an f-string among them
    quoted = re.findall(r"^\| `([^`]+)` \|", section("When it fails"), re.MULTILINE)
    assert len(quoted) >= 10
    for message in quoted:
        assert any(message in literal for literal in literals), message


def test_it_installs_extras_that_exist() -> None:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {extra for group in re.findall(r"pip install \S.*?\[([\w,]+)\]", TEXT) for extra in group.split(",")}
    assert named >= {"cpu", "export", "media", "pycuda", "rtx"}
    assert named <= set(project["optional-dependencies"])
    assert {"onnxruntime", "tensorrt", "pycuda"} <= set(LIBRARIES)  # what doctor looks for on the board


def test_the_index_lists_every_page() -> None:
    index = (PAGE.parent / "README.md").read_text(encoding="utf-8")
    assert {page.name for page in PAGE.parent.glob("*.md")} - {"README.md"} == set(
        re.findall(r"\]\((\w+\.md)\)", index)
    )


@pytest.mark.slow
def test_its_inputs_for_trtexec(tmp_path: Path) -> None:
    """The Python block as printed, on an ONNX file in place of the plan."""
    pytest.importorskip("torch")
    np = pytest.importorskip("numpy")
    from bevdeploy.runtime import load_contract

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stdout + done.stderr

    run("-m", "bevdeploy", "init", "tinybev_r18_small", "-o", "s.pth")
    run("-m", "bevdeploy", "export", "s.pth")
    (block,) = readme_tests().blocks(TEXT, "python")
    assert block.count("s.orin-agx-64gb.fp16.plan") == 1
    run("-c", block.replace("s.orin-agx-64gb.fp16.plan", "s.fp32.onnx"))
    pairs = dict(pair.split(":") for pair in (tmp_path / "inputs.txt").read_text().split(","))
    contract = load_contract(tmp_path / "s.contract.json")
    assert list(pairs) == [spec.name for spec in contract.inputs], "trtexec would invent the rest"
    for spec in contract.inputs:
        values = np.fromfile(tmp_path / pairs[spec.name], spec.dtype)
        assert values.size == np.prod(spec.shape)
