"""Work spread over processes: every job once, errors as they were, nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import bevdeploy
from bevdeploy.data.world.workers import results_of

SCRIPT = """
import os, signal, sys, threading, time
from bevdeploy.data.world.workers import results_of
from bevdeploy.errors import OutputError

def square(number):
    return number * number, os.getpid(), os.environ["OMP_NUM_THREADS"]

def one_by_one(waiting, running, last):
    return None if running else waiting[-1]

def refuse(number):
    if number == 2:
        raise OutputError("no. 2 is not written")

def die(number):
    os.kill(os.getpid(), signal.SIGKILL)

def wait(number):
    print(os.getpid(), flush=True)
    time.sleep(60)

def caught(work):
    try:
        list(results_of(work, [1, 2, 3], 2))
    except OutputError as error:
        return str(error)

if __name__ == "__main__":
    BODY
"""

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A program with that last line, in a process of its own."""

    def begin(body: str) -> subprocess.Popen[str]:
        (tmp_path / "work.py").write_text(SCRIPT.replace("BODY", body))
        environment = {**os.environ, "PYTHONPATH": str(Path(bevdeploy.__file__).parents[1]), "OMP_NUM_THREADS": "7"}
        command = [sys.executable, "work.py"]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)

    return begin


def own_process(_: int) -> int:
    return os.getpid()


def test_one_worker_is_this_process() -> None:
    assert list(results_of(own_process, [1, 2], 1)) == [(1, os.getpid()), (2, os.getpid())]


def test_every_job_once_in_other_processes(start: Start) -> None:
    body = 'print(sorted(results_of(square, list(range(9)), 2)), os.getpid(), os.environ["OMP_NUM_THREADS"])'
    out, _ = start(body).communicate(timeout=60)
    jobs, parent, threads = out.rsplit(maxsplit=2)
    found = eval(jobs)
    assert [(job, value) for job, (value, _, _) in found] == [(n, n * n) for n in range(9)]
    assert {pid for _, (_, pid, _) in found}.isdisjoint({int(parent)})
    assert {each for _, (_, _, each) in found} == {"1"}
    assert threads == "7"


def test_jobs_wait_for_what_they_need(start: Start) -> None:
    out, _ = start("print([job for job, _ in results_of(square, [1, 2, 3, 4], 3, one_by_one)])").communicate(timeout=60)
    assert out.strip() == "[4, 3, 2, 1]"


def test_errors_arrive_as_they_are(start: Start) -> None:
    out, _ = start("print(caught(refuse))").communicate(timeout=60)
    assert out.strip() == "no. 2 is not written"


def test_a_killed_worker_is_an_error(start: Start) -> None:
    out, _ = start("print(caught(die))").communicate(timeout=60)
    assert "one of 2 processes that render was killed" in out
    assert "--workers" in out


def test_workers_end_with_their_parent(start: Start) -> None:
    program = start("list(results_of(wait, [1, 2], 2))")
    assert program.stdout is not None
    pids = [int(program.stdout.readline()) for _ in range(2)]
    program.send_signal(signal.SIGKILL)
    program.wait()
    program.stdout.close()
    until = time.monotonic() + 20
    while time.monotonic() < until and any(alive(pid) for pid in pids):
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
