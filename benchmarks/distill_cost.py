"""What a step of each method costs: time beside student and teacher alone, in turns, and the memory of a process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.distill_runs import Study
from benchmarks.side_by_side import Comparison, Goal, Turns, side_by_side
from bevdeploy.jobs.taught_objective import ALONE, taught_by
from bevdeploy.models.teachers.checkpoint import load_teacher
from bevdeploy.train import TrainBatch
from bevdeploy.train.loading import batches
from bevdeploy.train.taught import CHECKPOINT, LiveTeacher

MOST = 1.3
"""Times the sum of student forward, student backward and teacher forward."""
STUDENT, TEACHER = "student forward + backward, none", "teacher forward"


def step_costs(study: Study, methods: Sequence[str], turns: Turns) -> tuple[Comparison, list[Goal]]:
    """Steps of all methods, with the teacher running and with its cache; without optimiser, loading and logging."""
    live_path = study.teacher / CHECKPOINT
    work: dict[str, Callable[[], object]] = {STUDENT: _step(study, ALONE, None)}
    live = LiveTeacher(load_teacher(live_path))
    batch, bf16 = _batch(study, ALONE, None), study.config.precision == "bf16-mixed"

    def teacher_forward() -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return live.taps(batch)

    work[TEACHER] = teacher_forward
    taught = [method for method in methods if method != ALONE]
    for method in taught:
        work[f"{method}, teacher running"] = _step(study, method, live_path)
        work[f"{method}, teacher cached"] = _step(study, method, study.teacher)
    name = f"one step of {study.config.batch} keyframes"
    times = side_by_side(name, work, turns)
    both = times.median_ms(STUDENT) + times.median_ms(TEACHER)
    goals = []
    for method in taught:
        running = times.median_ms(f"{method}, teacher running")
        goals.append(Goal(f"{method}, teacher running: against student and teacher", running / both, MOST, False))
    return times, goals


def _batch(study: Study, method: str, teacher: Path | None) -> TrainBatch:
    taught = taught_by(method, teacher, study.config)
    student = study.fresh(0)
    source = replace(study, train_keyframes=study.config.batch).source(student)
    loaded = batches(
        source,
        student.spec,
        study.config.centres,
        batch=study.config.batch,
        seed=0,
        steps=range(1),
        recall=taught.cache,
    )
    return next(loaded)._replace(progress=0.9)  # all stages of a method have begun


def _step(study: Study, method: str, teacher: Path | None) -> Callable[[], object]:
    """A forward and backward of a method, gradients left where they are."""
    student = study.fresh(0).train()
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective = taught_by(method, teacher, study.config).objective(student, study.config)
    batch, bf16 = _batch(study, method, teacher), study.config.precision == "bf16-mixed"

    def step() -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            terms = objective.terms(student, batch)
        torch.stack([term.float() for term in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
        return None

    return step


def memory_mb(study: Study, methods: Sequence[str]) -> Mapping[str, tuple[float, float]]:
    """Peak memory of a process that does two steps of a method: with the teacher running, and with its cache."""
    context = multiprocessing.get_context("spawn")
    found = {}
    for method in methods:
        peaks = []
        for teacher in (study.teacher / CHECKPOINT, study.teacher):
            with context.Pool(1) as pool:
                peaks.append(pool.apply(_peak_mb, (study, method, None if method == ALONE else teacher)))
        found[method] = (peaks[0], peaks[1])
    return found


def _peak_mb(study: Study, method: str, teacher: Path | None) -> float:
    step = _step(study, method, teacher)
    for _ in range(2):
        step()
    status = Path("/proc/self/status").read_text()  # ru_maxrss would be that of the process that started this one
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
