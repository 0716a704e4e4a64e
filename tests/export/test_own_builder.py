"""`export --builder`: the example of docs/own_model.md as it stands, and everything a user can get wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from bevdeploy.errors import CheckpointError, RecipeError
from bevdeploy.export.own_student import check_student, tracing_errors
from bevdeploy.export.recipe import ExportRecipe
from bevdeploy.geometry import CameraRig
from bevdeploy.jobs.export_checkpoint import ExportOptions, export_checkpoint
from bevdeploy.models import Student, load_checkpoint, save_checkpoint
from bevdeploy.models.own_builder import builder_of, own_student
from bevdeploy.runtime import OnnxRunner

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "own_model.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`([a-z_]+\.(?:py|toml))`:\n\n```(?:python|toml)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))


def in_folder(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=folder, env=environment)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page, and the checkpoint that they write."""
    folder = tmp_path_factory.mktemp("own")
    assert set(FILES) == {"my_students.py", "write_lean.py", "lean.toml"}
    for name, text in FILES.items():
        (folder / name).write_text(text)
    written = in_folder(folder, "write_lean.py")
    assert written.returncode == 0, written.stderr
    return folder


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Write a module of the user's into the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def written(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        monkeypatch.delitem(sys.modules, name, raising=False)

    return written


def test_the_example_of_the_page(example: Path) -> None:
    (command,) = re.findall(r"^bevdeploy (export .*)$", PAGE, re.MULTILINE)
    done = in_folder(example, "-m", "bevdeploy", *command.split())
    assert done.returncode == 0, done.stderr + done.stdout
    assert "✓ parity" in done.stdout
    runner = OnnxRunner.open(example / "lean.fp32.onnx", threads=1)
    assert runner.contract is not None
    assert (runner.contract.student, runner.contract.geometry.net_hw) == ("lean", (128, 352))


def test_the_checkpoints_arguments_reach_the_builder(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(example)
    monkeypatch.setattr(sys, "path", list(sys.path))
    student = load_checkpoint(example / "lean.pth", "my_students:lean")
    assert student.image_encoder.layers[0].out_channels == 8
    assert not student.training
    with pytest.raises(CheckpointError, match=r"unknown student 'lean'.*--builder package\.module:function"):
        load_checkpoint(example / "lean.pth")

    bare = example / "bare.pth"
    torch.save(own_student("my_students:lean", {"width": 16}).state_dict(), bare)
    assert load_checkpoint(bare, "my_students:lean").image_encoder.layers[0].out_channels == 16
    with pytest.raises(CheckpointError, match='"format" is None'):
        load_checkpoint(bare)
    torch.save(own_student("my_students:lean", {"width": 8}).state_dict(), bare)
    with pytest.raises(CheckpointError, match=r"layers\.0\.weight: expected \(16, 3, 3, 3\), got \(8, 3, 3, 3\)"):
        load_checkpoint(bare, "my_students:lean")
    torch.save({"layer.weight": torch.zeros(3)}, bare)
    with pytest.raises(CheckpointError, match=r"weights do not fit lean: \d+ missing .*1 unknown \(layer\.weight\)"):
        load_checkpoint(bare, "my_students:lean")


def test_without_a_recipe_of_its_name_one_must_be_given(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(example)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(RecipeError, match=r"no export recipe 'lean'.*path of a \.toml file \(-r\)"):
        export_checkpoint(example / "lean.pth", options=ExportOptions(builder="my_students:lean"))


@pytest.mark.parametrize(
    "text", ["my_students", "my_students.lean", "a:b:c", ":lean", "my_students:", "a b:c", "a/b:c"]
)
def test_a_flag_of_another_form(text: str) -> None:
    with pytest.raises(CheckpointError, match=r"expected package\.module:function"):
        builder_of(text)


def test_what_cannot_be_imported_or_called(module: Callable[[str, str], None]) -> None:
    with pytest.raises(CheckpointError, match="importing no_such_module failed: ModuleNotFoundError"):
        builder_of("no_such_module:build")
    module("broken_own", "import no_such_dependency")
    with pytest.raises(CheckpointError, match=r"importing broken_own failed: .*'no_such_dependency'"):
        builder_of("broken_own:build")
    module(
        "odd_own", "def build(width):\n    raise KeyError('no such size')\nnumber = 3\ndef none():\n    return None\n"
    )
    with pytest.raises(CheckpointError, match="odd_own has no missing"):
        builder_of("odd_own:missing")
    with pytest.raises(CheckpointError, match="has a number that is a int, no function"):
        builder_of("odd_own:number")
    with pytest.raises(CheckpointError, match=r"calling it with \(width=8\) failed: KeyError: 'no such size'"):
        own_student("odd_own:build", {"width": 8})
    with pytest.raises(CheckpointError, match=r"calling it with \(\) failed: TypeError: .*width"):
        own_student("odd_own:build", {})
    with pytest.raises(CheckpointError, match=r"must return a torch module whose `spec`.*got a NoneType"):
        own_student("odd_own:none", {})
    module("bare_own", "from torch import nn\ndef build():\n    return nn.Linear(2, 2)\n")
    with pytest.raises(CheckpointError, match="got a Linear without one"):
        own_student("bare_own:build", {})


def test_a_checkpoint_cannot_name_code(module: Callable[[str, str], None], tmp_path: Path, student: Student) -> None:
    """A module's name in the file is a name like any other; only the flag imports."""
    module("trap_own", f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n")
    save_checkpoint(tmp_path / "s.pth", student, {})
    document = torch.load(tmp_path / "s.pth", weights_only=True)
    torch.save({**document, "student": "trap_own:build"}, tmp_path / "s.pth")
    with pytest.raises(CheckpointError, match="unknown student 'trap_own:build'"):
        load_checkpoint(tmp_path / "s.pth")
    assert not (tmp_path / "ran").exists()


class Wrapped(nn.Module):
    """A student whose outputs pass through a function."""

    def __init__(self, student: Student, change: Callable) -> None:
        super().__init__()
        self.spec, self.student, self.change = student.spec, student, change

    def forward(self, inputs: object) -> object:
        return self.change(self.student(inputs))


def failing(outputs: object) -> object:
    raise RuntimeError("sizes do not match\nmore of it")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda outputs: outputs._asdict(), "must return StudentOutputs, got a dict"),
        (
            lambda outputs: outputs._replace(plans=outputs.plans[:, :2]),
            r"\n  plans: expected \(1, 3, 6, 2\), got \(1, 2, 6, 2\)",
        ),
        (lambda outputs: outputs._replace(bev=None), r"\n  bev: expected \(1, 64, 64, 64\), got NoneType"),
        (failing, r"forward fails on StudentInputs \(RuntimeError: sizes do not match\)"),
    ],
)
def test_outputs_that_are_not_a_students(
    student: Student, recipe: ExportRecipe, rig: CameraRig, change: Callable, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        check_student(Wrapped(student, change), recipe, rig)  # type: ignore[arg-type]


def test_a_student_of_ours_passes(student: Student, recipe: ExportRecipe, rig: CameraRig) -> None:
    check_student(Wrapped(student, lambda outputs: outputs), recipe, rig)  # type: ignore[arg-type]


def test_what_the_exporter_cannot_trace_is_one_line() -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1 if x.sum() > 0 else x - 1

    with pytest.raises(
        CheckpointError, match=r"--builder a:b: PyTorch's ONNX exporter cannot trace the module \("
    ) as e:
        with tracing_errors("a:b"):
            torch.export.export(Branch(), (torch.zeros(3),))
    assert "\n" not in str(e.value)
    with pytest.raises(KeyError), tracing_errors(None):
        raise KeyError("a bug of ours")
