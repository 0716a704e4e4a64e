"""The command line as a user meets it: real processes, exit codes, what is on stderr, what was not imported."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import typer

import bevdeploy
from bevdeploy import cli
from bevdeploy.errors import CheckpointError

ROOT = Path(bevdeploy.__file__).resolve().parents[1]
COMMANDS = ["init", "teach", "distill", "export", "build", "bench", "run", "eval", "compare", "doctor", "demo", "data"]
HEAVY = {"torch", "onnx", "onnxruntime", "onnxscript", "numpy", "PIL", "jinja2", "nuscenes"}


def command_line(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-m", "bevdeploy", *arguments], capture_output=True, text=True, cwd=cwd, env=environment
    )


def exit_code_of(failure: Callable[[], NoReturn], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command that ends in `failure`, through the real `main`."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    app.command("job")(failure)
    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(sys, "argv", ["bevdeploy", "job"])
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert isinstance(done.value.code, int)
    return done.value.code


def test_help_lists_exactly_the_commands_and_the_exit_codes() -> None:
    shown = command_line("--help", COLUMNS="120", TERM="dumb", NO_COLOR="1")
    assert shown.returncode == 0
    listed = [line.split()[1] for line in shown.stdout.splitlines() if line.startswith("│ ") and line[2].islower()]
    assert listed == COMMANDS
    for code in ("0 done", "1 an error", "2 wrong usage", "3 a gate failed", "130 Ctrl-C"):
        assert code in shown.stdout


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS), ["--version"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    """What keeps `--help` under 0.3 s, measured without a clock."""
    code = (
        "import atexit, json, sys\n"
        f"heavy = {sorted(HEAVY)!r}\n"
        "atexit.register(lambda: print(json.dumps([n for n in heavy if n in sys.modules]), file=sys.stderr))\n"
        "from bevdeploy.cli import main\n"
        "main()\n"
    )
    shown = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stderr) == []


def test_version() -> None:
    assert command_line("--version").stdout == f"bevdeploy {bevdeploy.__version__}\n"


@pytest.mark.parametrize("arguments", [["fly"], ["export", "--no-such-option"], ["export"], []])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    shown = command_line(*arguments)
    assert shown.returncode == 2
    assert "Usage" in shown.stdout + shown.stderr
    assert "Traceback" not in shown.stderr


def test_an_error_of_ours_is_one_block_without_traceback(tmp_path: Path) -> None:
    shown = command_line("export", str(tmp_path / "missing.pth"), cwd=tmp_path)
    assert shown.returncode == 1
    assert shown.stderr.startswith("CheckpointError: ")
    assert "missing.pth" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_message_is_not_wrapped_or_decorated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command in a message must survive copy and paste, whatever the width of the terminal."""
    message = "s.pth: [bold]damaged[/bold] " + "word " * 60 + "\n    bevdeploy init tinybev_r18 -o s.pth"

    def fail() -> NoReturn:
        raise CheckpointError(message)

    assert exit_code_of(fail, monkeypatch) == 1
    assert capsys.readouterr() == ("", f"CheckpointError: {message}\n")


def test_a_failed_gate_exits_with_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> NoReturn:
        raise typer.Exit(3)

    assert exit_code_of(fail, monkeypatch) == 3
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_an_output_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "s.fp32.onnx")

    assert exit_code_of(fail, monkeypatch) == 1
    assert capsys.readouterr().err.startswith("OutputError: s.fp32.onnx: the disk is full")


def test_what_was_printed_before_an_error_is_kept(tmp_path: Path) -> None:
    code = (
        "import sys, typer\n"
        "from bevdeploy import cli\n"
        "app = typer.Typer(); app.callback()(lambda: None)\n"
        "@app.command()\n"
        "def job():\n"
        "    print('a card'); open(sys.argv[0])\n"
        "cli.app = app; sys.argv = ['missing.json', 'job']\n"
        "cli.main()\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert shown.returncode == 1
    assert shown.stdout == "a card\n"
    assert shown.stderr == "FileNotFoundError: missing.json: No such file or directory\n"


def test_a_bug_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> NoReturn:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        exit_code_of(fail, monkeypatch)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_standard_output_is_one_error() -> None:
    with open("/dev/full", "w") as full:
        shown = subprocess.run(
            [sys.executable, "-m", "bevdeploy", "--help"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert shown.returncode == 1
    assert shown.stderr == "OutputError: standard output: the disk is full; free some space, or write elsewhere\n"


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    shown = subprocess.run(
        [sys.executable, "-m", "bevdeploy", "--help"], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert shown.stderr == ""
    assert shown.returncode == 1


def test_ctrl_c_in_a_real_process() -> None:
    code = (
        "import sys, time, typer\n"
        "from bevdeploy import cli\n"
        "app = typer.Typer(); app.callback()(lambda: None)\n"
        "@app.command()\n"
        "def job():\n"
        "    print('started', flush=True); time.sleep(30)\n"
        "cli.app = app; sys.argv = ['bevdeploy', 'job']\n"
        "cli.main()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.strip() == "interrupted, nothing half-written"
