"""The command line: a skin over the library, one file per command, heavy imports inside the command that needs them."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from bevdeploy import __version__
from bevdeploy.cli.bench import bench as _bench
from bevdeploy.cli.build import build as _build
from bevdeploy.cli.compare import compare as _compare
from bevdeploy.cli.data import app as _data
from bevdeploy.cli.demo import demo as _demo
from bevdeploy.cli.distill import distill as _distill
from bevdeploy.cli.doctor import doctor as _doctor
from bevdeploy.cli.eval import evaluate as _eval
from bevdeploy.cli.export import export as _export
from bevdeploy.cli.init import init as _init
from bevdeploy.cli.run import run as _run
from bevdeploy.cli.teach import teach as _teach
from bevdeploy.errors import BevDeployError

__all__ = ["app", "main"]

EXIT_CODES = "Exit codes: 0 done, 1 an error, 2 wrong usage, 3 a gate failed, 130 Ctrl-C."

app = typer.Typer(
    name="bevdeploy",
    help="From a distilled camera-only BEV student to a verified engine in a car.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("init")(_init)
app.command("teach")(_teach)
app.command("distill")(_distill)
app.command("export")(_export)
app.command("build")(_build)
app.command("bench")(_bench)
app.command("run")(_run)
app.command("eval")(_eval)
app.command("compare")(_compare)
app.command("doctor")(_doctor)
app.command("demo")(_demo)
app.add_typer(_data)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bevdeploy {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options that precede a command."""


def main() -> None:
    """Run the command line and exit; an error that bevdeploy raises on purpose is one block on stderr, no traceback."""
    try:
        code = _exit_code()
    except BevDeployError as error:
        _print_error(type(error).__name__, str(error))
        code = 1
    except BrokenPipeError:
        code = 1
    except OSError as error:
        _print_error(*_named(error))
        code = 1
    except KeyboardInterrupt:
        code = 130
    if code == 130:
        typer.echo("interrupted, nothing half-written", err=True)
    _flush_or_discard_stdout()
    sys.exit(code)


def _exit_code() -> int:
    try:
        with _remembered_interrupt():
            app()
    except SystemExit as done:  # how typer ends, well or not; wrong usage it has explained itself
        sys.stdout.flush()
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0


@contextmanager
def _remembered_interrupt() -> Iterator[None]:
    """Ctrl-C stays Ctrl-C: a library that swallows it while it is imported fails later, with an error of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    struck = False

    def strike(number: int, frame: FrameType | None) -> None:
        nonlocal struck
        struck = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, strike)
    try:
        yield
    except Exception as error:
        if struck:
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def _named(error: OSError) -> tuple[str, str]:
    where = error.filename or "standard output"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "OutputError", f"{where}: the disk is full; free some space, or write elsewhere"
    return type(error).__name__, f"{where}: {error.strerror or error}"


def _print_error(name: str, message: str) -> None:
    typer.echo(f"{typer.style(name, fg=typer.colors.RED, bold=True)}: {message}", err=True)


def _flush_or_discard_stdout() -> None:
    """Keep the interpreter from complaining, as it ends, about what a closed pipe or a full disk did not take."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
