"""Every method against the baseline on the synthetic world: paired seeds, one budget, gains with intervals, and cost.

    python -m benchmarks.distill --root world --teacher cache --out study --markdown docs/distill_results.md

The world is made where it is missing, and so is the teacher's cache (`bevdeploy teach planner_lc_small`). A study that
was stopped goes on: a training that has ended is not repeated, and all methods have one seed before the next begins.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.distill_cost import memory_mb, step_costs
from benchmarks.distill_runs import Study, evaluated_runs, trained_runs
from benchmarks.distill_table import gains, markdown_of_runs
from benchmarks.side_by_side import Turns, document_of, markdown_of, replace_section
from bevdeploy.data.world import WorldOptions, write_world
from bevdeploy.distill.methods import DISTILLERS
from bevdeploy.engines.machine import machine_state
from bevdeploy.jobs.keyframes import index_of
from bevdeploy.jobs.taught_objective import ALONE
from bevdeploy.jobs.teach import TeachOptions, teach
from bevdeploy.paths import write_text
from bevdeploy.train import load_train_config
from bevdeploy.train.config import with_overrides
from bevdeploy.train.teacher_cache import HEADER

SCENES, KEYFRAMES, WORLD_SEED = 50, 40, 1
"""Of the world that is made; ten of the scenes are of `val`."""
TEACHER = "planner_lc_small"
SIZES = {"image_height_px": 96, "image_width_px": 256, "cell_m": 0.8, "half_extent_m": 25.6}
"""Of student and teacher: 6 x 96 x 256 images, 64 x 64 cells."""
TEACHER_STEPS = 600


def main() -> None:
    options = _arguments().parse_args()
    torch.set_num_threads(options.threads)
    config = with_overrides(load_train_config(options.preset), steps=options.steps, batch=options.batch)
    if not options.root.is_dir():
        tell(f"making a world in {options.root}")
        write_world(options.root, WorldOptions(SCENES, KEYFRAMES, seed=WORLD_SEED, version="v1.0-trainval"))
    index_of(options.root, None, tell)
    if not (options.teacher / HEADER).is_file():
        tell(f"training {TEACHER} and writing its cache")
        training = with_overrides(load_train_config("small-world"), steps=TEACHER_STEPS)
        teach(TeachOptions(TEACHER, options.root, options.teacher, training, {**SIZES, "ego_state": False}, sweeps=1))
    study = Study(
        options.root,
        options.teacher,
        "tinybev_r18_small",
        SIZES,
        config,
        options.out,
        options.train_keyframes,
        options.val_keyframes,
    )
    methods = [ALONE, *(method for method in options.methods if method != ALONE)]
    if options.part != "cost":
        publish_gains(study, methods, options)
    if options.part != "gains":
        publish_cost(study, methods, options)


def publish_gains(study: Study, methods: list[str], options: argparse.Namespace) -> None:
    """Train and score what is missing; tables of means and gains."""
    machine = machine_state()
    runs = evaluated_runs(study, trained_runs(study, methods, range(options.seeds), tell), tell)
    budget = (
        f"{study.config.steps} steps of {study.config.batch} keyframes for every run, {len(runs)} runs; student "
        f"`{study.student}` {SIZES}; scored on {len(study.keyframes())} keyframes of `val`, other scenes. "
        f"{time.strftime('%Y-%m-%d')}; {machine.board or machine.cpu or machine.architecture}, {machine.cores} cores."
    )
    text = f"{budget}\n\n{markdown_of_runs(runs)}"
    print(text)
    if options.json:
        measured = {m: {key: asdict(gain) for key, gain in each.items()} for m, each in gains(runs).items()}
        document = {"runs": [asdict(run) for run in runs], "gains": measured, "machine": machine.document()}
        write_text(options.json.with_suffix(".gains.json"), json.dumps(document, indent=1) + "\n")
    if options.markdown:
        replace_section(options.markdown, "distill_gains", text)


def publish_cost(study: Study, methods: list[str], options: argparse.Namespace) -> None:
    """Time of a step and memory of every method."""
    before, turns = machine_state(), Turns(rounds=options.rounds, calls=1)
    times, goals = step_costs(study, methods, turns)
    memory = memory_mb(study, methods)
    versions, machine = {"torch": torch.__version__}, (before, machine_state())
    document = document_of(
        *("A step of every distiller", [times], goals, turns, options.threads, versions, machine),
        memory_mb={method: list(peaks) for method, peaks in memory.items()},
    )
    base = memory[ALONE][1]
    rows = [
        f"| `{m}` | {running - base:+.0f} MB | {cached - base:+.0f} MB |" for m, (running, cached) in memory.items()
    ]
    head = [f"Peak memory of a process against `{ALONE}` ({base:.0f} MB):", "", "| method | teacher running | cached |"]
    text = "\n".join([markdown_of(document), "", *head, "| --- | ---: | ---: |", *rows])
    print(text)
    if options.json:
        write_text(options.json.with_suffix(".cost.json"), json.dumps(document, indent=1) + "\n")
    if options.markdown:
        replace_section(options.markdown, "distill_cost", text)


def tell(text: str) -> None:
    """A line with the time, at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="nuScenes root; made where it is missing")
    parser.add_argument("--teacher", type=Path, required=True, help="a teacher's cache; made where it is missing")
    parser.add_argument("--out", type=Path, required=True, help="folder of the study")
    parser.add_argument("--preset", default="small-world-study", help="training")
    parser.add_argument("--steps", type=int, help="of every run; the preset's own without")
    parser.add_argument("--batch", type=int, help="keyframes per step; the preset's own without")
    parser.add_argument("--methods", nargs="+", default=list(DISTILLERS), choices=list(DISTILLERS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train-keyframes", type=int, help="the first ones of train; all without")
    parser.add_argument("--val-keyframes", type=int, default=200, help="spread over val")
    parser.add_argument("--rounds", type=int, default=7, help="of the timing of steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", choices=("gains", "cost"), help="one of the two; both without")
    parser.add_argument("--json", type=Path, help="write FILE.gains.json and FILE.cost.json")
    parser.add_argument("--markdown", type=Path, help="write the tables between the markers of this file")
    return parser


if __name__ == "__main__":
    main()
